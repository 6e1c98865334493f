"""Configs by path and name, and those that there are not."""

from mmreviewkd.compat.type_name import type_name
from mmreviewkd.errors import UserInputError
from mmreviewkd.models import ReviewKD
from mmreviewkd.models.configs import distiller_config, load_config, student_config
from mmreviewkd.models.settings import TeacherSettings
from mmreviewkd.models.teacher import Teacher

import pytest
from mmengine.config import Config


def refusal(config):
    """What is said of a config that cannot be loaded."""
    with pytest.raises(UserInputError) as error:
        load_config(str(config))
    return str(error.value)


def test_config_that_does_not_exist(tmp_path):
    (tmp_path / 'empty.py').write_text('x = 1')
    with pytest.raises(UserInputError, match='empty.py has no "model"'):
        Teacher(TeacherSettings(str(tmp_path / 'empty.py'), 'x.pth'))
    for name in (str(tmp_path / 'none.py'), 'mmdet::faster_rcnn/none.py'):
        with pytest.raises(UserInputError) as error:
            Teacher(TeacherSettings(name, 'x.pth'))
        assert f'config {name} does not exist' in str(error.value)


def test_a_name_that_mmengine_does_not_take():
    with pytest.raises(UserInputError, match='give the path of the file'):
        load_config('mmdet::gn+ws/faster-rcnn_r50_fpn_gn-ws-all_1x_coco.py')


def test_a_base_that_does_not_exist(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = './none.py'")
    line = refusal(config)
    assert line.startswith(f'config {config}: ') and 'none.py' in line


@pytest.mark.parametrize(
    'name, near',
    [
        (
            'mmdet::retinanet/retinanet_r18_fpn_1x_coc.py',
            'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
        ),
        (
            'mmdet::retinanet_r18_fpn_1x_coco.py',
            'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
        ),
        ('models/mine_r50.py', 'models/mine_r18.py'),
        ('modells/mine_r18.py', 'models/mine_r18.py'),
        ('mine_r18.py', 'models/mine_r18.py'),
        ('absent::retinanet/retinanet_r18_fpn_1x_coco.py', None),
        ('/no_config_has_this_name.py', None),
    ],
)
def test_the_nearest_names_of_a_config_that_does_not_exist(
    name, near, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models' / 'mine_r18.py').write_text('model = dict()')
    with pytest.raises(UserInputError) as error:
        load_config(name)
    message = str(error.value)
    assert message.startswith(f'config {name} does not exist: ')
    found = message.partition('. Near names: ')[2].split(', ')
    assert found[0] == (near or '')


def test_two_bases_with_one_key(tmp_path):
    for name in 'ab':
        (tmp_path / f'{name}.py').write_text("model = dict(type='FasterRCNN')\n")
    path = tmp_path / 'both.py'
    path.write_text("_base_ = ['./a.py', './b.py']\n")
    with pytest.raises(UserInputError) as error:
        load_config(str(path))
    assert str(error.value) == (
        f'config {path}: Duplicate key is not allowed among bases. Duplicate keys: '
        "{'model'}: two files in its _base_ set it; leave one of them out, or set it "
        'in the config itself'
    )


EMPTY = 'it, or a base of it, is empty or a list; a config has settings by name'


@pytest.mark.parametrize(
    'name, text, problem',
    [
        ('a.py', b'a = 1\nb = dict)\n', "unmatched ')' in line 2, 'b = dict)'"),
        (
            'a.py',
            b'\xef\xbb\xbfa = 1\n',
            "invalid non-printable character U+FEFF in line 1, '\\ufeffa = 1'",
        ),
        (
            'a.py',
            b'return 1',
            "'return' outside function in line 1, 'return 1'",
        ),
        ('a.py', b'a = 1\nb = "\xe9"\n', 'line 2 is not UTF-8, \'b = "\\\\xe9"\''),
        (
            'a.py',
            b'filename = 1',
            'filename is reserved for config file; give the setting another name',
        ),
        (
            'base.py',
            b"_base_ = './a.py'",
            "unmatched ')' in line 1, 'a = )'",
        ),
        ('a.json', b'{"a":\n}', 'Expecting value: line 2 column 1 (char 6)'),
        ('a.yaml', b'', EMPTY),
        ('a.yml', b'- 1', EMPTY),
        ('a.json', b'[1]', EMPTY),
        ('a.pth', b'\xff', 'a config ends in .py, .json, .yaml or .yml'),
    ],
)
def test_slips_in_a_config(name, text, problem, tmp_path):
    (tmp_path / 'a.py').write_text('a = )')
    path = tmp_path / name
    path.write_bytes(text)
    assert refusal(path) == f'config {path}: {problem}'


def test_broken_yaml(tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text('a: 1\nb: [1, 2\nc: {\n')
    line = refusal(path)
    assert line.startswith(f'config {path}: while parsing') and 'line 3' in line


@pytest.mark.parametrize('kind', ['mmdet.ReviewKD', 'mmreviewkd.models.ReviewKD'])
def test_a_distillation_by_a_longer_name(kind):
    student = dict(type='FasterRCNN', backbone=dict(type='ResNet'))
    cfg = Config(dict(model=dict(type=kind, student=student)))
    assert type_name(cfg.model) == type_name(dict(type=ReviewKD)) == 'ReviewKD'
    assert student_config(cfg) == student
    assert distiller_config(cfg).type == kind
    assert cfg.model.backbone.type == 'ResNet'
