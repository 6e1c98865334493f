"""Checkpoints load without running code, and say why when they do not."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict

from mmreviewkd.compat import load_from_local, register_safe_loaders
from mmreviewkd.errors import UserInputError
from tests.support.checkpoints import assert_equal
from tests.support.honest_files import save, weights

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint

register_safe_loaders()

# torch's present format, a zip file, and the one before torch 1.6
FORMATS = pytest.mark.parametrize('zipped', [True, False])


@pytest.fixture
def checkpoint():
    """What a Runner saves: weights, optimizer state, logs, meta data."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    hub = MessageHub.get_instance('test_checkpoint')
    for value in (1.0, 2.0, 4.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('iter', 3)
    return dict(
        meta=dict(
            cfg='model = dict()',
            seed=0,
            epoch=1,
            dataset_meta=dict(CLASSES=('a', 'b'), PALETTE=[(1, 2, 3)]),
        ),
        state_dict=OrderedDict(model.state_dict()),
        optimizer=optimizer.state_dict(),
        message_hub=hub.state_dict(),
        best=np.float64(0.25),
        seen=np.int64(7),
        small=np.float32(0.5),
        flag=np.bool_(True),
        array=np.arange(6, dtype=np.int32).reshape(2, 3),
        halves=torch.arange(3, dtype=torch.bfloat16),
        size=torch.Size([1, 2]),
        dtype=torch.float16,
        device=torch.device('cpu'),
    )


@FORMATS
def test_a_runners_checkpoint(checkpoint, tmp_path, zipped):
    path = tmp_path / 'epoch_1.pth'
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    assert_equal(load_from_local(str(path)), checkpoint)
    # by mmengine, as load_from, resume and init_detector read it
    assert_equal(CheckpointLoader.load_checkpoint(str(path)), checkpoint)


def test_map_location(checkpoint, tmp_path):
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(checkpoint, path)
    loaded = load_from_local(path, map_location='meta')
    assert loaded['state_dict']['0.weight'].device.type == 'meta'
    assert loaded['array'].sum() == 15


def test_in_a_fresh_process(checkpoint, tmp_path):
    # nothing but the import has prepared the classes that the file names
    path = tmp_path / 'epoch_1.pth'
    torch.save(checkpoint, path)
    code = (
        'import mmreviewkd.compat, sys\n'
        'loaded = mmreviewkd.compat.load_from_local(sys.argv[1])\n'
        'logs = loaded["message_hub"]["log_scalars"]\n'
        'print(logs["train/loss"].statistics("mean"))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code, str(path)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.splitlines()[-1]) == pytest.approx(7 / 3)


@pytest.mark.parametrize('core', [b'core', b'_core'])
def test_arrays_of_the_other_numpy(tmp_path, core):
    # numpy 1 writes numpy.core, numpy 2 numpy._core, and each reads both;
    # such names end with a line break, so that one may replace the other
    path = tmp_path / 'arrays.pth'
    content = dict(array=np.arange(3.0), scalar=np.float64(2))
    torch.save(content, path, _use_new_zipfile_serialization=False)
    saved = path.read_bytes().replace(b'numpy._core.', b'numpy.core.')
    assert saved.count(b'numpy.core.multiarray\n') == 2
    path.write_bytes(saved.replace(b'numpy.core.', b'numpy.' + core + b'.'))
    assert_equal(load_from_local(str(path)), content)


def test_weights_into_a_model(checkpoint, tmp_path):
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(checkpoint, path)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    load_checkpoint(model, path, map_location='cpu', strict=True)
    assert_equal(model.state_dict()['0.weight'], checkpoint['state_dict']['0.weight'])


def test_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(a=1), tmp_path / 'a.pth')
    assert load_from_local('~/a.pth') == dict(a=1)


# ----------------------------------------------- files that would run code
class RunsCode:
    """Unpickles by calling ``function(*args)``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def write_marker(path):
    open(path, 'w').close()


@FORMATS
@pytest.mark.parametrize(
    'name, attack',
    [
        ('system', lambda marker: RunsCode(os.system, f'touch {marker}')),
        ('exec', lambda marker: RunsCode(exec, f'open({str(marker)!r}, "w").close()')),
        ('write_marker', lambda marker: RunsCode(write_marker, str(marker))),
        # a HistoryBuffer's own file looks its statistics up by getattr
        ('getattr', lambda marker: RunsCode(getattr, HistoryBuffer, '__init__')),
        (
            'getattr',
            lambda marker: RunsCode(getattr, HistoryBuffer.mean, '__globals__'),
        ),
    ],
)
def test_code_is_refused_by_name(tmp_path, name, attack, zipped):
    path, marker = tmp_path / 'evil.pth', tmp_path / 'marker'
    content = dict(state_dict=dict(weight=torch.ones(2)), x=attack(marker))
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for load in (load_from_local, CheckpointLoader.load_checkpoint):
        with pytest.raises(UserInputError) as error:
            load(str(path))
        message = str(error.value)
        assert f'checkpoint {path} was not loaded' in message
        assert f'{name}"' in message
        assert 'would run code' in message and 'weights only' in message
    assert not marker.exists()


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('protocol', range(6))
def test_code_in_a_bare_pickle_is_refused(tmp_path, protocol):
    # no torch file at all, in any of pickle's own formats
    path, marker = tmp_path / 'evil.pkl', tmp_path / 'marker'
    path.write_bytes(pickle.dumps(RunsCode(os.system, f'touch {marker}'), protocol))
    with pytest.raises(UserInputError, match='evil.pkl') as error:
        load_from_local(str(path))
    # torch's message is a page of advice, to run the code among other things
    assert 'Weights only load failed' not in str(error.value)
    assert not marker.exists()


def test_the_marker_is_written_where_nothing_protects(tmp_path):
    # or the tests above would show nothing
    marker = tmp_path / 'marker'
    pickle.loads(pickle.dumps(RunsCode(os.system, f'touch {marker}'), 2))
    assert marker.exists()


def test_a_class_of_ones_own_is_named(tmp_path):
    path = tmp_path / 'own.pth'
    torch.save(dict(a=RunsCode(UserInputError, 'no more than data')), path)
    with pytest.raises(UserInputError, match='"mmreviewkd.errors.UserInput'):
        load_from_local(str(path))


# ------------------------------------------------ files that are no checkpoint
@FORMATS
@pytest.mark.parametrize(
    'damage',
    [
        pytest.param(lambda whole: b'', id='empty'),
        pytest.param(lambda whole: whole[: len(whole) // 2], id='truncated'),
        pytest.param(lambda whole: whole[:20], id='begun'),
        pytest.param(
            lambda whole: b'<!DOCTYPE html>\n<html><body>Not found</body></html>',
            id='HTML',
        ),
        pytest.param(lambda whole: b'{"error": "not found"}', id='JSON'),
        pytest.param(lambda whole: np.random.RandomState(0).bytes(1000), id='random'),
        pytest.param(lambda whole: b'\x93NUMPY\x01\x00v\x00', id='numpy'),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, damage, zipped):
    path = tmp_path / 'broken.pth'
    torch.save(
        dict(weight=torch.randn(100)), path, _use_new_zipfile_serialization=zipped
    )
    content = damage(path.read_bytes())
    path.write_bytes(content)
    for load in (load_from_local, CheckpointLoader.load_checkpoint):
        with pytest.raises(UserInputError) as error:
            load(str(path))
        message = str(error.value)
        assert f'checkpoint {path} cannot be read' in message
        # enough to recognise what was downloaded instead
        assert f'{len(content)} bytes' in message
        assert f'begins with {content[:16]!r}' in message


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_damaged_files_raise_one_kind_of_error(tmp_path):
    # single bytes changed at random: whatever torch raises is reported alike
    path = tmp_path / 'damaged.pth'
    history = HistoryBuffer([1.0], [1])
    torch.save(
        dict(a=torch.ones(2), b=np.float32(1), c=history),
        path,
        _use_new_zipfile_serialization=False,
    )
    whole, random = path.read_bytes(), np.random.RandomState(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[random.randint(len(whole))] = random.randint(256)
        path.write_bytes(bytes(damaged))
        try:
            load_from_local(str(path))
        except UserInputError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize('load', [load_from_local, CheckpointLoader.load_checkpoint])
def test_no_such_file(tmp_path, load):
    path = tmp_path / 'nowhere.pth'
    with pytest.raises(FileNotFoundError, match=f'checkpoint {path} does not exist'):
        load(str(path))


def test_a_folder(tmp_path):
    with pytest.raises(UserInputError, match=f'checkpoint {tmp_path} is a folder'):
        load_from_local(str(tmp_path))


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


def test_a_zoo_in_the_home_of_mmengine(monkeypatch, tmp_path):
    save(weights())(tmp_path / 'weights.pth')
    monkeypatch.setattr(
        mmengine_checkpoint, 'get_external_models', lambda: dict(r9='weights.pth')
    )
    monkeypatch.setattr(
        mmengine_checkpoint, '_get_mmengine_home', lambda: str(tmp_path)
    )
    assert_equal(CheckpointLoader.load_checkpoint('open-mmlab://r9'), weights())


def test_an_object_store(monkeypatch, tmp_path):
    save(weights())(tmp_path / 'weights.pth')
    path = 'mmreviewkd.compat.checkpoint.get_file_backend'

    class Store:
        get = staticmethod(lambda name: (tmp_path / 'weights.pth').read_bytes())

    monkeypatch.setattr(path, lambda *args, **kwargs: Store)
    assert_equal(CheckpointLoader.load_checkpoint('s3://a/b.pth'), weights())
    monkeypatch.undo()
    for filename in ('s3://bucket/a.pth', 'petrel://a.pth', 'pavi://a'):
        with pytest.raises(UserInputError, match=f'checkpoint {filename} needs the '):
            CheckpointLoader.load_checkpoint(filename)


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
