"""Exported students, and those that cannot be written."""

import errno
import os

from mmreviewkd.compat import load_from_local
from tests.support.commands import call

import pytest
import torch
from mmdet.apis import init_detector


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


def test_export_student(run, tmp_path, capsys):
    project, work_dir = run
    source, target = work_dir / 'epoch_2.pth', tmp_path / 'new' / 'student.pth'
    assert call('export_student', source, target) is None
    exported = load_from_local(str(target))
    assert set(exported) == {'state_dict', 'meta'}
    assert exported['meta']['dataset_meta']['classes'] == ('a', 'b')
    saved = load_from_local(str(source))['state_dict']
    model = init_detector(str(project / 'plain.py'), str(target), device='cpu')
    assert set(exported['state_dict']) == set(model.state_dict())
    for key, value in exported['state_dict'].items():
        assert torch.equal(value, saved[key])
    assert os.listdir(target.parent) == ['student.pth']
    assert target.stat().st_size < source.stat().st_size / 3


def test_a_wrapped_checkpoint_at_a_url_in_place_of_an_older_one(
    tmp_path, monkeypatch, capsys
):
    names = 'module.fc.weight', 'module.review.w', 'module.review._extra_state'
    monkeypatch.setattr(
        'mmreviewkd.models.weights.CheckpointLoader.load_checkpoint',
        lambda url, device: dict(state_dict={name: torch.ones(2) for name in names}),
    )
    target = tmp_path / 'student.pth'
    target.write_bytes(b'old')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert (
        call('export_student', 'https://example.org/run.pth', '~/student.pth') is None
    )
    assert list(load_from_local(str(target))['state_dict']) == ['fc.weight']
    assert capsys.readouterr().out == f'{target}: 1 tensors, 0.0 MiB\n'


def test_export_refuses_what_would_lose_something(run, tmp_path):
    _, work_dir = run
    source = work_dir / 'epoch_2.pth'
    before = source.read_bytes()
    assert 'is the input itself' in call('export_student', source, source)
    assert source.read_bytes() == before
    missing = tmp_path / 'nowhere.pth'
    assert f'error: distilled checkpoint {missing} does not exist' == call(
        'export_student', missing, tmp_path / 'out.pth'
    )
    for target, message in (
        (tmp_path, f'{tmp_path} is a folder; name the file to write'),
        ('', "'' is no path of a file to write"),
        ('s3://a/b.pth', "'s3://a/b.pth' is no path of a file to write"),
        (source / 'a.pth', f'{source}/a.pth cannot be written: Not a directory'),
    ):
        assert call('export_student', source, target) == f'error: {message}'
    assert f'error: distilled checkpoint {missing} does not exist' == call(
        'export_student', missing, source
    )
    assert source.read_bytes() == before
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'student.pth')
    assert call('export_student', tmp_path / 'student.pth', source) == (
        f"error: {source} is a run's checkpoint, with its optimizer; name another file "
        'to write, or remove that one before'
    )
    assert source.read_bytes() == before
    for content, message in (
        ([1], 'holds a list, not weights'),
        (dict(a=1), 'has no "state_dict"'),
    ):
        torch.save(content, tmp_path / 'odd.pth')
        assert message in call(
            'export_student', tmp_path / 'odd.pth', tmp_path / 'out.pth'
        )
    assert not (tmp_path / 'out.pth').exists()
