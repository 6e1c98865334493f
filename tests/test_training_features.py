"""mmengine's training features on a distillation run."""

from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from tests.support.detectors import tiny_detector

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def run(project, request):

    def run(**options):
        cfg = Config.fromfile(project / 'distil.py')
        # the first image has no boxes; RetinaNet and the rest need some
        cfg.train_cfg.max_epochs = 1
        cfg.merge_from_dict(options)
        cfg.work_dir = str(project / 'work')
        cfg.visualizer.name = request.node.name
        runner = Runner.from_cfg(cfg)
        runner.train()
        history = runner.message_hub.get_scalar('train/loss_review').data[0]
        assert all(0 < value < 1e3 for value in history)
        checkpoint = load_from_local(str(project / 'work' / 'epoch_1.pth'))
        plain = MODELS.build(tiny_detector())
        result = plain.load_state_dict(checkpoint['state_dict'], strict=False)
        assert not result.missing_keys
        assert all(k.startswith('review.') for k in result.unexpected_keys)
        return runner, checkpoint

    return run


@pytest.mark.parametrize('weight', [1.0, 'auto'])
def test_accumulation_and_clipping(run, weight, monkeypatch):
    monkeypatch.setattr('mmreviewkd.methods.auto_weight.INTERVAL', 1)
    runner, _ = run(
        **{
            'model.review.weight': weight,
            'optim_wrapper.accumulative_counts': 2,
            'optim_wrapper.clip_grad': dict(max_norm=1.0),
        }
    )
    scalars = runner.message_hub.log_scalars
    assert len(scalars['train/grad_norm'].data[0]) == 1
    if weight == 'auto':  # each part of a batch counts
        measured = scalars['train/review_gradient'].data[0]
        assert len(measured) == runner.model.review.auto.measured == 2
        assert measured[0] == pytest.approx(runner.model.review.auto.share, rel=1e-3)


def test_ema_copies_student_and_review_not_the_teacher(run):
    runner, checkpoint = run(
        custom_hooks=[
            dict(
                type='EMAHook',
                ema_type='ExpMomentumEMA',
                momentum=0.1,
                update_buffers=True,
            )
        ]
    )
    (hook,) = [h for h in runner.hooks if type(h).__name__ == 'EMAHook']
    assert (
        hook.ema_model.module.distillation.teacher is runner.model.distillation.teacher
    )
    # what is deployed is the average; the raw weights are kept beside it
    averaged, raw = checkpoint['state_dict'], checkpoint['ema_state_dict']
    assert {k[7:] for k in raw if k != 'steps'} == set(averaged)
    assert not torch.equal(
        averaged['backbone.conv1.weight'], raw['module.backbone.conv1.weight']
    )
    torch.testing.assert_close(
        hook.ema_model.module.backbone.conv1.weight, averaged['backbone.conv1.weight']
    )


def test_activation_checkpointing_goes_by_the_students_names(run):
    runner, _ = run(activation_checkpointing=['backbone.layer1'])
    assert hasattr(runner.model.backbone.layer1.forward, '__wrapped__')


def test_activation_checkpointing_that_takes_the_gradient_of_a_level(run):
    # a neck takes a tuple of maps, in which torch looks for no gradient
    with pytest.raises(
        UserInputError, match='feature of neck of FasterRCNN carries no'
    ):
        run(activation_checkpointing=['neck'])


def test_paramwise_cfg_goes_by_the_students_names(run):
    runner, _ = run(
        **{
            'optim_wrapper.optimizer.weight_decay': 0.01,
            'optim_wrapper.paramwise_cfg': dict(
                custom_keys={
                    'backbone': dict(lr_mult=0.1),
                    'review': dict(decay_mult=0.0),
                }
            ),
        }
    )
    groups = {
        id(p): group
        for group in runner.optim_wrapper.optimizer.param_groups
        for p in group['params']
    }
    model = runner.model
    assert groups[id(model.backbone.conv1.weight)]['lr'] == pytest.approx(1e-4)
    assert groups[id(model.neck.fpn_convs[0].conv.weight)]['lr'] == pytest.approx(1e-3)
    assert groups[id(model.review.levels[0].reduce.conv.weight)]['weight_decay'] == 0


def test_sync_bn_of_student_and_review_alone(distiller):
    from mmengine.model import convert_sync_batchnorm

    model = convert_sync_batchnorm(distiller())
    kinds = {
        name: type(module)
        for name, module in model.named_modules()
        if 'bn' in name.split('.')[-1]
    }
    assert set(kinds.values()) == {torch.nn.SyncBatchNorm}
    assert any(name.startswith('review') for name in kinds)
    assert not any(
        isinstance(m, torch.nn.SyncBatchNorm)
        for m in model.distillation.teacher.modules()
    )


@pytest.mark.parametrize('part', ['review', 'student'])
def test_compiled_parts_give_the_same_numbers(distiller, part):
    if part == 'review' and not hasattr(torch.compiler, 'is_compiling'):
        pytest.skip('torch < 2.3 cannot compile the review')
    torch._dynamo.reset()
    model = distiller('retinanet')
    data = demo_mm_inputs(1, [[3, 64, 64]], num_classes=2)
    data = model.data_preprocessor(data, True)

    def gradients():
        model.zero_grad()
        losses = model(**data, mode='loss')
        model.parse_losses(losses)[0].backward()
        return losses['loss_review'].detach(), {
            name: parameter.grad.clone() for name, parameter in model.named_parameters()
        }

    expected = gradients()
    if part == 'review':
        model.review.loss = torch.compile(model.review.loss, backend='aot_eager')
    else:
        model.backbone.forward = torch.compile(
            model.backbone.forward, backend='aot_eager'
        )
    got = gradients()
    torch.testing.assert_close(got[0], expected[0], rtol=1e-4, atol=1e-5)
    for name, grad in expected[1].items():
        torch.testing.assert_close(got[1][name], grad, rtol=1e-3, atol=1e-4)
