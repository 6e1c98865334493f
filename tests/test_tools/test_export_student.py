"""A student that cannot be written leaves nothing behind."""

import errno
import os

from tests.test_tools.test_entry_points import call

import pytest
import torch


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize('old', [None, b'old'])
def test_full_or_read_only_disk(tmp_path, monkeypatch, number, old):
    source, target = tmp_path / 'run.pth', tmp_path / 'out' / 'student.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1000))), source)
    if old:
        target.parent.mkdir()
        target.write_bytes(old)

    def fail(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', fail)
    error = call('export_student', source, target)
    assert error.startswith(
        f"error: [Errno {number}] {os.strerror(number)}: '{target}'"
    )
    assert '\n' not in error
    assert os.listdir(target.parent) == (['student.pth'] if old else [])
    if old:
        assert target.read_bytes() == old
