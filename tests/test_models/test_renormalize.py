"""The teacher sees each image in its own normalisation."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.renormalize import Renormalization, check_preprocessors

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
    got = Renormalization(source, target)(inputs, samples)
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
        Renormalization(source, target)(inputs, samples), expected, rtol=1e-5, atol=1e-4
    )
    # and back, where the values are of order one
    source, inputs, samples = preprocess(CAFFE, torch.float32)
    target, expected, _ = preprocess(IMAGENET, torch.float32)
    torch.testing.assert_close(
        Renormalization(source, target)(inputs, samples), expected, rtol=1e-5, atol=1e-5
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
