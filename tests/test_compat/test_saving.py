"""Files are whole or not there; the newest whole checkpoint is resumed."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

from mmreviewkd.compat.saving import (
    find_latest_whole_checkpoint,
    latest_whole_checkpoint,
    remove_parts,
    write_whole,
)

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import save_checkpoint


def write(folder, name, age, size=None):
    path = folder / name
    save_checkpoint(dict(state_dict=dict(a=torch.zeros(50))), str(path))
    if size is not None:
        path.write_bytes(path.read_bytes()[:size])
    os.utime(path, (age, age))
    return str(path)


def test_nothing_but_the_file_is_left(tmp_path):
    path = tmp_path / 'new' / 'epoch_1.pth'
    save_checkpoint(dict(state_dict=dict(a=torch.ones(2))), str(path))
    save_checkpoint(dict(state_dict=dict(a=torch.zeros(2))), str(path))
    assert os.listdir(tmp_path / 'new') == ['epoch_1.pth']
    assert torch.load(path, weights_only=True)['state_dict']['a'].sum() == 0


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'disk' / 'a.json').write_text('old')
    (tmp_path / 'link.json').symlink_to('disk/a.json')
    write_whole(str(tmp_path / 'link.json'), 'new')
    assert (tmp_path / 'link.json').is_symlink()
    assert (tmp_path / 'disk' / 'a.json').read_text() == 'new'
    assert os.listdir(tmp_path / 'disk') == ['a.json']


def test_full_disk_keeps_the_old_file_and_removes_the_new_part(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'old')

    def full(fd):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        LocalBackend().put(b'new' * 1000, path)
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_whatever_stops_a_save_leaves_no_part(tmp_path, monkeypatch):

    def interrupted(fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(KeyboardInterrupt):
        LocalBackend().put(b'new', tmp_path / 'epoch_1.pth')
    assert not os.listdir(tmp_path)


def test_the_error_names_the_file(tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file' / 'epoch_1.pth', tmp_path):
        with pytest.raises(OSError, match=f"'{path}'$"):
            LocalBackend().put(b'new', path)
    assert os.listdir(tmp_path) == ['file']


def test_many_saves_of_one_file_at_once(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    contents = [bytes([i]) * 100_000 for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda content: LocalBackend().put(content, path), contents))
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ['epoch_1.pth']


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / 'by_open').write_text('')
    LocalBackend().put(b'', tmp_path / 'epoch_1.pth')
    assert (tmp_path / 'epoch_1.pth').stat().st_mode == (
        tmp_path / 'by_open'
    ).stat().st_mode


def test_parts_of_checkpoints_are_removed_and_nothing_else(tmp_path):
    for name in (
        'epoch_2.pth.0123abcd.part',
        'teacher.pth.part',
        'teacher.pth.download.part',
        'mine.part',
        'epoch_1.pth',
        'epoch_2.pth.0123abcd',
    ):
        (tmp_path / name).write_text('')
    remove_parts(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        'epoch_1.pth',
        'epoch_2.pth.0123abcd',
        'mine.part',
        'teacher.pth.download.part',
        'teacher.pth.part',
    ]


def test_the_last_one_is_taken_if_it_is_whole(tmp_path):
    write(tmp_path, 'epoch_2.pth', 200)
    last = write(tmp_path, 'epoch_1.pth', 100)
    (tmp_path / 'last_checkpoint').write_text(last)
    assert find_latest_whole_checkpoint(str(tmp_path)) == last
    (tmp_path / 'last_checkpoint').write_text('s3://bucket/epoch_1.pth')
    assert find_latest_whole_checkpoint(str(tmp_path)) == 's3://bucket/epoch_1.pth'


@pytest.mark.parametrize('name', ['copy', 'run[1]'])
def test_a_copied_folder_has_checkpoints_of_its_own(tmp_path, name):
    original, copy = tmp_path / 'run', tmp_path / name
    last = write(original, 'epoch_2.pth', 200)
    (original / 'last_checkpoint').write_text(last)
    shutil.copytree(original, copy)
    found = find_latest_whole_checkpoint(str(copy))
    assert found == str(copy / 'epoch_2.pth')
    # as CheckpointHook(out_dir=...) writes it, beside the file of an earlier run
    (original / 'last_checkpoint').unlink()
    assert find_latest_whole_checkpoint(str(copy)) == last
    (copy / 'epoch_2.pth').unlink()
    assert find_latest_whole_checkpoint(str(copy)) == last
    write(copy, 'epoch_1.pth', 100)
    (original / 'epoch_2.pth').unlink()
    found = find_latest_whole_checkpoint(str(copy))
    assert found == str(copy / 'epoch_1.pth')


@pytest.mark.parametrize('note', ['torn', 'gone', 'empty', 'absent'])
def test_a_torn_one_is_not(tmp_path, monkeypatch, note):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.compat.saving.print_log', lambda message, *_: said.append(message)
    )
    write(tmp_path, 'epoch_1.pth', 100)
    whole = write(tmp_path, 'iter_20.pth', 200)
    torn = write(tmp_path, 'epoch_3.pth', 300, size=700)
    write(tmp_path, 'best_coco_bbox_mAP_epoch_3.pth', 400)
    if note != 'absent':
        (tmp_path / 'last_checkpoint').write_text(
            dict(torn=torn, gone=str(tmp_path / 'epoch_4.pth'), empty='')[note]
        )
    assert latest_whole_checkpoint(str(tmp_path)) == whole and not said
    assert find_latest_whole_checkpoint(str(tmp_path)) == whole
    assert f'resuming from {whole}' in said[0]


def test_nothing_whole(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.compat.saving.print_log', lambda message, *_: said.append(message)
    )
    torn = write(tmp_path, 'epoch_1.pth', 100, size=10)
    (tmp_path / 'last_checkpoint').write_text(torn)
    assert latest_whole_checkpoint(str(tmp_path)) is None and not said
    assert find_latest_whole_checkpoint(str(tmp_path)) is None
    assert 'no whole checkpoint' in said[0] and 'starts anew' in said[0]
