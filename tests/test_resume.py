"""Killed runs of a detector that draws samples, with random augmentation."""

import json
import os
import os.path as osp
import shutil
from pathlib import Path

from mmreviewkd.compat import load_from_local
from tests.support.commands import process
from tests.support.detectors import tiny_detector
from tests.support.launching import free_port
from tests.support.paths import ROOT

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
@pytest.mark.parametrize('workers, weight', [(0, 1.0), (0, 'auto'), (2, 1.0)])
def test_killed_and_resumed_to_the_last_digit(project, workers, weight):
    (project / 'augmented.py').write_text(
        AUGMENTED.format(workers=workers)
        + f'model = dict(review=dict(weight={weight!r}))\n'
    )
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


RETINA = """
_base_ = './distil.py'
model = dict(student=dict(_delete_=True, **{student}),
             teacher=dict(config='teacher_retina.py',
                          checkpoint='{checkpoint}'))
train_cfg = dict(max_epochs=4)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.01, momentum=.9))
"""


@pytest.mark.slow
def test_killed_and_resumed_run_goes_on_as_if_nothing_had_been(project, teachers):
    # RetinaNet draws no samples, so that two runs agree number by number
    teacher = teachers['retinanet']
    (project / 'teacher_retina.py').write_text(f'model = {teacher["config"].to_dict()}')
    (project / 'retina.py').write_text(
        RETINA.format(
            student=tiny_detector('retinanet').to_dict(),
            checkpoint=teacher['checkpoint'],
        )
    )
    train = [ROOT / 'tools' / 'train.py', 'retina.py', '--work-dir']
    whole = process(*train, 'whole', cwd=project)
    assert whole.returncode == 0, whole.stdout[-3000:]

    (project / 'kill.py').write_text(
        'import os, sys, runpy\n'
        'from mmengine.hooks import CheckpointHook, IterTimerHook\n'
        'from mmengine.hooks import Hook\n'
        'def die(self, runner, *args, **kwargs):\n'
        '    if runner.iter == 5:  # in the third epoch\n'
        '        os.kill(os.getpid(), 9)\n'
        'IterTimerHook.before_train_iter = die\n'
        'sys.argv = sys.argv[1:]\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")\n'
    )
    killed = process('kill.py', *train, 'resumed', cwd=project)
    assert killed.returncode == -9
    assert (project / 'resumed' / 'epoch_2.pth').exists()
    resumed = process(*train, 'resumed', '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert 'resumed epoch: 2, iter: 4' in resumed.stdout

    def losses(folder):
        lines = [
            json.loads(line)
            for path in sorted((project / folder).glob('*/vis_data/scalars.json'))
            for line in path.read_text().splitlines()
        ]
        return {
            line['iter']: (line['loss'], line['loss_review'])
            for line in lines
            if 'loss' in line
        }

    expected, got = losses('whole'), losses('resumed')
    assert set(expected) == set(got) == set(range(1, 9))
    for iteration in expected:
        assert got[iteration] == pytest.approx(expected[iteration], rel=1e-4)
    states = [
        load_from_local(str(project / folder / 'epoch_4.pth'))
        for folder in ('whole', 'resumed')
    ]
    for key, value in states[0]['state_dict'].items():
        torch.testing.assert_close(
            states[1]['state_dict'][key], value, rtol=1e-4, atol=1e-5
        )
    momenta = [s['optimizer']['state'] for s in states]
    assert (
        len(momenta[0])
        == len(momenta[1])
        == sum(1 for _ in states[0]['optimizer']['param_groups'][0]['params'])
    )
    for index, state in momenta[0].items():
        torch.testing.assert_close(
            momenta[1][index]['momentum_buffer'],
            state['momentum_buffer'],
            rtol=1e-3,
            atol=1e-5,
        )
    assert osp.exists(project / 'resumed' / 'retina.py')
