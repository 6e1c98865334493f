"""Transfers that fail, go on, or start over."""

import socket
import subprocess
import sys
import time

from mmreviewkd.compat import load_from_local, transfer
from mmreviewkd.compat.download import download
from tests.support.download_server import checkpoint, left, refusal, weight

import pytest


@pytest.mark.parametrize(
    'status, attempts', [(404, 1), (403, 1), (408, 4), (429, 4), (500, 4), (503, 4)]
)
def test_http_errors(server, cache, said, status, attempts):
    server.faults = [dict(status=status)] * 4
    message = refusal(f'{server.url}/a.pth')
    assert f'a.pth cannot be downloaded: HTTP {status} ' in message
    assert len(server.requests) == attempts
    assert len(said) == attempts  # the first says that it begins
    assert left(cache) == []


def test_a_server_that_never_answers(server, cache, said, monkeypatch):
    monkeypatch.setattr(transfer, 'TIMEOUT', 0.1)
    server.files['/a.pth'] = checkpoint(1)
    silent = dict(only=0, stall=True)
    server.faults = [silent] * 4
    url = f'{server.url}/a.pth'
    assert 'no answer within 0.1 s' in refusal(url)
    assert said[1:] == [
        f'{url}: no answer within 0.1 s; attempt {attempt} of 4 in {wait} s'
        for attempt, wait in [(2, 0), (3, 0.01), (4, 0.02)]
    ]
    server.faults = [silent]
    assert weight(url) == 1


def test_a_server_that_never_accepts(cache, said, monkeypatch):
    monkeypatch.setattr(transfer, 'TIMEOUT', 0.1)
    with socket.socket() as silent:
        silent.bind(('127.0.0.1', 0))
        silent.listen()
        assert 'no answer within 0.1 s' in refusal(
            f'http://127.0.0.1:{silent.getsockname()[1]}/a.pth'
        )


def test_a_refused_connection(cache, said):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    assert 'cannot be downloaded: Connection refused. ' in refusal(
        f'http://127.0.0.1:{port}/a.pth'
    )
    assert len(said) == 4


def test_an_unknown_host(cache, said, monkeypatch):

    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    assert 'unknown host (Name or service not known)' in refusal(
        'http://no.such.host/a.pth'
    )


def test_a_body_cut_short_goes_on_where_it_was(server, cache, said):
    content = checkpoint(1)
    server.files['/a.pth'] = content
    server.faults = [dict(only=100000), dict(only=70000)]
    assert weight(f'{server.url}/a.pth') == 1
    assert [begun for _, begun in server.requests] == [
        None,
        'bytes=100000-',
        'bytes=170000-',
    ]
    assert f'after 100000 of {len(content)} bytes; attempt 2 of 4' in said[1]
    assert len(left(cache)) == 1  # nothing beside the file


def test_another_run_goes_on(server, cache, said):
    server.files['/a.pth'] = checkpoint(1)
    server.faults = [dict(only=100000), *[dict(only=10)] * 3]
    url = f'{server.url}/a.pth'
    assert 'another run goes on from there' in refusal(url)
    assert weight(url) == 1
    assert server.requests[-1][1] == 'bytes=100030-'
    assert len(left(cache)) == 1


@pytest.mark.parametrize('change', ['file', 'ranges', 'shorter', 'torn', 'other range'])
def test_what_cannot_go_on_starts_over(server, cache, said, change):
    server.files['/a.pth'] = checkpoint(1)
    server.faults = [dict(only=100000), *[dict(only=10)] * 3]
    url = f'{server.url}/a.pth'
    refusal(url)
    part = next(cache.glob('*.part'))
    if change == 'ranges':
        server.ranges = False
    elif change == 'shorter':  # than what is here
        part.write_bytes(server.files['/a.pth'] + b'more')
    elif change == 'torn':  # killed before the server's mark was noted
        (cache / f'{part.name}.validator').unlink()
    elif change == 'other range':
        server.faults = [dict(shift=5)]
    value = 1 if change in ('shorter', 'other range') else 2
    server.files['/a.pth'] = checkpoint(value)
    assert weight(url) == value
    assert len(left(cache)) == 1


def test_a_server_without_ranges_starts_over(server, cache, said):
    server.ranges = False
    server.files['/a.pth'] = checkpoint(1)
    server.faults = [dict(only=100000)]
    assert weight(f'{server.url}/a.pth') == 1
    assert [begun for _, begun in server.requests] == [None, None]


def test_progress_is_shown_on_a_terminal_alone(
    server, cache, said, monkeypatch, capsys
):
    server.files.update({'/a.pth': checkpoint(1), '/b.pth': checkpoint(2)})
    weight(f'{server.url}/a.pth')
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    weight(f'{server.url}/b.pth')
    assert '100%' in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_run_again(server, cache):
    server.files['/a.pth'] = checkpoint(1)
    server.faults = [dict(only=150000, stall=True)]
    process = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'import sys\n'
            'from mmreviewkd.compat.download import download\n'
            'download(sys.argv[1], print)',
            f'{server.url}/a.pth',
        ]
    )
    try:
        deadline = time.time() + 60
        while not any(path.stat().st_size >= 131072 for path in cache.glob('*.part')):
            assert process.poll() is None and time.time() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    # the lock is free, too
    download(f'{server.url}/a.pth', load_from_local)
    assert server.requests[-1][1] == 'bytes=131072-'
    assert len(left(cache)) == 1
