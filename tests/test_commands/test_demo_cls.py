"""The classification demo: its configs, and one run end to end."""

import json
import os
import os.path as osp
import subprocess
import sys

from mmreviewkd.commands.demo import MARKER
from mmreviewkd.demo.glyphs import CLASSES, make_archives
from tests.support.paths import ROOT

import cv2
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

RESULTS = ('table.md', 'summary.json', 'examples.png', 'curves.png')


@pytest.fixture(scope='module')
def configs():
    names = (
        'resnet14_glyphs',
        'resnet8-w8_glyphs',
        'review-kd_resnet14_resnet8-w8_glyphs',
    )
    return [
        Config.fromfile(osp.join(ROOT, 'configs', 'demo_cls', f'{name}.py'))
        for name in names
    ]


class TestConfigs:
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

    def test_classes_are_those_drawn(self, configs, tmp_path):
        make_archives(str(tmp_path / 'data'), num_train=10, num_test=20, seed=0)
        for cfg in configs[:2]:
            assert cfg.model.backbone.num_classes == len(CLASSES)
        data = cfg.test_dataloader.dataset
        assert data.num_classes == len(CLASSES)
        data.path = str(tmp_path / 'data' / osp.basename(data.path))
        assert len(DATASETS.build(data)) == 20


@pytest.mark.slow
def test_demo(tmp_path):
    (tmp_path / MARKER).touch()
    stale = tmp_path / 'student' / 'stale'
    stale.parent.mkdir()
    stale.touch()
    done = subprocess.run(
        [
            sys.executable,
            osp.join(ROOT, 'tools', 'demo_cls.py'),
            '--quick',
            '--work-dir',
            str(tmp_path),
            '--seed',
            '3',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
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
        assert 0 <= summary[name]['top1'] <= summary[name]['top5'] <= 100
        assert summary[name]['images_per_second'] > 0
        # the last epoch's figure in the log is the one reported
        (log,) = tmp_path.glob(f'{name}/*/vis_data/scalars.json')
        last = json.loads(log.read_text().splitlines()[-1])
        assert last['accuracy/top1'] == summary[name]['top1']
    for name in ('examples.png', 'curves.png'):
        assert cv2.imread(str(tmp_path / name)) is not None
    assert not stale.exists()
