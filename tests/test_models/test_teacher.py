"""The teacher: strict loading, another image size, and what it hands on."""

import json

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.settings import TeacherSettings
from mmreviewkd.models.teacher import Teacher
from tests.support.batches import batch
from tests.support.checkpoints import snapshot
from tests.support.detectors import save_weights, tiny_detector

import pytest
import torch


# ------------------------------------------------------------------ loading
@pytest.fixture
def checkpoint(tmp_path):
    cfg = tiny_detector()
    return (
        cfg,
        tmp_path / 'teacher.pth',
        torch.load(save_weights(cfg, tmp_path / 'teacher.pth'), weights_only=True),
    )


def refused(cfg, path):
    with pytest.raises(UserInputError) as error:
        Teacher(TeacherSettings(cfg, str(path)))
    assert str(path) in str(error.value)
    return str(error.value)


def test_heads_are_neither_kept_nor_needed(checkpoint):
    _cfg, path, saved = checkpoint
    other = tiny_detector(num_classes=7)
    teacher = Teacher(TeacherSettings(other, str(path)))
    assert {n.split('.')[0] for n, _ in teacher.model.named_parameters()} == {
        'backbone',
        'neck',
    }
    for key, value in teacher.model.state_dict().items():
        assert torch.equal(value, saved['state_dict'][key])
    assert teacher.levels.strides == [4, 8, 16, 32, 64]
    assert teacher.levels.channels == [8] * 5


@pytest.mark.parametrize('prefix, wrap', [('', True), ('', False), ('module.', True)])
def test_usual_wrappings_are_understood(checkpoint, prefix, wrap):
    cfg, path, saved = checkpoint
    state = {prefix + k: v for k, v in saved['state_dict'].items()}
    torch.save(dict(state_dict=state) if wrap else state, path)
    assert torch.equal(
        Teacher(TeacherSettings(cfg, str(path))).model.backbone.conv1.weight,
        saved['state_dict']['backbone.conv1.weight'],
    )


def test_half_the_keys(checkpoint):
    cfg, path, saved = checkpoint
    state = saved['state_dict']
    parts = [k for k in state if k.split('.')[0] in ('backbone', 'neck')]
    for key in [k for k in state if k.startswith('backbone.layer3')]:
        del state[key]
    torch.save(saved, path)
    message = refused(cfg, path)
    assert '25 missing (first: backbone.layer3.0.conv1.weight, ' in message
    assert f'of {len(parts)} tensors in backbone, neck ' in message


def test_another_width(checkpoint):
    _, path, _ = checkpoint
    message = refused(tiny_detector(width=6), path)
    assert (
        'of another shape (first: backbone.conv1.weight (4, 3, 7, 7), '
        'model (6, 3, 7, 7), ' in message
    )
    assert ' missing' not in message


def test_another_architecture(checkpoint):
    cfg, path, saved = checkpoint
    saved['state_dict'] = {'encoder.weight': torch.zeros(3)}
    torch.save(saved, path)
    message = refused(cfg, path)
    assert 'missing (first: backbone.conv1.weight' in message
    deeper = tiny_detector()
    deeper.backbone.depth = 34
    save_weights(deeper, path)
    assert 'unexpected (first: backbone.layer1.2.' in refused(cfg, path)


