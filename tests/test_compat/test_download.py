"""Downloads: what is kept, what goes on, and what is said."""

import builtins
import errno
import io
import os
import socket
import sys
import threading

import mmreviewkd.compat.download as module
from mmreviewkd.compat import load_from_local, register_safe_loaders, transfer
from mmreviewkd.compat.download import download
from mmreviewkd.errors import UserInputError
from tests.support.commands import call
from tests.support.download_server import (
    PAGE,
    checkpoint,
    hashed,
    left,
    refusal,
    weight,
)

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.runner import CheckpointLoader

register_safe_loaders()


# ---------------------------------------------------------------- the cache
def test_a_file_is_downloaded_once(server, cache):
    content = checkpoint(1)
    name = hashed(content)
    server.files[f'/models/{name}?a=1'] = content
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(
            f'{server.url}/models/{name}?a=1', map_location='cpu'
        )
        assert loaded['weight'][0] == 1
    assert len(server.requests) == 1
    assert left(cache) == [name]  # as torch.hub has it
    assert (cache / name).read_bytes() == content


def test_urls_with_one_file_name_do_not_share_it(server, cache, said):
    paths = ['/a/epoch_12.pth', '/b/epoch_12.pth', '/b/epoch_12.pth?v=2']
    for value, path in enumerate(paths):
        server.files[path] = checkpoint(value)
    for _ in range(2):
        assert [weight(server.url + path) for path in paths] == [0, 1, 2]
    assert len(server.requests) == 3
    assert len(left(cache)) == 3
    assert all(
        name.startswith('epoch_12_') and name.endswith('.pth') for name in left(cache)
    )


@pytest.mark.parametrize(
    'name, file_hash',
    [
        ('r50-0676ba61.pth', '0676ba61'),
        ('r50_20200130-c2398f9e.pth', 'c2398f9e'),
        ('faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth', '047c8118'),
        ('resnet50-v2.pth', None),
        ('epoch_12.pth', None),
        ('mask-rcnn_r50.pth', None),
    ],
)
def test_the_hash_is_taken_from_the_name(server, cache, said, name, file_hash):
    server.files[f'/{name}'] = checkpoint(1)
    if file_hash:
        message = refusal(f'{server.url}/{name}')
        assert f', not {file_hash} (it has ' in message
        assert left(cache) == []
        # a file that torch.hub or mmengine has downloaded is found
        (cache / name).write_bytes(checkpoint(2))
        assert weight(f'{server.url}/{name}') == 2
    else:
        assert weight(f'{server.url}/{name}') == 1


@pytest.mark.parametrize(
    'path', ['/', '/?file=../a.pth', '/%2e%2e%2fa.pth', '/' + 300 * 'a']
)
def test_any_url_makes_a_file_name(server, cache, said, path):
    server.files[path] = checkpoint(3)
    assert weight(server.url + path) == 3
    assert len(left(cache)) == 1


@pytest.mark.parametrize(
    'url', ['http://[::1/a.pth', 'http://127.0.0.1/a b.pth', 'http:///a.pth']
)
def test_no_url(cache, said, url):
    with pytest.raises(UserInputError) as error:
        weight(url)
    assert f'checkpoint {url} ' in str(error.value)


def test_another_folder(server, said, tmp_path):
    server.files['/a.pth'] = checkpoint(1)
    download(f'{server.url}/a.pth', load_from_local, str(tmp_path / 'other'))
    assert len(left(tmp_path / 'other')) == 1


# ------------------------------------------------- what is not to be kept
@pytest.mark.parametrize(
    'content, reason',
    [
        (PAGE, "begins with b'<!DOCTYPE html>"),
        (b'', '0 bytes'),
        (checkpoint(1)[:1000], '1000 bytes'),
    ],
)
def test_what_is_no_checkpoint_is_not_kept(server, cache, said, content, reason):
    server.files['/a/epoch_12.pth'] = checkpoint(1)
    server.faults = [dict(content=content)]
    url = f'{server.url}/a/epoch_12.pth'
    message = refusal(url)
    assert reason in message and 'login page' in message
    assert left(cache) == []
    assert str(cache) not in message  # that file is gone
    assert weight(url) == 1  # the server is healthy again


