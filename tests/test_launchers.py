"""Two processes over gloo by tools/*.sh, beside one process on their batches.

All images are the same: then one process with batches of two sees, in
BatchNorm and in every loss, what two with one image each do.
"""

import json
import os
import pickle
import shutil
import time

from mmreviewkd.compat import load_from_local
from tests.support.commands import call
from tests.support.detectors import tiny_detector
from tests.support.launching import Script, alive, free_port
from tests.support.logs import average_precision
from tests.support.project import PLAIN_CONFIG, write_project

import pytest
import torch
from mmdet.registry import MODELS

pytestmark = pytest.mark.slow

GLOO = ('--cfg-options', 'env_cfg.dist_cfg.backend=gloo')

# levels of few cells are left out, on which BatchNorm blows rounding up
CONFIG = """
_base_ = './distil.py'
model = dict(student=dict(_delete_=True, **{student}),
             teacher=dict(config='{folder}/teacher_retina.py',
                          checkpoint='{checkpoint}'),
             review=dict(strides=(8, 16, 32)))
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=.01,
                                    momentum=.9))
"""

SABOTAGE = '''
import os, time
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

@HOOKS.register_module()
class Sabotage(Hook):
    """Statistics of its own for the second process, then its end."""

    def after_train_epoch(self, runner):
        if runner.rank == 1:
            for name, buffer in runner.model.named_buffers():
                if 'running_var' in name:
                    buffer.mul_(100)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.rank == 1 and runner.iter == 5:  # in the second epoch
            with open('killed', 'w') as file:
                file.write(str(time.time()))
            os.kill(os.getpid(), 9)
'''

# of Slurm what mmengine and tools/slurm_train.sh use: N processes on a node
SRUN = """#!/usr/bin/env bash
echo "$@" > srun.txt
while [[ $1 == -* ]]; do
    [[ $1 == --ntasks=* ]] && export SLURM_NTASKS=${1#*=}
    [[ $1 == -p ]] && shift
    shift
done
export SLURM_NODELIST=node[0-1]
for ((i = 0; i < SLURM_NTASKS; i++)); do
    SLURM_PROCID=$i SLURM_LOCALID=$i "$@" &
done
for ((i = 0; i < SLURM_NTASKS; i++)); do
    wait -n || { code=$?; kill $(jobs -p); wait; exit $code; }
done
"""
SCONTROL = """#!/usr/bin/env bash
[[ "$*" == "show hostname node[0-1]" ]] && printf '127.0.0.1\\n127.0.0.2\\n'
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory, coco, teachers):
    """A user's, with distil.py, plain.py and the data beside it."""
    folder = tmp_path_factory.mktemp('user') / 'with space'
    folder.mkdir()
    data = shutil.copytree(coco, folder / 'coco')
    ann = json.loads((data / 'train.json').read_text())
    boxes = [box for box in ann['annotations'] if box['image_id'] == 1]
    ann['annotations'] = [
        dict(box, id=3 * i + j + 1, image_id=i)
        for i in range(8)
        for j, box in enumerate(boxes)
    ]
    (data / 'train.json').write_text(json.dumps(ann))
    for i in range(8):
        shutil.copy(coco / 'train' / '1.png', data / 'train' / f'{i}.png')
    write_project(folder, data, teachers)
    student = tiny_detector('retinanet')
    student.test_cfg.score_thr = 0.0
    (folder / 'plain.py').write_text(
        PLAIN_CONFIG.format(model=student.to_dict(), root=data)
    )
    (folder / 'teacher_retina.py').write_text(
        f'model = {teachers["retinanet"]["config"].to_dict()}'
    )
    (folder / 'retina.py').write_text(
        CONFIG.format(
            student=student.to_dict(),
            folder=folder,
            checkpoint=teachers['retinanet']['checkpoint'],
        )
    )
    return folder


def train(folder, work_dir, *args, config='retina.py', **variables):
    """``dist_train.sh`` with two processes."""
    return Script(
        'dist_train.sh',
        folder / config,
        2,
        '--work-dir',
        folder / work_dir,
        *args,
        cwd=folder,
        PORT=str(free_port()),
        **variables,
    ).end()


