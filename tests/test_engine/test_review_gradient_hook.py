"""The hook that has gradients measured: when, and what it logs."""

from types import SimpleNamespace

from mmreviewkd.engine import ReviewGradientHook
from mmreviewkd.errors import UserInputError
from mmreviewkd.logs import read_scalars
from tests.support.commands import call, process
from tests.support.paths import ROOT

import pytest
import torch


@pytest.mark.parametrize('interval', [0, -1, 2.5, True, '5'])
def test_no_interval(interval):
    with pytest.raises(UserInputError, match='must be a whole number >= 1'):
        ReviewGradientHook(interval)


def test_other_models_are_refused():
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1), iter=0)
    with pytest.raises(UserInputError, match='needs a ReviewKD model, not Linear'):
        ReviewGradientHook().before_train(runner)


@pytest.mark.slow
def test_a_run_logs_ratios_and_compare_draws_them(project):
    (project / 'measured.py').write_text(
        "_base_ = './distil.py'\n"
        "custom_hooks = [dict(type='ReviewGradientHook', interval=3)]\n"
    )
    runs = [project / 'run_distil', project / 'run_measured']
    for name, run in zip(('distil.py', 'measured.py'), runs):
        # each in its own process: mmengine logs a second run with the first one's
        done = process(
            ROOT / 'tools' / 'train.py', name, '--work-dir', run, cwd=project
        )
        assert done.returncode == 0, done.stdout[-2000:]
    plain, measured = (
        [entry for entry in read_scalars(str(run)) if 'loss' in entry] for run in runs
    )
    ratios = [entry.get('review_gradient') for entry in measured]
    assert [ratio is not None for ratio in ratios[:1]] == [True]
    # an iteration without a measurement is logged with the latest one
    assert len(set(ratios)) == 2
    levels = {key for key in measured[0] if key.startswith('review_gradient_')}
    assert levels == {f'review_gradient_stride{2**k}' for k in range(2, 7)}
    # nothing else is another number
    for one, other in zip(plain, measured):
        for key in one:
            if 'time' not in key and key != 'memory':
                assert other[key] == one[key]
    out = project / 'compared'
    assert call('compare_runs', *runs, '--out-dir', out) is None
    assert (out / 'curves.png').stat().st_size > 10000