def test_another_hash_is_not_kept(server, cache, said):
    name = hashed(checkpoint(1))
    server.files[f'/{name}'] = checkpoint(1)
    server.faults = [dict(content=PAGE)]
    message = refusal(f'{server.url}/{name}')
    assert 'the hash of what came is ' in message
    assert "begins with b'<!DOCTYPE html>" in message
    assert left(cache) == []
    assert weight(f'{server.url}/{name}') == 1


class RunsCode:
    def __reduce__(self):
        return os.system, ('touch marker',)


def test_code_in_a_download_is_refused(server, cache, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    torch.save(RunsCode(), file)
    server.files['/evil.pth'] = file.getvalue()
    assert 'system' in refusal(f'{server.url}/evil.pth')
    assert left(cache) == []
    assert not (tmp_path / 'marker').exists()


def test_a_refused_file_of_the_cache_is_downloaded_anew(server, cache, said):
    # kept by torch.hub or an earlier version
    url, name = f'{server.url}/r50.pth', hashed(checkpoint(2))
    server.files.update({'/r50.pth': checkpoint(1), f'/{name}': checkpoint(2)})
    weight(url)
    for path in (cache / left(cache)[0], cache / name):
        path.write_bytes(PAGE)
    said.clear()
    assert weight(url) == 1
    assert "begins with b'<!DOCTYPE" in said[0]
    assert said[0].endswith(f'; it is downloaded anew from {url}')
    assert weight(f'{server.url}/{name}') == 2
    assert len(server.requests) == 3
    # without the server's help it stays, and the message is the server's
    (cache / name).write_bytes(PAGE)
    server.files.clear()
    assert 'HTTP 404' in refusal(f'{server.url}/{name}')
    assert (cache / name).read_bytes() == PAGE


def test_a_file_whose_package_is_missing_is_kept(server, cache, said, monkeypatch):
    for name in ('safetensors', 'safetensors.torch'):
        monkeypatch.setitem(sys.modules, name, None)
    server.files['/a.safetensors'] = b'whole'
    for _ in range(2):
        with pytest.raises(UserInputError) as error:
            weight(f'{server.url}/a.safetensors')
        assert str(error.value) == (
            f'checkpoint {server.url}/a.safetensors is of safetensors: pip install '
            'safetensors'
        )
        (kept,) = [name for name in left(cache) if name.endswith('.safetensors')]
        assert (cache / kept).read_bytes() == b'whole'
    assert len(server.requests) == 1


# ------------------------------------------------------------------- disks
@pytest.mark.parametrize('code', [errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written(server, cache, said, monkeypatch, code):
    server.files.update({'/a.pth': checkpoint(1), '/b.pth': checkpoint(2)})
    assert weight(f'{server.url}/a.pth') == 1
    really_open = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(code, os.strerror(code), path)
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, 'open', refuse)
    assert weight(f'{server.url}/a.pth') == 1  # it is there, and is read
    message = refusal(f'{server.url}/b.pth')
    assert f'cannot be kept in the folder {cache}: {os.strerror(code)}. ' in message
    assert 'TORCH_HOME' in message
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_made(server, cache, said, tmp_path):
    (tmp_path / 'hub').write_text('a file')
    message = refusal(f'{server.url}/a.pth')
    assert (
        f'folder {cache}: Not a directory. Set the environment variable '
        'TORCH_HOME' in message
    )


def test_a_full_disk(server, cache, said, monkeypatch):
    server.files['/a.pth'] = checkpoint(1)

    def full(name, mode='r', **kwargs):
        return builtins.open('/dev/full' if mode == 'ab' else name, mode, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, 'open', full, raising=False)
        message = refusal(f'{server.url}/a.pth')
    assert f'folder {cache}: No space left on device. Set ' in message
    assert left(cache) == [] and len(server.requests) == 1
    assert weight(f'{server.url}/a.pth') == 1


# ------------------------------------------------------------------- tools
def test_a_teacher_by_its_url(server, cache, said, project, monkeypatch):
    monkeypatch.chdir(project)
    server.files['/epoch_12.pth'] = PAGE
    error = call(
        'train',
        'distil.py',
        '--cfg-options',
        f'model.teacher.checkpoint={server.url}/epoch_12.pth',
    )
    assert error.startswith(
        f'error: checkpoint {server.url}/epoch_12.pth cannot be read'
    )
    assert '\n' not in error and 'It was not kept; open the URL' in error
    assert left(cache) == []


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