def losses(work_dir):
    """Of all starts in it, by iteration."""
    return {
        line['iter']: (line['loss'], line['loss_review'])
        for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for line in map(json.loads, path.read_text().splitlines())
        if 'loss' in line
    }


def close(found, expected):
    assert set(found) == set(expected)
    for iteration, values in expected.items():
        assert found[iteration] == pytest.approx(values, rel=1e-4)


def same_parameters(*paths):
    own, other = (load_from_local(str(path))['state_dict'] for path in paths)
    assert set(own) == set(other)
    for key, value in own.items():
        # the running variance is the unbiased one, of twice the values
        if 'running_' not in key:
            torch.testing.assert_close(value, other[key], rtol=1e-3, atol=1e-5)


@pytest.fixture(scope='module')
def run(folder):
    """The work dir of two epochs with two processes."""
    code, output = train(folder, 'run', *GLOO)
    assert code == 0, output[-3000:]
    assert not alive(folder)
    return folder / 'run'


@pytest.fixture(scope='module')
def one_process(folder):
    """The work dir of three epochs with one process and batches of two."""
    work_dir = folder / 'one'
    assert (
        call(
            'train',
            folder / 'retina.py',
            '--work-dir',
            work_dir,
            '--cfg-options',
            'train_cfg.max_epochs=3',
            'train_dataloader.batch_size=2',
        )
        is None
    )
    return work_dir


def test_losses_are_those_of_one_process(run, one_process):
    expected = losses(one_process)
    close(losses(run), {i: expected[i] for i in range(1, 9)})
    same_parameters(run / 'epoch_2.pth', one_process / 'epoch_2.pth')


def test_resume(run, one_process, folder):
    os.mkdir(folder / 'resumed')
    shutil.copy(run / 'epoch_2.pth', folder / 'resumed')
    code, output = train(folder, 'resumed', '--resume', *GLOO, 'train_cfg.max_epochs=3')
    assert code == 0, output[-3000:]
    assert 'resumed epoch: 2, iter: 8' in output
    same_parameters(folder / 'resumed' / 'epoch_3.pth', one_process / 'epoch_3.pth')


def test_average_precision_is_that_of_one_process(run, folder):
    test = (folder / 'retina.py', run / 'epoch_2.pth')
    code, output = Script(
        'dist_test.sh',
        *test,
        2,
        '--work-dir',
        folder / 'test_2',
        '--out',
        folder / '2.pkl',
        *GLOO,
        cwd=folder,
        PORT=str(free_port()),
    ).end()
    assert code == 0, output[-3000:]
    assert (
        call('test', *test, '--work-dir', folder / 'test_1', '--out', folder / '1.pkl')
        is None
    )
    found = []
    for work_dir in ('test_1', 'test_2'):
        (path,) = (folder / work_dir).glob('*/*.json')
        found.append(json.loads(path.read_text())['coco/bbox_mAP'])
    assert found[0] == found[1] == average_precision(run)[1] > 0
    one, two = (pickle.loads((folder / f'{i}.pkl').read_bytes()) for i in (1, 2))
    for own, other in zip(one, two):
        assert own['img_id'] == other['img_id']
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(own['pred_instances'][key], other['pred_instances'][key])
    assert [image['img_id'] for image in one] == [0, 1, 2, 3]


def test_killed_process_ends_the_others(folder):
    (folder / 'sabotage.py').write_text(SABOTAGE)
    (folder / 'killed.py').write_text(
        "_base_ = './retina.py'\n"
        "custom_imports = dict(imports=['mmreviewkd', 'sabotage'])\n"
        "custom_hooks = [dict(type='Sabotage')]\n"
    )
    code, output = train(folder, 'killed_run', *GLOO, config='killed.py')
    seconds = time.time() - float((folder / 'killed').read_text())
    print(f'ended {seconds:.1f} seconds after the kill')
    assert code == 1 and seconds < 30
    assert not alive(folder)
    # torch's report of the cause; the other may have had time for its line
    assert 'rank      : 1' in output and 'SIGKILL' in output
    assert '[rank0]: Traceback' not in output
    # what is left is the model that both have validated
    (epoch,) = (folder / 'killed_run').glob('epoch_*.pth')
    assert (
        call('test', folder / 'plain.py', epoch, '--work-dir', folder / 'test_killed')
        is None
    )
    (path,) = (folder / 'test_killed').glob('*/*.json')
    assert (
        average_precision(folder / 'killed_run')
        == [json.loads(path.read_text())['coco/bbox_mAP']]
        > [0]
    )


