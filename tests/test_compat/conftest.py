"""A server on this machine that has every fault when asked for it."""

import threading
from http.server import ThreadingHTTPServer

import mmreviewkd.compat.download as module
from mmreviewkd.compat import transfer
from tests.support.download_server import Handler

import pytest
import torch


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


@pytest.fixture
def said(monkeypatch):
    """The messages; nothing waits."""
    messages = []
    for part in (module, transfer):
        monkeypatch.setattr(
            part, 'print_log', lambda message, *_: messages.append(message)
        )
    monkeypatch.setattr(transfer, 'WAITS', (0, 0.01, 0.02))
    return messages
