"""Downloads of several processes, and of one that is killed."""

import os
import socket
import subprocess
import sys
import threading
import time

import mmreviewkd.compat.download as module
from mmreviewkd.compat import load_from_local, transfer
from mmreviewkd.compat.download import download
from mmreviewkd.errors import UserInputError
from tests.test_compat.conftest import PAGE, checkpoint, left

import pytest
import torch
import torch.multiprocessing as mp


def test_one_of_two_waits_for_the_other(server, cache, monkeypatch):
    messages = []
    for part in (module, transfer):
        monkeypatch.setattr(
            part, 'print_log', lambda message, *_: messages.append(message)
        )
    monkeypatch.setattr(transfer, 'TIMEOUT', 1)
    monkeypatch.setattr(transfer, 'WAITS', (0,))
    server.files['/a.pth'] = checkpoint(1)
    server.faults = [dict(only=100000, stall=True)]
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(
                download(f'{server.url}/a.pth', load_from_local)
            )
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result['weight'][0] for result in results] == [1, 1]
    assert [begun for _, begun in server.requests] == [None, 'bytes=65536-']
    assert f'another process downloads {server.url}/a.pth; waiting for it' in messages


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


def rank_of_two(rank, port, url, folders, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    results = []
    for name, folder in [
        ('a', folders[0]),
        ('b', folders[rank]),
        ('missing', folders[0]),
        ('page', folders[0]),
    ]:
        try:
            results.append(
                download(f'{url}/{name}.pth', load_from_local, folder)['weight'][
                    0
                ].item()
            )
        except UserInputError as error:
            results.append(str(error))
    queue.put((rank, results))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_wait_for_the_first_and_fail_together(server, tmp_path):
    server.files.update(
        {'/a.pth': checkpoint(1), '/b.pth': checkpoint(2), '/page.pth': PAGE}
    )
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    context = mp.get_context('spawn')
    queue = context.Queue()
    folders = [str(tmp_path / 'one'), str(tmp_path / 'two')]
    processes = [
        context.Process(
            target=rank_of_two, args=(rank, port, server.url, folders, queue)
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    first, second = (
        results for _, results in sorted(queue.get(timeout=120) for _ in range(2))
    )
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert first == second and first[:2] == [1, 2]
    assert f'{server.url}/missing.pth cannot be downloaded: HTTP 404' in first[2]
    assert 'was not kept' in first[3]
    # once for both, but to each disk that has not got it
    assert sorted(path for path, _ in server.requests) == [
        '/a.pth',
        '/b.pth',
        '/b.pth',
        '/missing.pth',
        '/page.pth',
    ]
