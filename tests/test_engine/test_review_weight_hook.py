"""The weight over a run: its shape, its resume, and what runs at zero."""

import json
from types import SimpleNamespace

from mmreviewkd.engine import ReviewWeightHook
from mmreviewkd.errors import UserInputError

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (dict(), {0: 1, 5: 1, 500: 1}),
        # published for CIFAR-100: min(1, epoch / 20), from 0
        (dict(warmup=20), {0: 0, 1: 0.05, 10: 0.5, 19: 0.95, 20: 1, 200: 1}),
        (dict(decay=(10, 20)), {0: 1, 10: 1, 15: 0.5, 20: 0, 30: 0}),
        (dict(stop=7), {0: 1, 6: 1, 7: 0, 8: 0}),
        (
            dict(warmup=2, decay=(4, 8), stop=9),
            {0: 0, 1: 0.5, 3: 1, 6: 0.5, 8: 0, 9: 0},
        ),
        (dict(stop=0), {0: 0}),
    ],
)
def test_factor(arguments, expected):
    hook = ReviewWeightHook(**arguments)
    for t, factor in expected.items():
        assert hook.factor(t) == pytest.approx(factor)


@pytest.mark.parametrize(
    'arguments',
    [
        dict(warmup=-1),
        dict(decay=(5, 5)),
        dict(decay=(6, 5)),
        dict(stop=-2),
        dict(warmup=5, decay=(3, 9)),
        dict(decay=(3, 9), stop=8),
        dict(decay=(1, 2, 3)),
        dict(decay=5),
        dict(warmup='5'),
        dict(warmup=True),
        dict(decay=(1, None)),
    ],
)
def test_points_out_of_order(arguments):
    with pytest.raises(UserInputError, match='in this order'):
        ReviewWeightHook(**arguments)


def test_other_models_and_methods_are_refused_before_the_first_step(distiller):
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), epoch=0)
    with pytest.raises(UserInputError, match='needs a ReviewKD model, not Linear'):
        ReviewWeightHook(by_epoch=False).before_train(runner)
    runner.model = distiller()
    ReviewWeightHook(by_epoch=False, methods=['review']).before_train(runner)
    with pytest.raises(UserInputError, match='methods of this run are review$'):
        ReviewWeightHook(by_epoch=False, methods=['kd']).before_train(runner)


def test_epochs_are_not_counted_where_there_are_none(project):
    cfg = Config.fromfile(project / 'distil.py')
    cfg.work_dir, cfg.visualizer.name = str(project / 'work'), 'iterations'
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
    cfg.custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]
    with pytest.raises(UserInputError, match='set by_epoch=False'):
        Runner.from_cfg(cfg).train()


def test_weight_is_set_by_epoch_or_iteration_and_logged(distiller):
    model = distiller(review=dict(weight=4.0))
    hub = MessageHub.get_instance('weights')
    runner = SimpleNamespace(model=model, epoch=1, iter=30, message_hub=hub)
    for by_epoch, expected in ((True, 0.25), (False, 1.0)):
        ReviewWeightHook(warmup=4, by_epoch=by_epoch).before_train_iter(runner, 0)
        assert model.review.factor == expected
        assert hub.get_scalar('train/review_weight').current() == 4 * expected
        data = model.data_preprocessor(
            demo_mm_inputs(1, [[3, 64, 64]], num_classes=2), True
        )
        losses = model(**data, mode='loss')
        torch.testing.assert_close(
            losses['loss_review'],
            4 * expected * sum(v for k, v in losses.items() if 'stride' in k),
        )


def test_after_the_end_only_the_student_runs(distiller, monkeypatch):
    model = distiller()
    ReviewWeightHook(stop=0).before_train_iter(
        SimpleNamespace(
            model=model, epoch=0, iter=0, message_hub=MessageHub.get_instance('ended')
        ),
        0,
    )
    monkeypatch.setattr(model.distillation.teacher, 'forward', None)
    monkeypatch.setattr(model.review, 'loss', None)
    data = model.data_preprocessor(
        demo_mm_inputs(1, [[3, 64, 64]], num_classes=2), True
    )
    losses = model(**data, mode='loss')
    assert losses['loss_review'] == 0
    assert not [key for key in losses if 'stride' in key]
    model.parse_losses(losses)[0].backward()
    # a gradient of zero, which DDP asks for
    for parameter in model.review.parameters():
        assert (parameter.grad == 0).all()


@pytest.mark.slow
def test_resumed_run_takes_up_the_schedule(project):
    def run(name, **options):
        cfg = Config.fromfile(project / 'distil.py')
        cfg.merge_from_dict(options)
        cfg.work_dir = str(project / 'work')
        cfg.visualizer.name = name
        cfg.custom_hooks = [dict(type='ReviewWeightHook', warmup=2, stop=3)]
        Runner.from_cfg(cfg).train()
        path = max((project / 'work').glob('*/vis_data/scalars.json'))
        return {
            line['epoch']: line['review_weight']
            for line in map(json.loads, path.read_text().splitlines())
            if 'review_weight' in line
        }

    assert run('first') == {1: 0, 2: 0.5}
    resumed = run('second', **{'resume': True, 'train_cfg.max_epochs': 4})
    assert resumed == {3: 1, 4: 0}
