"""Killed runs of a detector that draws samples, with random augmentation."""

import json
import os
import shutil
from pathlib import Path

from mmreviewkd.compat import load_from_local
from tests.launching import free_port
from tests.test_tools.test_entry_points import ROOT, process

import pytest
import torch

AUGMENTED = """
_base_ = './distil.py'
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=.01,
                                    momentum=.9))
train_dataloader = dict(
    batch_size=2, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(pipeline=[
        *_base_.pipeline, dict(type='RandomFlip', prob=.5),
        dict(type='PhotoMetricDistortion'), dict(type='PackDetInputs')]))
"""
DIE = """
import os, runpy, sys
from mmengine.hooks import IterTimerHook
def die(self, runner, *args, **kwargs):
    if runner.iter == 6:  # in the second epoch
        os.kill(os.getpid(), 9)
IterTimerHook.before_train_iter = die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def losses(folder):
    """Everything that a loss's name is said of, by iteration."""
    found = {}
    for path in sorted(Path(folder).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            line = json.loads(line)
            if 'loss' in line:
                found[line['iter']] = {
                    name: value
                    for name, value in line.items()
                    if 'loss' in name or 'acc' in name or 'review' in name
                }
    return found


def same_end(project, *folders):
    first, second = (
        load_from_local(str(project / folder / 'epoch_3.pth')) for folder in folders
    )
    for key, value in first['state_dict'].items():
        assert torch.equal(value, second['state_dict'][key]), key
    for own, other in zip(first['random_states'], second['random_states']):
        assert torch.equal(own['torch'], other['torch'])
        assert own['numpy'] == other['numpy']


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_killed_and_resumed_to_the_last_digit(project, workers):
    (project / 'augmented.py').write_text(AUGMENTED.format(workers=workers))
    (project / 'die.py').write_text(DIE)
    train = [ROOT / 'tools' / 'train.py', 'augmented.py', '--work-dir']
    whole = process(*train, 'whole', cwd=project)
    assert whole.returncode == 0, whole.stdout[-3000:]
    assert process('die.py', *train, 'killed', cwd=project).returncode == -9
    resumed = process(*train, 'killed', '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert 'resumed epoch: 1, iter: 4' in resumed.stdout
    assert 'drawn at random' not in resumed.stdout
    expected = losses(project / 'whole')
    assert set(expected) == set(range(1, 13))
    assert losses(project / 'killed') == expected
    same_end(project, 'whole', 'killed')


@pytest.mark.slow
def test_two_processes_to_the_last_digit(project):
    (project / 'augmented.py').write_text(AUGMENTED.format(workers=1))
    train = [
        '-m',
        'torch.distributed.run',
        '--nproc_per_node=2',
        f'--master_port={free_port()}',
        ROOT / 'tools' / 'train.py',
        'augmented.py',
        '--launcher',
        'pytorch',
        '--cfg-options',
        'env_cfg.dist_cfg.backend=gloo',
        '--work-dir',
    ]
    whole = process(*train, 'whole', cwd=project)
    assert whole.returncode == 0, whole.stdout[-3000:]
    saved = load_from_local(str(project / 'whole' / 'epoch_1.pth'))
    own, other = saved['random_states']
    assert not torch.equal(own['torch'], other['torch'])
    os.mkdir(project / 'resumed')
    shutil.copy(project / 'whole' / 'epoch_1.pth', project / 'resumed')
    resumed = process(*train, 'resumed', '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    expected = {i: v for i, v in losses(project / 'whole').items() if i > 2}
    assert losses(project / 'resumed') == expected and len(expected) == 4
    same_end(project, 'whole', 'resumed')
    # alone, now
    single = process(
        ROOT / 'tools' / 'train.py',
        'augmented.py',
        '--work-dir',
        'resumed',
        '--resume',
        'whole/epoch_1.pth',
        cwd=project,
    )
    assert single.returncode == 0, single.stdout[-3000:]
    assert 'with another num_processes 2 (now: 1)' in ' '.join(single.stdout.split())
