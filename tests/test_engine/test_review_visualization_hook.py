"""Pictures of the review, and its losses, in what a run logs."""

import json
from pathlib import Path
from types import SimpleNamespace

from mmreviewkd.engine import ReviewVisualizationHook
from mmreviewkd.errors import UserInputError
from tests.support.project import write_project

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner


def train(folder, name, backends=('Local',), **changes):
    cfg = Config.fromfile(folder / 'distil.py')
    cfg.work_dir = str(folder / name)
    cfg.visualizer.update(
        name=name, vis_backends=[dict(type=f'{each}VisBackend') for each in backends]
    )
    for key, value in changes.items():
        cfg[key] = value
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [
        {key: value for key, value in json.loads(line).items() if 'time' not in key}
        for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope='module')
def runs(tmp_path_factory, coco, teachers):
    pytest.importorskip('tensorboard')
    folder = write_project(tmp_path_factory.mktemp('pictures'), coco, teachers)
    hook = dict(type='ReviewVisualizationHook')
    ema = dict(type='EMAHook')
    return (
        train(folder, 'with', ('Local', 'Tensorboard'), custom_hooks=[ema, hook]),
        train(folder, 'without', custom_hooks=[ema]),
    )


def test_the_run_is_the_same(runs):
    with_hook, without = runs
    logged = scalars(with_hook.work_dir)
    assert logged == scalars(without.work_dir)
    # four steps and two validations
    assert sum('loss_review' in line for line in logged) == 4
    assert len(logged) == 6
    theirs = without.model.state_dict()
    for key, value in with_hook.model.state_dict().items():
        assert torch.equal(value, theirs[key]), key


def test_pictures(runs):
    with_hook, without = runs

    def pictures(run):
        return sorted(Path(run.work_dir).glob('*/vis_data/vis_image/*.png'))

    assert not pictures(without)
    found = pictures(with_hook)
    assert [path.name for path in found] == [
        f'review_{image}_{epoch}.png' for image in '01' for epoch in (1, 2)
    ]
    first, later = (cv2.imread(str(path)) for path in found[:2])
    assert first.shape == later.shape and not np.array_equal(first, later)


def test_tensorboard(runs):
    from tensorboard.backend.event_processing import event_accumulator

    (folder,) = Path(runs[0].work_dir).glob('*/vis_data')
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    images = events.Tags()['images']
    assert sorted(images) == ['review_0', 'review_1']
    assert [event.step for event in events.Images('review_0')] == [1, 2]
    lines = [line for line in scalars(runs[0].work_dir) if 'loss' in line]
    for key in ('loss_review', *(f'review_stride{s}' for s in (4, 8, 16, 32, 64))):
        assert [event.value for event in events.Scalars(key)] == pytest.approx(
            [line[key] for line in lines]
        ), key


@pytest.mark.slow
def test_every_second_validation_of_an_iteration_based_run(project):
    runner = train(
        project,
        'iterations',
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1),
        custom_hooks=[dict(type='ReviewVisualizationHook', num_images=1, interval=2)],
    )
    found = Path(runner.work_dir).glob('*/vis_data/vis_image/*.png')
    assert sorted(path.name for path in found) == ['review_0_1.png', 'review_0_3.png']


@pytest.mark.parametrize(
    'begin, interval, epochs, drawn',
    [
        (1, 1, [1, 2, 3, 4, 5], [1, 3, 5]),
        (1, 1, [4, 5], [5]),  # resumed
        (1, 4, [4, 8, 12, 14], [4, 12]),
        (3, 2, [4, 6, 8, 9], [4, 8]),
        (1, 1, [0], [0]),  # validated without training
    ],
)
def test_what_is_drawn_follows_from_the_epoch(begin, interval, epochs, drawn):
    class Data:
        def __len__(self):
            found.append(runner.epoch)
            return 0

    hook, found = ReviewVisualizationHook(interval=2), []
    runner = SimpleNamespace(
        model=None,
        val_begin=begin,
        val_interval=interval,
        val_dataloader=SimpleNamespace(dataset=Data()),
    )
    for runner.epoch in epochs:
        hook.after_val_epoch(runner)
    assert found == drawn


def test_only_one_process_draws(monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    # would need a runner
    ReviewVisualizationHook().after_val_epoch(None)


def test_settings_and_runs_that_it_cannot_serve(project):
    for setting in (dict(interval=0), dict(num_images='2'), dict(num_images=1.5)):
        with pytest.raises(UserInputError) as error:
            ReviewVisualizationHook(**setting)
        ((name, value),) = setting.items()
        assert str(error.value) == (
            f'ReviewVisualizationHook({name}={value!r}): must be a whole number > 0'
        )
    hook = [dict(type='ReviewVisualizationHook')]
    plain = Config.fromfile(project / 'plain.py')
    with pytest.raises(
        UserInputError, match='needs a ReviewKD model with a review, not F'
    ):
        train(project, 'plain', model=plain.model, custom_hooks=hook)
    with pytest.raises(UserInputError, match='has no val_dataloader'):
        train(
            project,
            'no_val',
            custom_hooks=hook,
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
        )
