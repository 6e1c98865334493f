"""Tools of torch, mmengine and mmdet take a distilled student for a plain one."""

import copy
import logging
from functools import partial
from types import SimpleNamespace

from mmreviewkd.errors import UserInputError
from tests.support.project import DISTIL_CONFIG, PLAIN_CONFIG
from tests.support.students import (
    DETECTORS,
    assert_same,
    losses_of,
    predictions_of,
)

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmdet.apis import inference_detector, init_detector
from mmdet.engine.hooks import (
    MeanTeacherHook,
    PipelineSwitchHook,
    YOLOXModeSwitchHook,
)
from mmdet.registry import MODELS
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.runner import turn_on_activation_checkpointing
from torch import nn

detectors = pytest.mark.parametrize('kind', DETECTORS, indirect=True)


def step(model, data):
    """One ``train_step``; what it logs."""
    torch.manual_seed(2)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    return model.train_step(copy.deepcopy(data), optimizer)


# ---------------------------------------------------------- torch, mmengine
@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/meeting', rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


def test_ddp_finds_every_parameter_used(kind, one_process):
    alone, model = kind.distilled(), kind.distilled()
    wrapped = MMDistributedDataParallel(model)
    assert not wrapped.find_unused_parameters
    synchronised = {id(p) for p in wrapped._module_parameters}
    assert synchronised == {id(p) for p in model.parameters()}
    data = kind.batch()
    # the second would be refused if the first had left a parameter out
    for _ in range(2):
        assert_same(step(wrapped, data), step(alone, data))
    assert_same(model.state_dict(), alone.state_dict())


def count(model, layer):
    return sum(isinstance(module, layer) for module in model.modules())


def test_sync_bn(kind):
    plain, model = kind.pair()
    data = kind.batch()
    before = predictions_of(model, data)
    norms = count(model, nn.BatchNorm2d)
    assert norms == count(plain, nn.BatchNorm2d) + count(model.review, nn.BatchNorm2d)
    synced = convert_sync_batchnorm(model, 'torch')
    assert synced is model
    assert count(model, nn.SyncBatchNorm) == norms
    assert not count(model.distillation.teacher, nn.SyncBatchNorm)
    # as init_detector does it
    assert_same(predictions_of(revert_sync_batchnorm(model), data), before)
    assert not count(model, nn.SyncBatchNorm)


@pytest.mark.slow
def test_compiled_train_step(kind):
    # which measures gradients in each of these steps
    plain, model = (kind.distilled(weight='auto') for _ in range(2))
    data = kind.batch()
    # as the Runner does it
    model.train_step = torch.compile(model.train_step, backend='eager')
    for _ in range(2):
        torch.testing.assert_close(step(model, data), step(plain, data))


# modules in the middle, whose inputs have a gradient
CHECKPOINTED = dict(
    two_stage=['backbone.layer2', 'backbone.layer4', 'neck.fpn_convs.0'],
    one_stage=['backbone.layer2', 'backbone.layer4', 'neck.fpn_convs.0'],
    rtmdet=['backbone.stage2', 'backbone.stage4'],
    detr=['backbone.layer2', 'backbone.layer4', 'neck.convs.0'],
    classifier=['backbone.layer2', 'backbone.layer3'],
)


@pytest.mark.parametrize('weight', [1.0, 'auto'])
def test_activation_checkpointing(kind, weight):
    usual, model = (kind.distilled(weight=weight) for _ in range(2))
    turn_on_activation_checkpointing(model, CHECKPOINTED[kind.name])
    data = kind.batch()
    found = []
    if kind.name == 'classifier' and weight == 'auto':
        # a stage comes after another one, whose gradient is measured
        with pytest.raises(UserInputError, match='through activation checkpointing'):
            losses_of(model, data)
        return
    for each in (usual, model):
        losses = losses_of(each, data)
        each.parse_losses(losses)[0].backward()
        found.append([losses, {n: p.grad for n, p in each.named_parameters()}])
    assert_same(found[0][0], found[1][0])
    assert found[0][1].keys() == found[1][1].keys()
    for name, grad in found[0][1].items():
        if grad is not None:
            torch.testing.assert_close(found[1][1][name], grad, rtol=1e-4, atol=1e-4)


