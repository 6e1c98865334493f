"""The embedded demo: its configs, and one run from end to end."""

import json
import os
import os.path as osp
import subprocess
import sys
from types import SimpleNamespace

from mmreviewkd.commands.demo import MARKER, own_folder
from mmreviewkd.demo import CLASSES
from tests.support.commands import refused
from tests.support.paths import ROOT

import cv2
import pytest
from filelock import FileLock
from mmengine.config import Config

RESULTS = ('table.md', 'summary.json', 'predictions.png', 'curves.png')


@pytest.fixture(scope='module')
def configs():
    names = (
        'faster-rcnn_r18-w32_fpn_6e_shapes',
        'faster-rcnn_r18-w8_fpn_6e_shapes',
        'review-kd_faster-rcnn_r18-w32_r18-w8_fpn_6e_shapes',
    )
    return [
        Config.fromfile(osp.join(ROOT, 'configs', 'demo', f'{name}.py'))
        for name in names
    ]


class TestConfigs:
    def test_classes_are_those_drawn(self, configs):
        assert configs[0].metainfo.classes == CLASSES
        assert len(configs[0].metainfo.palette) == len(CLASSES)

    @pytest.mark.parametrize(
        'key',
        [
            'train_dataloader',
            'val_dataloader',
            'optim_wrapper',
            'train_cfg',
            'param_scheduler',
            'default_hooks',
        ],
    )
    def test_same_schedule(self, configs, key):
        assert configs[0][key] == configs[1][key] == configs[2][key]

    def test_distilled_is_the_student_and_the_last_teacher(self, configs):
        teacher, student, distilled = configs
        assert distilled.model.student == student.model
        assert distilled.model.teacher.checkpoint.endswith(
            f'teacher/epoch_{teacher.train_cfg.max_epochs}.pth'
        )


@pytest.mark.parametrize('tool', ['demo', 'demo_cls'])
def test_a_folder_of_somebody_else_stays_as_it_is(tmp_path, tool):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mine').touch()
    line = refused(tool, '--work-dir', tmp_path)
    assert line.startswith(f'{tmp_path} is not empty and has no file {MARKER}, which ')
    assert os.listdir(tmp_path) == ['data']
    assert os.listdir(tmp_path / 'data') == ['mine']


def test_files_of_an_earlier_run_are_removed(tmp_path):
    folder = tmp_path / 'demo'
    with own_folder(str(folder), RESULTS):
        assert sorted(os.listdir(folder)) == [MARKER, 'train.lock']
    (folder / 'teacher').mkdir()
    for name in ('teacher/epoch_1.pth', 'table.md', 'notes'):
        (folder / name).touch()
    with own_folder(str(folder), RESULTS):
        assert sorted(os.listdir(folder)) == [MARKER, 'notes', 'train.lock']


@pytest.mark.parametrize('tool', ['demo', 'demo_cls'])
def test_another_demo_in_the_folder_is_left_alone(tmp_path, monkeypatch, tool):
    monkeypatch.setattr('mmreviewkd.engine.work_dir.PATIENCE', 0)
    (tmp_path / MARKER).touch()
    (tmp_path / 'teacher').mkdir()
    with FileLock(tmp_path / 'train.lock'):  # as another process has it
        line = refused(tool, '--work-dir', tmp_path)
    assert line.startswith(f'another run is going on in work dir {tmp_path}: give ')
    assert (tmp_path / 'teacher').exists()


def run_demo(*arguments):
    return subprocess.run(
        [sys.executable, osp.join(ROOT, 'tools', 'demo.py'), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_demo(tmp_path):
    (tmp_path / MARKER).touch()
    stale = tmp_path / 'student' / 'stale'
    stale.parent.mkdir()
    stale.touch()
    done = run_demo('--quick', '--work-dir', str(tmp_path), '--seed', '3')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'distilled - alone: ' in done.stdout
    assert set(RESULTS) < set(os.listdir(tmp_path))
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['seed'] == 3
    # the distilled student is the student, and its checkpoint loads as one
    assert (
        summary['student']['parameters']
        == summary['distilled']['parameters']
        < summary['teacher']['parameters']
    )
    for name in ('teacher', 'student', 'distilled'):
        assert 0 <= summary[name]['AP'] <= 1
        assert summary[name]['seconds_per_image'] > 0
    for name in ('predictions.png', 'curves.png'):
        assert cv2.imread(str(tmp_path / name)) is not None
    assert not stale.exists()


@pytest.mark.slow
def test_failing_stage(tmp_path):
    (tmp_path / MARKER).touch()
    # a file where the teacher's folder should be
    (tmp_path / 'teacher').touch()
    (tmp_path / 'table.md').write_text('of an earlier run')
    done = run_demo('--quick', '--work-dir', str(tmp_path))
    assert done.returncode == 1
    assert 'error: training the teacher ended with exit status' in done.stderr
    assert not (tmp_path / 'table.md').exists()


def test_trains_in_a_folder_with_blanks_and_commas(tmp_path, monkeypatch):
    from mmreviewkd.commands import demo

    folder = tmp_path / 'my demo, first'
    folder.mkdir()
    commands = []
    monkeypatch.setattr(
        demo.subprocess,
        'run',
        lambda command: commands.append(command) or SimpleNamespace(returncode=0),
    )
    args = SimpleNamespace(work_dir=str(folder), seed=3, quick=True)
    demo.train('student', demo.STUDENT, demo.data_settings(str(folder)), args)
    ((_, tool, config, *_),) = commands
    assert osp.samefile(tool, osp.join(ROOT, 'tools', 'train.py'))
    cfg = Config.fromfile(config)
    assert cfg.train_dataloader.dataset.data_root == str(folder / 'data')
    assert (cfg.randomness.seed, cfg.train_cfg.max_epochs) == (3, 1)
