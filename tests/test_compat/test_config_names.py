"""Our configs by name, from any folder and however the package got there."""

from mmreviewkd.commands import main
from mmreviewkd.compat import config_names
from mmreviewkd.compat.config_names import config_folder, config_path
from mmreviewkd.errors import UserInputError
from mmreviewkd.models.configs import load_config, model_config
from tests.support.paths import ROOT

import mmengine
import pytest
from mmengine.config import Config
from mmengine.config.utils import _get_cfg_metainfo

PAIR = 'cifar100/review-kd_resnet56_resnet20.py'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to start programs in, whose name is none that a config could quote."""
    folder = tmp_path / 'it\'s {a} "folder"'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def place(monkeypatch, package):
    """Let our package be in another folder."""
    file = package / 'compat' / 'config_names.py'
    monkeypatch.setattr(config_names, '__file__', str(file))


def test_wherever_the_package_is(tmp_path, monkeypatch):
    package = tmp_path / 'mmreviewkd'
    place(monkeypatch, package)
    with pytest.raises(UserInputError, match='install the package by pip, or use a'):
        load_config('mmreviewkd::cifar20/resnet8.py')
    # a checkout, which nobody has installed
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    assert config_folder() == str(tmp_path / 'configs')
    # an installed package goes first: site-packages may hold anyone's "configs"
    (package / '.mim').mkdir(parents=True)
    (package / '.mim' / 'configs').symlink_to(ROOT / 'configs')
    assert config_folder() == str(package / '.mim' / 'configs')
    cfg = load_config('mmreviewkd::cifar20/resnet8.py')
    assert cfg.filename == str(package / '.mim' / 'configs' / 'cifar20' / 'resnet8.py')
    assert cfg.model == Config.fromfile(ROOT / 'configs/cifar20/resnet8.py').model


def test_as_a_base(folder):
    (folder / 'named.py').write_text(
        f"_base_ = 'mmreviewkd::{PAIR}'\nstudent = _base_.model.student"
    )
    (folder / 'path.py').write_text(
        f"_base_ = '{ROOT}/configs/{PAIR}'\nstudent = _base_.model.student"
    )
    named, path = load_config('named.py'), load_config('path.py')
    # no scope of ours, in which mmengine would look for mmdet's classes
    assert named._cfg_dict == path._cfg_dict
    assert '_scope_' not in named.student
    # mmdet's names are as they were
    (folder / 'mmdet.py').write_text(
        "_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'\nstudent = _base_.model"
    )
    assert load_config('mmdet.py').student._scope_ == 'mmdet'


def test_a_base_that_does_not_exist(folder):
    (folder / 'mine.py').write_text("_base_ = 'mmreviewkd::cifar100/none.py'")
    with pytest.raises(UserInputError, match='config mine.py: .*none.py'):
        load_config('mine.py')


def test_a_dumped_config_finds_the_teacher(folder, monkeypatch):
    load_config(f'mmreviewkd::{PAIR}').dump('dumped.py')
    text = (folder / 'dumped.py').read_text()
    assert str(ROOT) not in text  # so it is of use on another machine as well
    monkeypatch.chdir('/')
    config = load_config(str(folder / 'dumped.py')).model.teacher.config
    assert model_config(config).backbone == dict(type='CifarResNet', depth=56)


def test_a_teacher_by_its_path_from_the_root(monkeypatch):
    # as in the configs of earlier versions, and those dumped from them
    monkeypatch.chdir(ROOT)
    assert model_config('configs/cifar100/resnet56.py').backbone.depth == 56


def test_mmengines_own_function():
    cfg = mmengine.hub.get_config(f'mmreviewkd::{PAIR}')
    assert cfg.model.type == 'ReviewKD'
    with pytest.raises(UserInputError, match='no weights are published for it'):
        mmengine.hub.get_config(f'mmreviewkd::{PAIR}', pretrained=True)
    cfg = mmengine.hub.get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', True)
    assert cfg.model_path.endswith('.pth')


def test_mmengine_reads_our_metafiles(tmp_path):
    (tmp_path / '.mim').mkdir()
    for name in ('configs', 'model-index.yml'):
        (tmp_path / '.mim' / name).symlink_to(ROOT / name)
    row = _get_cfg_metainfo(str(tmp_path), PAIR)
    assert row['Config'] == f'configs/{PAIR}'
    # what it takes for a config of which it has no row
    with pytest.raises(ValueError, match='Expected configs'):
        _get_cfg_metainfo(str(tmp_path), 'demo_cls/resnet14_glyphs.py')


@pytest.mark.parametrize(
    'name, message',
    [
        ('mmreviewkd::cifar100/resnet57.py', 'names: mmreviewkd::cifar100/resnet56.py'),
        ('mmreviewkd::resnet56.py', 'names: mmreviewkd::cifar100/resnet56.py'),
        (
            'mmreviewkd::ablation/sum_resnet56_resnet20.py',
            'names: mmreviewkd::cifar100/ablation/sum_resnet56_resnet20.py',
        ),
        ('reviewkd::cifar100/resnet56.py', 'no package reviewkd; near names: mmrev'),
        ('mmreviewkd::cifar', 'mmreviewkd keeps its configs in folders'),
        ('mmreviewkd::cifar100', 'is a folder; give a file in it'),
        (str(ROOT / 'configs'), 'is a folder; give a file in it'),
    ],
)
def test_names_that_do_not_exist(name, message, folder):
    with pytest.raises(UserInputError) as error:
        load_config(name)
    assert str(error.value).startswith(f'config {name} ')
    assert message in str(error.value)


def test_other_names_stay():
    for name in ('mmdet::a/b.py', 'a/b.py', 'mmreviewkd/a.py', 'mmreviewkd'):
        assert config_path(name) == name


@pytest.mark.parametrize('config', [f'mmreviewkd::{PAIR}', f'{ROOT}/configs/{PAIR}'])
def test_a_command_in_another_folder(config, folder, monkeypatch):
    found = []
    monkeypatch.setattr(
        'mmreviewkd.models.teacher.load_strictly',
        lambda model, *_: (found.append(model), 1 / 0),
    )
    with pytest.raises(ZeroDivisionError):
        main(['train', config])
    (teacher,) = found
    assert teacher.backbone.depth == 56
