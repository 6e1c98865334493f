"""Where weights are in a file, and a model that is filled with them whole."""

import re

from mmreviewkd.errors import SettingError, UserInputError
from mmreviewkd.models import Teacher
from mmreviewkd.models.settings import TeacherSettings
from mmreviewkd.models.weights import load_file, load_whole, names_in
from tests.support.detectors import save_weights, tiny_detector

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.runner import load_checkpoint


@pytest.fixture
def saved(tmp_path):
    """A teacher's config, the path of its file, and its weights."""
    cfg, path = tiny_detector(), str(tmp_path / 'teacher.pth')
    save_weights(cfg, path)
    return cfg, path, torch.load(path, weights_only=True)['state_dict']


def average(weights):
    """As mmengine's EMAHook and torch's AveragedModel save it."""
    return {
        'steps': torch.tensor(7),
        **{f'module.{key}': value for key, value in weights.items()},
    }


@pytest.mark.parametrize('entry', ['ema_state_dict', 'state_dict_ema', 'model_ema'])
def test_averaged_weights_are_taken_when_asked_for(saved, entry):
    cfg, path, weights = saved
    torch.save(
        {
            entry: average(weights),
            'epoch': 3,
            'optimizer': dict(state=dict(), param_groups=[]),
        },
        path,
    )
    with pytest.raises(SettingError) as error:
        Teacher(TeacherSettings(cfg, path))
    assert str(error.value) == (
        f"teacher checkpoint {path} has weights under '{entry}', not under "
        f"'state_dict'; to take them: teacher=dict(weights='{entry}')"
    )
    teacher = Teacher(TeacherSettings(cfg, path, weights=entry))
    for key, value in teacher.model.state_dict().items():
        assert torch.equal(value, weights[key])
    whole = Teacher(TeacherSettings(cfg, path, weights=entry), heads='all')
    assert torch.equal(
        whole.model.rpn_head.rpn_cls.weight, weights['rpn_head.rpn_cls.weight']
    )
    student = MODELS.build(cfg)
    teacher.bequeath(student, ['rpn_head'])
    assert torch.equal(
        student.rpn_head.rpn_cls.weight, weights['rpn_head.rpn_cls.weight']
    )


def test_one_of_several_entries(saved):
    cfg, path, weights = saved
    other = {key: value + 1 for key, value in weights.items()}
    torch.save(
        dict(
            state_dict=weights,
            ema_state_dict=average(other),
            meta=dict(epoch=1),
            message_hub=dict(),
        ),
        path,
    )
    for entry, expected in (
        (None, weights),
        ('state_dict', weights),
        ('ema_state_dict', other),
    ):
        model = Teacher(TeacherSettings(cfg, path, weights=entry)).model
        assert torch.equal(
            model.backbone.conv1.weight, expected['backbone.conv1.weight']
        )
    with pytest.raises(SettingError) as error:
        Teacher(TeacherSettings(cfg, path, weights='ema_statedict'))
    assert str(error.value) == (
        f"teacher=dict(weights='ema_statedict'): teacher checkpoint {path} "
        "has weights under 'state_dict', 'ema_state_dict'; near names: "
        'ema_state_dict, state_dict'
    )
    with pytest.raises(SettingError, match="under 'state_dict', 'ema_state_"):
        Teacher(TeacherSettings(cfg, path, weights='meta'))


def test_a_file_that_is_the_weights(saved):
    cfg, path, weights = saved
    torch.save(weights, path)
    Teacher(TeacherSettings(cfg, path))
    with pytest.raises(SettingError, match='has weights under no name$'):
        Teacher(TeacherSettings(cfg, path, weights='state_dict'))


def write_as_told(message, folder, monkeypatch):
    """Run the command of a message; it writes new.pth."""
    monkeypatch.chdir(folder)
    exec(re.search('python -c "(.*)"$', message).group(1), {})
    return str(folder / 'new.pth')


