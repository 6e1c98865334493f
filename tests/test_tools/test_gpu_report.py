"""Every stage of tools/gpu_report.sh, on the CPU with tiny sizes."""

import json
import os
import re
import subprocess
import sys

from tests.support import commands
from tests.support.markdown import read_table
from tests.support.paths import ROOT, TOOLS

import numpy as np
import pytest

TINY = dict(
    PYTHON=sys.executable,
    DEVICE='cpu',
    LIMIT='900',
    REPEATS='1',
    SIZE='64x96',
    BATCHES='1',
    SHAPES='8x8 4x4',
    CHANNELS='8',
    PAIRS='retinanet_r101-r50 mask-rcnn_r50-mobilenet-v2',
    CIFAR_BATCH='2',
    EPOCHS='1',
    # compiling takes minutes; what is compiled is run as it is
    TORCHDYNAMO_DISABLE='1',
    # the tests are not run once more in themselves
    PYTEST_ADDOPTS='-k test_waiting_is_noticed',
)
STEPS = ['student', 'teacher', 'methods', 'distilled']


def call(folder, *stages, **variables):
    return subprocess.run(
        ['bash', str(TOOLS / 'gpu_report.sh'), str(folder), *stages],
        env=dict(os.environ, **{**TINY, **variables}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1500,
    )


@pytest.fixture(scope='module')
def cifar(tmp_path_factory):
    """A folder with a few images of noise in the place of CIFAR-100."""
    folder = tmp_path_factory.mktemp('cifar')
    rng = np.random.default_rng(0)
    for name, count in (('train', 256), ('test', 50)):
        np.savez(
            folder / f'{name}.npz',
            x=rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
            y=np.arange(count) % 100,
        )
    return str(folder)


def test_all_published_pairs_of_coco_are_measured():
    script = (TOOLS / 'gpu_report.sh').read_text()
    (pairs,) = re.findall(r'PAIRS=\$\{PAIRS:-([^}]*)\}', script)
    configs = (ROOT / 'configs' / 'coco').glob('review-kd_*_fpn_ms-1x_coco.py')
    names = {f'review-kd_{pair}_fpn_ms-1x_coco.py' for pair in pairs.split()}
    assert names == {path.name for path in configs} and len(names) == 7


def test_without_a_gpu_it_says_so(tmp_path):
    result = call(tmp_path, DEVICE='cuda', CUDA_VISIBLE_DEVICES='')
    assert result.returncode == 1
    assert 'torch sees no GPU; DEVICE=cpu and small sizes make a dry run' in (
        result.stdout
    )
    assert not list(tmp_path.iterdir())


def test_a_report_of_no_stage_is_one_line(tmp_path):
    error = f'error: {tmp_path}: no stage has this name, and none was run before'
    assert commands.call('gpu_summary', tmp_path) == error
    assert not list(tmp_path.iterdir())


def interpreter(folder, *lines):
    """What stands in for Python, so that nothing is imported."""
    path = folder / 'python'
    path.write_text('\n'.join(['#!/bin/sh', *lines]))
    path.chmod(0o755)
    return str(path)


def test_a_part_of_cifar100_is_not_taken_for_it(tmp_path):
    (tmp_path / 'train.npz').write_bytes(b'')
    python = interpreter(tmp_path, '[ "$3" = "" ] || echo 20')
    folder = tmp_path / 'report'
    result = call(folder, 'train_teacher', PYTHON=python, CIFAR=str(tmp_path))
    assert result.stdout.startswith('train_teacher: failed, ')
    log = (folder / 'train_teacher.log').read_text()
    assert log == f'{tmp_path}/train.npz has images of 20 classes, not of 100\n'


def test_ctrl_c_ends_the_report_and_not_one_stage_of_it(tmp_path):
    python = interpreter(tmp_path, '[ "$2" = mmreviewkd ] && exit 130', 'exit 0')
    result = call(tmp_path / 'report', 'review_*', PYTHON=python)
    assert result.returncode == 130
    assert re.fullmatch(r'review_coco_batch1: interrupted, \d+ s\n', result.stdout)


@pytest.mark.slow
def test_stages_that_fail_or_take_too_long_are_recorded_and_tried_again(
    tmp_path, cifar
):
    result = call(tmp_path, 'review_cifar', 'train_kd', CIFAR=cifar, LIMIT='1')
    assert result.returncode == 0, result.stdout
    stages = json.loads((tmp_path / 'report.json').read_text())
    assert {name: stage['status'] for name, stage in stages.items()} == dict(
        review_cifar='cut off', train_kd='failed'
    )
    report = (tmp_path / 'report.md').read_text()
    assert 'the teacher is not trained yet' in report
    result = call(tmp_path, 'review_cifar', CIFAR=cifar)
    assert 'review_cifar: done, ' in result.stdout
    stages = json.loads((tmp_path / 'report.json').read_text())
    assert stages['review_cifar']['status'] == 'done'


def test_a_stage_whose_machine_was_lost_is_in_the_report(tmp_path):
    (tmp_path / 'tests.command').write_text('pytest')
    for suffix in ('out', 'log'):
        (tmp_path / f'tests.{suffix}').write_text('half a line')
    summary = [sys.executable, str(TOOLS / 'gpu_summary.py'), str(tmp_path)]
    subprocess.run(summary, check=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    stage = json.loads((tmp_path / 'report.json').read_text())['tests']
    assert (stage['status'], stage['seconds']) == ('interrupted', 0)
    assert '| tests | interrupted |' in (tmp_path / 'report.md').read_text()


@pytest.mark.slow
def test_every_stage(tmp_path, cifar):
    folder = tmp_path / 'a report'
    result = call(folder, CIFAR=cifar)
    assert result.returncode == 0, result.stdout
    stages = json.loads((folder / 'report.json').read_text())
    failed = {n: s['last_line'] for n, s in stages.items() if s['status'] != 'done'}
    assert not failed, failed
    suffixes = ['', '_compiled', '_amp', '_amp_compiled']
    pairs = TINY['PAIRS'].split()
    assert set(stages) == {
        *('environment', 'tests', 'step_cifar_graphs'),
        *(f'review_coco_batch1{s}' for s in suffixes),
        *(f'review_cifar{s}' for s in suffixes),
        *(f'step_cifar{s}' for s in suffixes),
        *(f'step_{pair}_batch1{amp}' for pair in pairs for amp in ('', '_amp')),
        *('train_teacher', 'train_student', 'train_student_benchmark'),
        'train_review-kd',
        *('train_kd', 'train_crd', 'train_ofd'),
    }
    assert 'PyTorch version: ' in stages['environment']['output']
    assert '1 passed' in stages['tests']['output']
    for name, stage in stages.items():
        result = stage['result']
        if name.startswith(('step', 'review')):
            assert result == json.loads((folder / f'{name}.json').read_text())
            assert result['settings']['amp'] == ('_amp' in name)
            assert result['benchmark'] == name.partition('_')[0]
        if name.startswith('step_'):
            assert list(result['seconds'])[:4] == STEPS
        if name.startswith('train_'):
            assert result['epoch'] == 1 and 0 <= result['top1'] <= 100
    compiled = stages['step_cifar_graphs']['result']
    assert compiled['settings']['compile_mode'] == 'reduce-overhead'
    assert 'distilled, compiled' in compiled['seconds']

    report = (folder / 'report.md').read_text()
    overview = read_table(report.partition('\n## ')[0])
    assert {name: cells[0] for name, cells in overview.items()} == dict.fromkeys(
        stages, 'done'
    )
    for heading in ('## Speed', '## CIFAR-100', '## Stages'):
        assert report.count(f'\n{heading}\n') == 1
    assert report.count('\n### ') == len(stages)

    again = call(folder, CIFAR=cifar)
    assert again.returncode == 0
    lines = [line for line in again.stdout.splitlines() if ': done' in line]
    assert lines == [f'{name}: done before' for name in stages]
    assert json.loads((folder / 'report.json').read_text()) == stages
