"""A step does not wait for the device, and leaves no tensor on the host.

What mmdet's own heads do, who wait when they choose anchors and proposals, is not run.
"""

from mmreviewkd.methods import Pair, View
from mmreviewkd.methods.self_supervision import projection_head
from mmreviewkd.models.features import record
from tests.support.fake_device import fake_cuda, on_fake_gpu

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

SIZE = 64


def samples(count):
    made = []
    for _ in range(count):
        sample = DetDataSample(metainfo=dict(img_shape=(SIZE - 8, SIZE)))
        boxes = torch.empty(3, 4, device='cuda')
        sample.gt_instances = InstanceData(bboxes=boxes)
        made.append(sample)
    return made


def moved(model):
    on_fake_gpu(model)
    on_fake_gpu(model.distillation.teacher)
    return model


@pytest.mark.parametrize('kind', ['two_stage', 'one_stage', 'rtmdet'], indirect=True)
@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize('same', [False, True])
def test_a_detector(kind, half, same, monkeypatch):
    cfg = kind.config()
    if not same:
        cfg['teacher']['config']['data_preprocessor'] = dict(
            type='DetDataPreprocessor', mean=[1.0] * 3, std=[2.0] * 3, bgr_to_rgb=True
        )
    model = MODELS.build(cfg)
    distillation = model.distillation
    with fake_cuda(monkeypatch):
        moved(model)
        images = torch.empty(2, 3, SIZE, SIZE, device='cuda')
        with torch.autocast('cuda', torch.float16, enabled=half):
            targets, _ = distillation.teacher(images, samples(2))
            with record(model, distillation.names) as features:
                model.extract_feat(images)
            views = distillation.matching(features, targets)
            ours, theirs = (View(features=levels) for levels in views)
            losses = model.review.losses(ours, theirs)
        assert {value.device.type for value in losses.values()} == {'cuda'}
        distillation.check_finite(dict(loss_review=losses['loss']), ours, theirs)


@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
@pytest.mark.parametrize('logits', ['KDLoss', 'DKDLoss'])
@pytest.mark.parametrize('same', [False, True])
@pytest.mark.parametrize('weight', [1.0, 'auto'])
def test_a_classifier(kind, logits, same, weight, monkeypatch):
    cfg = dict(kind.config(), review=dict(weight=weight), logits=dict(type=logits))
    if not same:
        cfg['teacher']['config']['data_preprocessor']['mean'] = [1.0] * 3
    model = MODELS.build(cfg)
    # there is no backward pass on the fake device
    monkeypatch.setattr(
        torch.autograd, 'grad', lambda _, inputs, **__: [x.detach() for x in inputs]
    )
    with fake_cuda(monkeypatch):
        moved(model)
        images = torch.empty(4, 3, 32, 32, dtype=torch.uint8, device='cuda')
        labels = torch.empty(4, dtype=torch.int64, device='cuda')
        model.data_preprocessor._device = torch.device('cuda')
        data = model.data_preprocessor(dict(inputs=images, data_samples=labels), True)
        losses = model(**data, mode='loss')
        assert {value.device.type for value in losses.values()} == {'cuda'}
        with pytest.raises(AssertionError, match='waits for the device'):
            model.distillation.check_finite.finish()


def test_the_fake_device_finds_what_waits(monkeypatch):
    with fake_cuda(monkeypatch):
        values = torch.empty(3, device='cuda')
        for wait in (
            lambda: values.tolist(),
            lambda: values.cpu(),
            lambda: bool(values.isfinite().all()),
            lambda: values[values > 0],
            lambda: values + torch.empty(3),
            lambda: torch.empty(3).copy_(values),
            lambda: values.new_tensor([1.0]),
            lambda: torch.tensor([1.0], device='cuda'),
        ):
            with pytest.raises((AssertionError, RuntimeError)):
                wait()


@pytest.mark.parametrize(
    'method',
    [
        *('AttentionTransfer', 'SimilarityPreserving', 'FitNet', 'VID', 'PKT', 'CC'),
        *('CorrelationCongruence', 'RKD', 'DIST', 'Mimic', 'PKD', 'CWD', 'MGD', 'FGD'),
        *('OFD', 'CRD', 'SSKD'),
    ],
)
def test_other_methods(method, monkeypatch, tmp_path):
    head = dict(head=projection_head(16))
    torch.save(torch.nn.ModuleDict(head).state_dict(), tmp_path / 'head.pth')
    settings = dict(
        CRD=dict(num_samples=9, num_negatives=4),
        SSKD=dict(teacher_head=str(tmp_path / 'head.pth')),
    )
    pair = Pair(
        ['stride 8', 'stride 16', 'pooled'],
        [4, 8, 8],
        [6, 8, 16],
        [8, 16, 32],
        teacher_strides=[8, 16, 32],
        maps=[0, 1],
        teacher_norms=[(torch.ones(c), torch.zeros(c)) for c in (6, 8)],
    )
    made = MODELS.get(method).for_pair(pair, **settings.get(method, {}))
    made._unchecked = 0  # CRD waits in its first two epochs
    with fake_cuda(monkeypatch):
        on_fake_gpu(made)
        if method == 'SSKD':
            on_fake_gpu(made.teacher_head)
        views = []
        for channels in (pair.student_channels, pair.teacher_channels):
            sizes = [(8, 8), (4, 4), (1, 1)]
            views.append(
                View(
                    features=[
                        torch.empty(4, c, *size, device='cuda')
                        for c, size in zip(channels, sizes)
                    ],
                    logits=torch.empty(4, 5, device='cuda'),
                    labels=torch.empty(4, dtype=torch.int64, device='cuda'),
                    boxes=[torch.empty(2, 4, device='cuda')] * 4,
                    sample_idx=torch.empty(4, dtype=torch.int64, device='cuda'),
                )
            )
        losses = made.losses(*views)
    assert {value.device.type for value in losses.values()} == {'cuda'}
