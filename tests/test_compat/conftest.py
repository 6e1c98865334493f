"""A server on this machine that has every fault when asked for it."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


@pytest.fixture
def server(monkeypatch):
    # a proxy does not know this machine's servers
    monkeypatch.setenv('no_proxy', '*')
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.files, server.faults, server.requests = {}, [], []
    server.ranges, server.stopped = True, threading.Event()
    server.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """torch.hub's folder."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    return tmp_path / 'hub' / 'checkpoints'


def left(cache):
    """What is in the cache, but for locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != '.lock')