def test_teacher_missing_for_one_process(folder, teachers):
    shutil.copy(teachers['retinanet']['checkpoint'], folder / 'teacher_0.pth')
    (folder / 'missing.py').write_text(
        "_base_ = './retina.py'\n"
        "model = dict(teacher=dict(checkpoint='teacher_{{$RANK:0}}.pth'))\n"
    )
    code, output = train(folder, 'missing', *GLOO, config='missing.py')
    assert code == 1
    assert not alive(folder)
    assert (
        'error: teacher checkpoint teacher_1.pth does not exist; near names: '
        'teacher_0.pth'
    ) in output.splitlines()
    # the other's line, if torchrun has left it the time
    assert '[rank0]: Traceback' not in output
    assert not list((folder / 'missing').glob('*.pth'))


def test_two_nodes(run, folder):
    port = str(free_port())
    nodes = [
        Script(
            'dist_train.sh',
            'retina.py',
            1,
            '--work-dir',
            folder / 'nodes',
            *GLOO,
            'train_cfg.max_epochs=1',
            cwd=folder,
            NNODES='2',
            NODE_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            PORT=port,
        )
        for rank in (0, 1)
    ]
    for node in nodes:
        code, output = node.end()
        assert code == 0, output[-3000:]
    assert not alive(folder)
    # one log, under one time stamp
    assert len(list((folder / 'nodes').glob('*/*.log'))) == 1
    expected = losses(run)
    close(losses(folder / 'nodes'), {i: expected[i] for i in range(1, 5)})
    assert average_precision(folder / 'nodes') == average_precision(run)[:1]


def test_slurm(run, folder):
    programs = folder / 'bin'
    programs.mkdir()
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    code, output = Script(
        'slurm_train.sh',
        'cpus',
        'a job',
        'retina.py',
        folder / 'slurm',
        *GLOO,
        'train_cfg.max_epochs=1',
        cwd=folder,
        GPUS='2',
        GPUS_PER_NODE='2',
        SRUN_ARGS='--gres=none --exclusive',
        MASTER_PORT=str(free_port()),
    ).end()
    assert code == 0, output[-3000:]
    assert (
        (folder / 'srun.txt')
        .read_text()
        .startswith(
            '-p cpus --job-name=a job --gres=gpu:2 --ntasks=2 --ntasks-per-node=2'
        )
    )
    expected = losses(run)
    close(losses(folder / 'slurm'), {i: expected[i] for i in range(1, 5)})


def test_flexible_runner_with_ddp_strategy(run, folder):
    (folder / 'flexible.py').write_text(
        "_base_ = './retina.py'\nrunner_type = 'FlexibleRunner'\n"
        "strategy = dict(type='DDPStrategy')\n"
        'train_cfg = dict(max_epochs=1)\n'
    )
    code, output = train(folder, 'flexible', *GLOO, config='flexible.py')
    assert code == 0, output[-3000:]
    expected = losses(run)
    close(losses(folder / 'flexible'), {i: expected[i] for i in range(1, 5)})
    checkpoint = load_from_local(str(folder / 'flexible' / 'epoch_1.pth'))
    student = MODELS.build(tiny_detector('retinanet'))
    missing, unexpected = student.load_state_dict(
        checkpoint['state_dict'], strict=False
    )
    assert not missing
    assert all(key.startswith('review.') for key in unexpected)
    # one process goes on from it
    assert (
        call(
            'train',
            folder / 'flexible.py',
            '--work-dir',
            folder / 'flexible',
            '--resume',
            '--cfg-options',
            'strategy.type=SingleDeviceStrategy',
            'train_cfg.max_epochs=2',
        )
        is None
    )
    resumed = load_from_local(str(folder / 'flexible' / 'epoch_2.pth'))
    assert set(resumed['state_dict']) == set(checkpoint['state_dict'])
    assert resumed['meta']['iter'] == 4 + 8