@pytest.mark.parametrize(
    'prefix, entry',
    [
        ('student.', None),
        ('model.', None),
        ('architecture.', None),
        ('a.b.', 'ema_state_dict'),
    ],
)
def test_a_prefix_is_named_and_taken_off_as_told(
    saved, tmp_path, monkeypatch, prefix, entry
):
    cfg, path, weights = saved
    state = {
        'criterion.weight': torch.zeros(1),
        **{prefix + key: value for key, value in weights.items()},
    }
    torch.save(
        {
            entry or 'state_dict': state,
            'meta': dict(dataset_meta=dict(classes=('a', 'b'))),
        },
        path,
    )
    with pytest.raises(UserInputError) as error:
        Teacher(TeacherSettings(cfg, path, weights=entry))
    message = str(error.value)
    assert message.startswith(
        f'teacher checkpoint {path} has the names of a FasterRCNN config with '
        f"'{prefix}' before them, as saved by a model around it. To write a "
        'file without: python -c "'
    )
    assert '\n' not in message
    teacher = Teacher(
        TeacherSettings(cfg, write_as_told(message, tmp_path, monkeypatch))
    )
    assert torch.equal(
        teacher.model.backbone.conv1.weight, weights['backbone.conv1.weight']
    )
    assert teacher.class_names == ('a', 'b')


CLASSIFIER = ConfigDict(
    type='ImageClassifier',
    backbone=dict(type='CifarResNet', depth=8, num_classes=3),
    data_preprocessor=dict(type='CropFlipPreprocessor', mean=[0.0] * 3, std=[1.0] * 3),
)


def test_a_classifiers_own_names_behind_a_prefix(saved, tmp_path, monkeypatch):
    _, path, _ = saved
    cfg = CLASSIFIER
    network = MODELS.build(cfg).backbone.state_dict()
    torch.save({f'net.{key}': value for key, value in network.items()}, path)
    with pytest.raises(UserInputError, match="with 'net.' before them") as e:
        Teacher(TeacherSettings(cfg, path))
    new = write_as_told(str(e.value), tmp_path, monkeypatch)
    model = Teacher(TeacherSettings(cfg, new)).model
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, network[key])


def test_no_prefix_where_there_is_none(saved):
    cfg, path, weights = saved
    other = {'student.encoder.weight': torch.zeros(3)}
    half = {k: v for k, v in weights.items() if '.layer3.' not in k}
    for state in (other, half):
        torch.save(dict(state_dict=state), path)
        with pytest.raises(UserInputError, match='does not fit') as error:
            Teacher(TeacherSettings(cfg, path))
        assert 'before them' not in str(error.value)


