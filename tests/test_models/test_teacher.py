"""The teacher: strict loading and its own normalisation."""

import json

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.configs import load_config
from mmreviewkd.models.renormalize import check_preprocessors, renormalize
from mmreviewkd.models.settings import TeacherSettings
from mmreviewkd.models.teacher import Teacher
from tests.conftest import save_weights, tiny_detector

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.model import BaseDataPreprocessor

IMAGENET = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)
CAFFE = dict(
    mean=[103.530, 116.280, 123.675],
    std=[1.0, 1.0, 1.0],
    bgr_to_rgb=False,
    pad_size_divisor=32,
)
NONE = dict(pad_value=114, pad_size_divisor=32)


def images(dtype=torch.uint8):
    torch.manual_seed(0)
    return [
        (torch.rand(3, *size) * 255).to(dtype)
        for size in ((50, 70), (64, 33), (61, 96))
    ]


def preprocess(settings, dtype=torch.uint8):
    module = DetDataPreprocessor(**settings)
    data = dict(
        inputs=images(dtype),
        data_samples=[
            DetDataSample(metainfo=dict(img_shape=tuple(i.shape[1:])))
            for i in images(dtype)
        ],
    )
    out = module(data, training=True)
    return module, out['inputs'], out['data_samples']


@pytest.mark.parametrize('student', [IMAGENET, CAFFE, NONE])
@pytest.mark.parametrize(
    'teacher',
    [
        IMAGENET,
        CAFFE,
        NONE,
        dict(IMAGENET, pad_value=1.5),
        dict(CAFFE, pad_size_divisor=128),
        dict(IMAGENET, pad_size_divisor=1),
    ],
)
def test_bitwise_what_the_teachers_own_preprocessor_makes(student, teacher):
    source, inputs, samples = preprocess(student)
    before = inputs.clone()
    # where the student pads further than the teacher, both see its size
    divisor = max(student['pad_size_divisor'], teacher['pad_size_divisor'])
    target, expected, _ = preprocess(dict(teacher, pad_size_divisor=divisor))
    got = renormalize(inputs, samples, source, target)
    assert torch.equal(got, expected)
    assert torch.equal(inputs, before)
    if {**student, 'pad_size_divisor': 0} == {
        **teacher,
        'pad_size_divisor': 0,
    } and divisor == student['pad_size_divisor']:
        assert got is inputs  # nothing to do, nothing copied


def test_images_of_fractions_to_1e_5():
    source, inputs, samples = preprocess(IMAGENET, torch.float32)
    target, expected, _ = preprocess(CAFFE, torch.float32)
    torch.testing.assert_close(
        renormalize(inputs, samples, source, target), expected, rtol=1e-5, atol=1e-4
    )
    # and back, where the values are of order one
    source, inputs, samples = preprocess(CAFFE, torch.float32)
    target, expected, _ = preprocess(IMAGENET, torch.float32)
    torch.testing.assert_close(
        renormalize(inputs, samples, source, target), expected, rtol=1e-5, atol=1e-5
    )


def test_features_cover_the_students_extent(distiller, teachers):
    cfg = dict(teachers['faster_rcnn'])
    cfg['config'] = cfg['config'].copy()
    cfg['config']['data_preprocessor'] = dict(
        type='DetDataPreprocessor', **dict(CAFFE, pad_size_divisor=128)
    )
    model = distiller(teacher=cfg)
    source, inputs, samples = preprocess(dict(IMAGENET, pad_size_divisor=32))
    teacher = model.distillation.teacher
    teacher.__dict__['source'] = source
    features, outputs = teacher(inputs, samples)
    assert all(map(torch.equal, features, outputs))
    assert inputs.shape[-2:] == (64, 96)
    _, padded, _ = preprocess(dict(CAFFE, pad_size_divisor=128))
    whole = teacher.model.extract_feat(padded)
    for feature, full, stride in zip(features, whole, (4, 8, 16, 32, 64)):
        h, w = -(-64 // stride), -(-96 // stride)
        assert torch.equal(feature, full[..., :h, :w])
    shapes = [sample.img_shape for sample in samples]
    losses = model(inputs, list(_samples(shapes)), mode='loss')
    assert torch.isfinite(losses['loss_review'])


def _samples(shapes):
    from mmengine.structures import InstanceData

    for shape in shapes:
        sample = DetDataSample(
            metainfo=dict(
                img_shape=shape,
                pad_shape=(64, 96),
                batch_input_shape=(64, 96),
                ori_shape=shape,
                scale_factor=(1, 1),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[4.0, 4.0, 30.0, 30.0]]), labels=torch.tensor([1])
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
        yield sample


def test_impossible_preprocessors_are_refused():
    with pytest.raises(
        UserInputError, match="teacher's data_preprocessor is a BaseDataPreprocessor"
    ):
        check_preprocessors(DetDataPreprocessor(), BaseDataPreprocessor())


def test_the_log_says_what_differs(caplog, monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmreviewkd.models.renormalize.print_log',
        lambda message, *_: lines.append(message),
    )
    check_preprocessors(
        DetDataPreprocessor(**IMAGENET), DetDataPreprocessor(**IMAGENET)
    )
    assert not lines
    check_preprocessors(
        DetDataPreprocessor(**IMAGENET),
        DetDataPreprocessor(**dict(IMAGENET, pad_value=3)),
    )
    assert lines == [
        'The teacher sees each image in its own normalisation: pad_value 3 (student: 0)'
    ]
    check_preprocessors(
        DetDataPreprocessor(**IMAGENET),
        DetDataPreprocessor(**dict(IMAGENET, pad_size_divisor=128)),
    )
    assert lines[1].endswith('pad_size_divisor 128 (student: 32)')


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
    with pytest.raises(UserInputError) as error:
        load_config(str(config))
    assert str(error.value).startswith(f'config {config}: ')
    assert 'none.py' in str(error.value)


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
        ('/q.py', None),
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
