"""A server that has every fault when asked for it, and what it serves."""

import hashlib
import io
from http.server import BaseHTTPRequestHandler

from mmreviewkd.compat import load_from_local
from mmreviewkd.compat.download import download
from mmreviewkd.errors import UserInputError

import pytest
import torch

PAGE = b'<!DOCTYPE html>\n<html><body>Please log in</body></html>'


def checkpoint(value, size=50000):
    """Bytes of a checkpoint, of more than one chunk; its hash is its own."""
    file = io.BytesIO()
    torch.save(dict(weight=torch.full((size,), float(value))), file)
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Does what the first of the server's faults says, else its duty."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get('Range')))
        fault = self.server.faults.pop(0) if self.server.faults else {}
        content = self.server.files.get(self.path)
        status = fault.get('status', 404 if content is None else 200)
        if status >= 400:
            self.send_error(status)
            return
        content = fault.get('content', content)
        etag = f'"{hash(content)}"'
        start, begun = 0, self.headers.get('Range')
        if begun and self.server.ranges and self.headers['If-Range'] == etag:
            start, status = int(begun[len('bytes=') : -1]), 206
            start += fault.get('shift', 0)
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(status)
        if self.server.ranges:
            self.send_header('ETag', etag)
        if start:
            self.send_header(
                'Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}'
            )
        self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: fault.get('only')])
        if fault.get('stall'):
            self.server.stopped.wait(60)

    def log_message(self, *args):
        pass


def left(cache):
    """What is in the cache, but for locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != '.lock')


def hashed(content):
    """A file name with its hash."""
    return f'r50_1x-{hashlib.sha256(content).hexdigest()}.pth'


def weight(url):
    return download(url, load_from_local)['weight'][0].item()


def refusal(url):
    """The one line of a download that fails; it names URL and remedy."""
    with pytest.raises(UserInputError) as error:
        weight(url)
    message = str(error.value)
    assert url in message and '\n' not in message
    assert 'download the file by hand and give its path' in message
    return message