def test_files_that_are_no_checkpoint(checkpoint, tmp_path):
    cfg, path, _ = checkpoint
    assert 'does not exist' in refused(cfg, tmp_path / 'nowhere.pth')
    whole = path.read_bytes()
    for content in (b'', whole[: len(whole) // 2], b'<!DOCTYPE html><html>'):
        path.write_bytes(content)
        assert 'cannot be read' in refused(cfg, path)
    torch.save([1, 2], path)
    assert 'holds a list, not weights' in refused(cfg, path)


def test_a_distilled_student_teaches_in_turn(checkpoint, distiller, tmp_path):
    cfg, path, _ = checkpoint
    model = distiller()
    torch.save(dict(state_dict=model.state_dict()), path)
    config = tmp_path / 'distilled.py'
    wrapped = dict(
        type='ReviewKD', student=cfg.to_dict(), teacher=dict(), review=dict(weight=1.0)
    )
    config.write_text(
        f'model = {json.dumps(wrapped)}'.replace('true', 'True')
        .replace('false', 'False')
        .replace('null', 'None')
    )
    teacher = Teacher(TeacherSettings(str(config), str(path)))
    assert torch.equal(teacher.model.backbone.conv1.weight, model.backbone.conv1.weight)


@pytest.mark.parametrize(
    'scale, sizes',
    [
        # 64x96 pixels become 128x192, whose levels are those of half the stride
        (2, {4: (16, 24), 8: (8, 12), 16: (4, 6), 32: (2, 3)}),
        # 96x144, and padded to 96x160; the cells of the padding are cut off
        (1.5, {4: (12, 18), 8: (6, 9), 16: (3, 5), 32: (2, 3)}),
        (1.25, {4: (20, 30), 8: (10, 15), 16: (5, 8), 32: (3, 4), 64: (2, 2)}),
        (0.5, {8: (8, 12), 16: (4, 6), 32: (2, 3), 64: (1, 2)}),
    ],
)
def test_teacher_at_another_image_size(distiller, teachers, scale, sizes):
    teacher = dict(teachers['faster_rcnn'], scale=scale)
    model = distiller(teacher=teacher, strides=tuple(sizes))
    data = model.data_preprocessor(batch([(64, 96), (60, 90)]), True)
    losses = model(**data, mode='loss')
    targets, _ = model.distillation.teacher(data['inputs'], data['data_samples'])
    assert {
        stride: tuple(targets[j].shape[-2:])
        for stride, (_, j) in zip(sizes, model.distillation.match.indices)
    } == sizes
    assert losses['loss_review'] > 0
    model.parse_losses(losses)[0].backward()
    # what it sees: the same image, larger
    inputs = torch.nn.functional.interpolate(
        data['inputs'], scale_factor=scale, mode='bilinear', antialias=True
    )
    inputs = torch.nn.functional.pad(
        inputs, (0, -inputs.size(3) % 32, 0, -inputs.size(2) % 32)
    )
    for target, whole in zip(
        targets, model.distillation.teacher.model.extract_feat(inputs)
    ):
        assert torch.equal(target, whole[..., : target.size(2), : target.size(3)])


def test_student_inherits_parts_of_the_teacher(
    distiller, teachers, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.models.teacher.print_log', lambda message, *_: said.append(message)
    )
    # same neck and RoI head, another number of classes
    teacher = tiny_detector(width=4, num_classes=5)
    path = save_weights(teacher, tmp_path / 'teacher.pth')
    given = torch.load(path, weights_only=True)['state_dict']
    model = distiller(
        teacher=dict(config=teacher, checkpoint=path), inherit=('neck', 'roi_head')
    )
    before = snapshot(model)
    model.init_weights()
    state = model.state_dict()
    for key, value in state.items():
        if (
            key.split('.')[0] in ('neck', 'roi_head')
            and given[key].shape == value.shape
        ):
            assert torch.equal(value, given[key]), key
    left = [
        f'roi_head.bbox_head.{name}'
        for name in ('fc_cls.weight', 'fc_cls.bias', 'fc_reg.weight', 'fc_reg.bias')
    ]
    assert said[-2].startswith("The student starts with the teacher's neck: ")
    assert said[-1].endswith('; not ' + ', '.join(left))
    assert not torch.equal(
        before['neck.fpn_convs.0.conv.weight'], state['neck.fpn_convs.0.conv.weight']
    )
    assert not torch.equal(
        given['backbone.conv1.weight'], state['backbone.conv1.weight']
    )
    with pytest.raises(
        UserInputError,
        match='inherit: none of the 16 tensors '
        "of the student's neck has its name and shape in",
    ):
        distiller(inherit=('neck',)).init_weights()
