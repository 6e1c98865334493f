"""Checkpoints as people have them load, with the same values."""

import os
import subprocess
import sys
from collections import OrderedDict

from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from tests.honest import CONTENTS, FILES, weights, write_all
from tests.test_compat.test_checkpoint import assert_equal
from tests.test_tools.test_entry_points import ROOT

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint

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
    subprocess.run([OTHER, '-m', 'tests.honest', tmp_path], cwd=ROOT, check=True)
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


def test_safetensors(tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    path = str(tmp_path / 'teacher.safetensors')
    save_file(dict(weights()), path)
    loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
    assert_equal(
        OrderedDict(sorted(loaded.items())), OrderedDict(sorted(weights().items()))
    )
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    load_checkpoint(model, path, strict=True)
    assert_equal(OrderedDict(model.state_dict()), weights())
    (tmp_path / 'teacher.safetensors').write_bytes(b'<html>')
    with pytest.raises(UserInputError, match='teacher.safetensors cannot be '):
        load_from_local(path)


def test_safetensors_without_the_package(tmp_path, monkeypatch):
    for module in ('safetensors', 'safetensors.torch'):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / 'teacher.safetensors').write_bytes(b'')
    with pytest.raises(UserInputError, match='pip install safetensors'):
        load_from_local(str(tmp_path / 'teacher.safetensors'))


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


# ------------------------------------------------------- all of the schemes
def test_every_scheme_of_mmengine_is_read_here():
    owners = {
        prefix: loader.__module__
        for prefix, loader in CheckpointLoader._schemes.items()
    }
    assert len(owners) == 11
    assert set(owners.values()) == {'mmreviewkd.compat.checkpoint'}
    # by its name mmengine logs how it reads
    assert {loader.__name__[:10] for loader in CheckpointLoader._schemes.values()} == {
        'load_from_'
    }


@pytest.mark.parametrize(
    'filename, listed, url',
    [
        ('torchvision://r9', 'get_torchvision_models', 'https://a/r9.pth'),
        ('modelzoo://r9', 'get_torchvision_models', 'https://a/r9.pth'),
        ('open-mmlab://r9', 'get_external_models', 'https://a/r9.pth'),
        ('openmmlab://r9', 'get_external_models', 'https://a/r9.pth'),
        ('mmcls://r9', 'get_mmcls_models', 'https://a/r9.pth'),
    ],
)
def test_names_of_zoos(monkeypatch, filename, listed, url):
    asked = []

    def download(address, read, folder):
        asked.append(address)
        return dict(state_dict={'backbone.a': torch.ones(1)})

    monkeypatch.setattr('mmreviewkd.compat.checkpoint.download', download)
    monkeypatch.setattr(mmengine_checkpoint, listed, lambda: dict(r9=url))
    assert 'state_dict' in CheckpointLoader.load_checkpoint(filename)
    assert asked == [url]
    with pytest.raises(
        UserInputError, match=f'{filename}9: there is no such name; near names: r9'
    ):
        CheckpointLoader.load_checkpoint(f'{filename}9')


def test_a_zoo_in_the_home_of_mmengine(monkeypatch, folder):
    monkeypatch.setattr(
        mmengine_checkpoint, 'get_external_models', lambda: dict(r9='weights.pth')
    )
    monkeypatch.setattr(mmengine_checkpoint, '_get_mmengine_home', lambda: str(folder))
    assert_equal(CheckpointLoader.load_checkpoint('open-mmlab://r9'), weights())


def test_an_object_store(monkeypatch, folder):
    path = 'mmreviewkd.compat.checkpoint.get_file_backend'

    class Store:
        get = staticmethod(lambda name: (folder / 'weights.pth').read_bytes())

    monkeypatch.setattr(path, lambda *args, **kwargs: Store)
    assert_equal(CheckpointLoader.load_checkpoint('s3://a/b.pth'), weights())
    monkeypatch.undo()
    for filename in ('s3://bucket/a.pth', 'petrel://a.pth', 'pavi://a'):
        with pytest.raises(UserInputError, match=f'checkpoint {filename} needs the '):
            CheckpointLoader.load_checkpoint(filename)


# ------------------------------------------------ weights that are no weights
@pytest.mark.parametrize(
    'content, problem',
    [
        ([1], 'holds a list, not weights'),
        ({'a.weight': torch.ones(1), 3: 1}, 'has the key 3, not names'),
        ({'a.weight': np.ones(1)}, 'has a ndarray, not a tensor, at a.weight'),
        (dict(model=None), 'has under "model" a NoneType, not weights'),
        (dict(model={'a': np.ones(1)}), 'under "model" a ndarray, not a tensor'),
        (dict(state_dict={}), 'has under "state_dict" no weights'),
        (dict(meta=[1]), 'has under "meta" a list, not a dict'),
        (dict(state_dict=None), 'has under "state_dict" a NoneType, not weights'),
        (dict(state_dict=[torch.ones(1)]), 'a list, not weights by name'),
        (dict(state_dict={3: torch.ones(1)}), 'the key 3, not names'),
        (dict(state_dict={'a.weight': 'x'}), 'a str, not a tensor, at a.weight'),
        (dict(state_dict={'a': np.ones(1)}), 'a ndarray, not a tensor, at a'),
    ],
)
def test_weights_that_are_none(tmp_path, content, problem):
    path = str(tmp_path / 'odd.pth')
    torch.save(content, path)
    with pytest.raises(UserInputError) as error:
        load_from_local(path)
    assert str(error.value).startswith(f'checkpoint {path} ')
    assert problem in str(error.value)