def test_complexity_is_the_plain_students(kind):
    plain, model = kind.pair()
    found = []
    for each in (plain, model):
        each.eval()
        data = each.data_preprocessor(kind.batch())
        # as mmdet's get_flops.py does it
        each.forward = partial(each.forward, data_samples=data['data_samples'])
        found.append(
            get_model_complexity_info(
                each, inputs=data['inputs'], show_table=False, show_arch=False
            )
        )
    assert found[0]['flops'] == found[1]['flops'] > 0
    assert found[0]['activations'] == found[1]['activations']
    # the review is a part of it that does not run
    review = sum(parameter.numel() for parameter in model.review.parameters())
    assert found[1]['params'] == found[0]['params'] + review


# -------------------------------------------------------------------- mmdet
def runner(model):
    return SimpleNamespace(
        model=model,
        epoch=9,
        max_epochs=10,
        iter=0,
        logger=logging.getLogger('test'),
        train_dataloader=SimpleNamespace(
            dataset=SimpleNamespace(
                pipeline=None, update_skip_type_keys=lambda keys: None
            )
        ),
    )


def answer(call, *args):
    """What a call comes to, an exception included."""
    try:
        return call(*args)
    except Exception as error:
        return type(error), str(error)


def test_hooks_that_look_at_the_model(kind):
    plain, model = kind.pair()
    for name in ('teacher', 'student', 'detector'):
        assert not hasattr(model, name)
    answers = []
    for each in (plain, model):
        modes, pipeline = YOLOXModeSwitchHook(), PipelineSwitchHook(0, [])
        means = MeanTeacherHook()
        answers.append(
            [
                answer(modes.before_train_epoch, runner(each)),
                getattr(each, 'bbox_head', nn.Identity()).__dict__.get('use_l1'),
                answer(pipeline.before_train_epoch, runner(each)),
                answer(means.before_train, runner(each)),
                answer(means.after_train_iter, runner(each), 0),
            ]
        )
    assert answers[0] == answers[1]
    with_head = kind.name not in ('two_stage', 'classifier')
    assert answers[1][:3] == (
        [None, True, None]
        if with_head
        else [
            (
                AttributeError,
                f"'{kind.student['type']}' object has no attribute 'bbox_head'",
            ),
            None,
            None,
        ]
    )
    assert [error for error, _ in answers[1][3:]] == [AssertionError, AttributeError]


@detectors
def test_test_time_augmentation(kind):
    nms = dict(type='nms', iou_threshold=0.5)
    tta = Config(dict(type='DetTTAModel', tta_cfg=dict(nms=nms, max_per_img=10)))
    data = kind.batch()
    found = []
    for module in (kind.plain(), kind.distilled(), kind.config()):
        torch.manual_seed(1)  # of the config that it builds itself
        model = MODELS.build(dict(tta._cfg_dict, module=module)).eval()
        inputs = copy.deepcopy(data)
        for sample in inputs['data_samples']:
            sample.set_metainfo(dict(flip=False, flip_direction=None))
        flipped = copy.deepcopy(inputs)
        flipped['inputs'] = [image.flip(-1) for image in flipped['inputs']]
        for sample in flipped['data_samples']:
            sample.set_metainfo(dict(flip=True, flip_direction='horizontal'))
        with torch.no_grad():
            samples = model.test_step(
                {key: [inputs[key], flipped[key]] for key in inputs}
            )
        found.append([sample.pred_instances.to_dict() for sample in samples])
    assert len(found[0][0]['scores'])
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


@detectors
@pytest.mark.parametrize(
    'options',
    [None, {}],
)
def test_init_detector(kind, options, coco, tmp_path):
    for name, model in (('plain', kind.student), ('teacher', kind.teacher['config'])):
        model = Config(dict(model=model)).model.to_dict()
        (tmp_path / f'{name}.py').write_text(
            PLAIN_CONFIG.format(model=model, root=coco)
        )
    (tmp_path / 'distil.py').write_text(
        DISTIL_CONFIG.format(
            student='plain.py',
            teacher=tmp_path / 'teacher.py',
            checkpoint=kind.teacher['checkpoint'],
        )
    )
    path = str(tmp_path / 'epoch_1.pth')
    state = kind.distilled(seed=5).state_dict()
    meta = dict(dataset_meta=dict(classes=('a', 'b')))
    torch.save(dict(state_dict=state, meta=meta), path)
    image = np.random.RandomState(0).randint(0, 256, (96, 128, 3), np.uint8)
    found = []
    for name in ('plain', 'distil'):
        config = str(tmp_path / f'{name}.py')
        model = init_detector(config, path, device='cpu', cfg_options=options)
        assert type(model).__name__ == kind.student['type']
        result = inference_detector(model, image)
        found.append(result.pred_instances.to_dict())
    assert len(found[0]['scores'])
    assert_same(*found)
