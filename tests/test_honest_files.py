"""Checkpoints as people have them load, with the same values."""

import os
import subprocess

from mmreviewkd.compat import load_from_local
from tests.support.checkpoints import assert_equal
from tests.support.honest_files import CONTENTS, FILES, weights, write_all
from tests.support.paths import ROOT

import numpy as np
import pytest
import torch

OTHER = os.environ.get('OTHER_PYTHON')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('honest')
    write_all(folder)
    return folder


def check(path, name):
    expected = CONTENTS[name]()
    if name == 'public':  # found under both names
        expected['state_dict'] = expected['model']
    if name == 'mmdet_2':  # which mmengine would run
        del expected['meta']['config']
    if name == 'numpy':  # numpy reads arrays into its own byte order
        expected['big_endian'] = expected['big_endian'].astype('f4')
    loaded = load_from_local(str(path))
    for content in (loaded, expected):
        for group in content.get('optimizer', {}).get('param_groups', ()):
            for setting in ('fused', 'decoupled_weight_decay'):
                group.pop(setting, None)  # which torch 2.1 has not
    assert_equal(loaded, expected)


@pytest.mark.parametrize('file', FILES)
def test_files_of_this_torch(folder, file):
    check(folder / file, FILES[file][0])


@pytest.mark.skipif(not OTHER, reason='OTHER_PYTHON is not set')
def test_files_of_another_torch(tmp_path):
    """``OTHER_PYTHON``: an interpreter with another torch and NumPy."""
    subprocess.run(
        [OTHER, '-m', 'tests.support.honest_files', tmp_path], cwd=ROOT, check=True
    )
    for file, (name, _) in FILES.items():
        check(tmp_path / file, name)


def test_arrays_are_plain_and_writable(folder):
    loaded = load_from_local(str(folder / 'numpy.pth'))
    assert type(loaded['array']) is np.ndarray
    loaded['array'][0] = 9
    assert loaded['array'].sum() == 27 + 12


def test_views_of_a_storage_go_on_sharing_it(folder):
    loaded = load_from_local(str(folder / 'tensors.pth'))['state_dict']
    loaded['shared'][5] = 100
    assert loaded['part'][0] == loaded['transposed'][5, 0] == 100


@pytest.mark.parametrize(
    'map_location, device',
    [
        (None, 'cpu'),
        ('cpu', 'cpu'),
        (torch.device('meta'), 'meta'),
        (dict(cpu='meta'), 'meta'),
        (lambda storage, location: storage, 'cpu'),
    ],
)
@pytest.mark.parametrize('file', ['weights.pth', 'weights_legacy.pth'])
def test_map_location(folder, file, map_location, device):
    loaded = load_from_local(str(folder / file), map_location)
    assert {value.device.type for value in loaded.values()} == {device}
    if device == 'cpu':
        assert_equal(loaded, weights())


def test_torch_load_is_as_without_this_package(folder, tmp_path):
    # nothing is added to the names that torch takes for safe
    if hasattr(torch.serialization, 'get_safe_globals'):
        names = str(torch.serialization.get_safe_globals())
        assert 'numpy' not in names and 'HistoryBuffer' not in names
    for file in ('run.pth', 'numpy.pth'):
        with pytest.raises(Exception, match='(?i)unsupported'):
            torch.load(folder / file, weights_only=True)
    assert 'meta' in torch.load(folder / 'run.pth', weights_only=False)
    torch.save(len, tmp_path / 'function.pth')
    assert torch.load(tmp_path / 'function.pth', weights_only=False) is len
