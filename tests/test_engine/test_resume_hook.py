"""A resumed run goes on number by number, whatever draws at random."""

import random

from mmreviewkd.compat import load_from_local
from mmreviewkd.engine.random_state import random_state, set_random_state
from mmreviewkd.engine.resume_hook import _check_resumable
from mmreviewkd.errors import UserInputError

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import Dataset


def draw():
    """One number from each of the three generators."""
    return [random.random(), np.random.rand(), float(torch.rand(()))]


@DATASETS.register_module()
class Drawn(Dataset):
    """Items that hold nothing but what is drawn for them."""

    def __init__(self, length=8):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.tensor([float(index), *draw()], dtype=torch.float64)


@MODELS.register_module()
class Drawing(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))

    def forward(self, inputs, mode):
        if mode == 'predict':
            return draw()  # validation draws, too
        return dict(loss=(torch.stack(inputs) @ self.weight).sum() * sum(draw()))

    def train_step(self, data, optim_wrapper):
        loss, log = self.parse_losses(self(data, 'loss'))
        optim_wrapper.update_params(loss)
        return log

    def val_step(self, data):
        return self(data, 'predict')


@METRICS.register_module()
class Falling(BaseMetric):
    """Every validation is the best so far."""

    score = 0

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        Falling.score += 1
        return dict(acc=Falling.score)


@HOOKS.register_module()
class Losses(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        seen[runner.iter] = outputs['loss'].item()


seen = {}


@pytest.fixture
def run(tmp_path):
    """A run in a folder; returns its losses by iteration."""
    count = 0

    def run(folder, resume=None, workers=0, persistent=False, by_epoch=True, **options):
        nonlocal count
        count += 1
        loader = dict(num_workers=workers, persistent_workers=persistent, batch_size=2)
        data = dict(type='Drawn', _scope_='mmdet')
        cfg = Config(
            dict(
                model=dict(type='Drawing'),
                train_dataloader=dict(
                    **loader,
                    dataset=dict(data),
                    sampler=dict(type='DefaultSampler', shuffle=True),
                ),
                val_dataloader=dict(
                    **loader,
                    dataset=dict(data),
                    sampler=dict(type='DefaultSampler', shuffle=False),
                ),
                train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1)
                if by_epoch
                else dict(by_epoch=False, max_iters=10, val_interval=3),
                val_cfg=dict(),
                val_evaluator=dict(type='Falling'),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
                default_hooks=dict(
                    checkpoint=dict(
                        type='CheckpointHook', by_epoch=by_epoch, interval=1
                    )
                ),
                custom_hooks=[dict(type='Losses'), dict(type='ResumeHook')],
                default_scope='mmdet',
                randomness=dict(seed=3),
                experiment_name=f'{tmp_path}{count}',
                log_level='WARNING',
                work_dir=str(tmp_path / folder),
            )
        )
        cfg.merge_from_dict(options)
        if resume:
            cfg.resume, cfg.load_from = True, str(tmp_path / resume)
        seen.clear()
        torch.rand(count), np.random.rand(count)  # another process's past
        kind = FlexibleRunner if 'strategy' in cfg else Runner
        runner = kind.from_cfg(cfg)
        runner.train()
        # the garbage collector would wait 5 seconds for each of their workers
        runner.train_loop.dataloader_iterator = None
        for loader in (runner.train_dataloader, runner.val_dataloader):
            loader._iterator = None
        return dict(seen)

    return run


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(workers=2, persistent=True),
        dict(workers=1),
        dict(randomness=dict(seed=None)),
        dict(workers=1, randomness=dict(seed=None)),
        dict(
            randomness=dict(seed=None),
            env_cfg=dict(cudnn_benchmark=False),
            strategy=dict(type='SingleDeviceStrategy'),
        ),
        dict(by_epoch=False),
        dict(by_epoch=False, workers=1, persistent=True),
        dict(
            by_epoch=False,
            workers=1,
            randomness=dict(seed=None),
            **{'train_dataloader.sampler.type': 'InfiniteSampler'},
        ),
    ],
    ids=str,
)
def test_a_resumed_run_has_the_numbers_of_the_uninterrupted_one(
    run, options, monkeypatch
):
    # mmengine waits two seconds whenever a loader begins anew
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda _: None)
    whole = run('whole', **options)
    assert len(set(whole.values())) == len(whole) > 9
    name, first = ('iter_5', 5) if 'by_epoch' in options else ('epoch_1', 4)
    resumed = run('resumed', f'whole/{name}.pth', **options)
    assert resumed == {i: v for i, v in whole.items() if i >= first}


@pytest.mark.parametrize('workers', [0, 1])
def test_validation_changes_no_number(run, workers):
    often = run('often', workers=workers)
    seldom = run('seldom', workers=workers, **{'train_cfg.val_interval': 9})
    assert often == seldom


def test_a_checkpoint_saved_in_validation_has_the_trainings_states(run):
    options = {'default_hooks.checkpoint.save_best': 'acc'}
    whole = run('whole', **options)
    # mmengine writes it again once the score is known
    resumed = run('resumed', 'whole/epoch_2.pth', **options)
    assert resumed == {i: v for i, v in whole.items() if i >= 8}