def test_a_checkpoint_remembers_the_entry_if_it_is_not_the_usual(
    distiller, teachers, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    teacher = dict(teachers['faster_rcnn'], checkpoint=str(tmp_path / 'both.pth'))
    saved = torch.load(teachers['faster_rcnn']['checkpoint'], weights_only=True)[
        'state_dict'
    ]
    torch.save(
        dict(state_dict=saved, ema_state_dict=average(saved)), teacher['checkpoint']
    )
    usual, same, other = (
        distiller(teacher=dict(teacher, **more)).review
        for more in (dict(), dict(weights='state_dict'), dict(weights='ema_state_dict'))
    )
    assert 'teacher weights' not in usual.settings
    same.set_extra_state(usual.get_extra_state())
    assert not said
    other.set_extra_state(usual.get_extra_state())
    assert said[0].endswith('teacher weights None (now: ema_state_dict)')


@pytest.mark.parametrize(
    'meta, classes',
    [
        (dict(classes=('a', 'b')), ('a', 'b')),
        (dict(CLASSES=['a']), ('a',)),
        (dict(classes='a'), ('a',)),
        ([dict(classes=['a'])] * 2, ('a',)),
        ([dict(classes=['a']), dict(classes=['b'])], None),
        ([], None),
        (None, None),
        (5, None),
        (dict(classes=5), None),
        ({1: 5}, None),
        (dict(classes=[1, ('a',)]), None),
        ([[dict(classes=['a'])]], None),
    ],
)
def test_classes_of_any_metainfo(meta, classes):
    assert names_in(meta) == classes


@pytest.fixture
def whole(tmp_path):
    path = save_weights(tiny_detector(), tmp_path / 'weights.pth')
    return torch.load(path, weights_only=True)


def refused(model, weights):
    with pytest.raises(UserInputError) as error:
        load_whole(model, dict(state_dict=weights), 'weights.pth')
    message = str(error.value)
    assert '\n' not in message
    assert message.startswith(
        'checkpoint weights.pth does not fit '
        f'{type(model).__name__}: of '
        f'{len(model.state_dict())} tensors '
    )
    return message


def test_whole_with_more_than_that(whole):
    weights = whole['state_dict']
    weights['review.levels.0.reduce.conv.weight'] = torch.zeros(1)
    weights['roi_head.mask_head.convs.0.conv.weight'] = torch.zeros(1)
    # of a BatchNorm that was saved without; it counts, and computes nothing
    del weights['backbone.bn1.num_batches_tracked']
    model = MODELS.build(tiny_detector())
    load_whole(model, whole, 'weights.pth')
    assert torch.equal(
        model.roi_head.bbox_head.fc_cls.weight,
        weights['roi_head.bbox_head.fc_cls.weight'],
    )


def test_wrappings(whole):
    weights = {f'module.{k}': v for k, v in whole['state_dict'].items()}
    for checkpoint in (weights, dict(state_dict=weights)):
        model = MODELS.build(tiny_detector())
        load_whole(model, checkpoint, 'weights.pth')
        assert torch.equal(
            model.backbone.conv1.weight, weights['module.backbone.conv1.weight']
        )


def test_a_part(whole):
    weights = whole['state_dict']
    for key in [k for k in weights if k.startswith('rpn_head.')]:
        del weights[key]
    assert (
        ' 6 missing (first: rpn_head.rpn_conv.weight, '
        'rpn_head.rpn_conv.bias, rpn_head.rpn_cls.weight). Does it belong '
        'to this config?'
    ) in refused(MODELS.build(tiny_detector()), weights)
    weights = {f'detector.{key}': value for key, value in weights.items()}
    assert ' 130 missing (first: backbone.conv1.weight, ' in refused(
        MODELS.build(tiny_detector()), weights
    )


def test_other_shapes(whole):
    message = refused(MODELS.build(tiny_detector(num_classes=5)), whole['state_dict'])
    assert message.endswith(
        ' 4 of another shape (first: roi_head.bbox_head.fc_cls.weight (3, 16),'
        ' model (6, 16), roi_head.bbox_head.fc_cls.bias (3), model (6), '
        'roi_head.bbox_head.fc_reg.weight (8, 16), model (20, 16)). Does it '
        'belong to this config?'
    )
    del whole['state_dict']['neck.fpn_convs.0.conv.bias']
    assert ' 1 missing (first: neck.fpn_convs.0.conv.bias); 4 of another ' in refused(
        MODELS.build(tiny_detector(num_classes=5)), whole['state_dict']
    )


def test_a_deeper_backbone():
    cfg = tiny_detector()
    cfg.backbone.depth = 34
    assert ' 96 unexpected (first: backbone.layer1.2.conv1.weight, ' in refused(
        MODELS.build(tiny_detector()), MODELS.build(cfg).state_dict()
    )


def rpn():
    cfg = tiny_detector()
    return dict(
        type='RPN',
        data_preprocessor=cfg.data_preprocessor,
        backbone=cfg.backbone,
        neck=cfg.neck,
        rpn_head=cfg.rpn_head,
        train_cfg=cfg.train_cfg,
        test_cfg=cfg.test_cfg,
    )


def test_names_that_the_model_itself_converts(whole, distiller, tmp_path):
    # a two-stage detector's rpn_head is the RPN's bbox_head
    model = MODELS.build(rpn())
    load_whole(model, whole, 'weights.pth')
    expected = whole['state_dict']['rpn_head.rpn_cls.weight']
    assert torch.equal(model.bbox_head.rpn_cls.weight, expected)
    # and so of a distilled one, which is the student
    model = distiller(student=rpn())
    torch.save(whole, tmp_path / 'weights.pth')
    load_checkpoint(model, str(tmp_path / 'weights.pth'))
    assert torch.equal(model.bbox_head.rpn_cls.weight, expected)


def test_whose_file_is_missing():
    with pytest.raises(
        UserInputError, match='^student checkpoint none.pth does not exist'
    ):
        load_file('none.pth', 'student')