def test_states_are_plain_data(run, tmp_path):
    run('run')
    saved = load_from_local(str(tmp_path / 'run' / 'epoch_3.pth'))
    (state,) = saved['random_states']
    set_random_state(state)
    assert random_state()['python'] == state['python']
    expected = draw()
    set_random_state(state)
    assert draw() == expected
    assert state['torch'].dtype == torch.uint8
    assert type(state['numpy'][1]) is list
    assert saved['meta']['data'] == dict(
        num_processes=1,
        num_workers=0,
        batch_size=2,
        num_images=8,
        batches_done=0,
        seed=3,
    )


def test_a_checkpoint_that_another_hook_saves(run, tmp_path):

    @HOOKS.register_module(force=True)
    class Saving(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 4:
                runner.save_checkpoint(runner.work_dir, 'own.pth')

    run('run', custom_hooks=[dict(type='ResumeHook'), dict(type='Saving')])
    own, before = (
        load_from_local(str(tmp_path / 'run' / name))['random_states'][0]
        for name in ('own.pth', 'epoch_1.pth')
    )
    assert own['python'] != before['python']


# ------------------------------------------------------------------- another
@pytest.fixture
def said(monkeypatch):
    from mmengine.logging import MMLogger

    lines = []
    for level in ('warning', 'info'):
        monkeypatch.setattr(MMLogger, level, lambda self, line, *_: lines.append(line))
    return lines


@pytest.mark.parametrize(
    'options, message',
    [
        ({'train_dataloader.batch_size': 4}, 'batch_size 2 (now: 4)'),
        ({'train_dataloader.dataset.length': 6}, 'num_images 8 (now: 6)'),
        (dict(workers=1), 'num_workers 0 (now: 1)'),
    ],
)
def test_another_run_is_told_with_both_numbers(run, said, options, message):
    run('run')
    run('run', 'run/epoch_1.pth', **options)
    assert [line for line in said if 'was saved with' in line] == [
        f'This run was saved with another {message}; what is drawn at random '
        'differs from here on'
    ]


def test_another_number_of_processes(run, said, tmp_path):
    run('run')
    path = tmp_path / 'run' / 'epoch_1.pth'
    saved = load_from_local(str(path))
    saved['random_states'] *= 2
    saved['meta']['data']['num_processes'] = 2
    torch.save(saved, path)
    run('run', 'run/epoch_1.pth')
    assert any('num_processes 2 (now: 1)' in line for line in said)


def test_a_checkpoint_in_mid_epoch(run, said):
    options = {'default_hooks.checkpoint': dict(by_epoch=False, interval=3)}
    run('run', **options)
    run('run', 'run/iter_6.pth', **options)
    assert (
        'The checkpoint was saved after 2 batches of epoch 2; mmengine '
        "starts that epoch's batches anew"
    ) in said
    assert 'was saved with' not in ' '.join(said)


def test_a_checkpoint_without_states(run, said):
    run('run', custom_hooks=[])
    run('run', 'run/epoch_1.pth')
    assert sum('has no random states' in line for line in said) == 1


@pytest.mark.parametrize('missing', ['epoch', 'optimizer', 'meta'])
def test_a_file_with_weights_alone_is_not_resumed(run, tmp_path, missing):
    run('run')
    path = tmp_path / 'run' / 'epoch_1.pth'
    saved = load_from_local(str(path))
    (saved['meta'] if missing == 'epoch' else saved).pop(missing)
    torch.save(saved, path)
    with pytest.raises(UserInputError) as error:
        run('run', 'run/epoch_1.pth')
    assert str(error.value) == (
        f'cannot resume from {path}: it has weights, but no optimizer, epoch '
        'or iteration. To start a new run with its weights: --cfg-options '
        f'load_from={path}, without --resume'
    )


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda c: c['random_states'][0].update(
                numpy=('MT19937', list(range(624)), 10**8, 0, 0.0)
            ),
            'state of numpy',
        ),
        (
            lambda c: c['random_states'][0].update(
                torch=torch.full((5056,), 255, dtype=torch.uint8)
            ),
            'state of torch',
        ),
        (
            lambda c: c['random_states'][0].update(python=(3, (1,), None)),
            'state of python',
        ),
        (lambda c: c.update(random_states=7), 'its random_states is not what'),
        (lambda c: c['meta'].update(epoch='x'), 'its meta.epoch is not what'),
        (lambda c: c['meta'].update(seed=-1), 'its meta.seed is not what'),
        (lambda c: c['meta'].update(data=3), 'its meta.data is not what'),
        (lambda c: c.update(message_hub=3), 'its message_hub is not what'),
        (lambda c: c.update(optimizer=3), 'its optimizer is not what'),
    ],
)
def test_what_a_run_would_not_save_is_not_resumed(change, message):
    content = dict(
        optimizer={},
        message_hub={},
        random_states=[random_state()],
        meta=dict(epoch=1, iter=2, seed=0),
    )
    _check_resumable(content, content['meta'])
    change(content)
    with pytest.raises(UserInputError, match=message):
        _check_resumable(content, content['meta'])
