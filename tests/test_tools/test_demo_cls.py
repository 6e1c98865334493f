"""The classification demo: its data, its page, and one run end to end."""

import json
import os
import os.path as osp
import subprocess
import sys

from mmreviewkd.demo.glyphs import CLASSES, SIZE, draw_glyph, make_archives
from mmreviewkd.visualization import draw_labels

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
RESULTS = ('table.md', 'summary.json', 'examples.png', 'curves.png')


def read(root, split):
    with np.load(osp.join(root, f'{split}.npz')) as archive:
        return archive['x'], archive['y']


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = str(tmp_path_factory.mktemp('glyphs') / 'data')
    make_archives(root, num_train=60, num_test=20, seed=0)
    return root


class TestMakeArchives:
    def test_same_arguments_same_pixels(self, dataset, tmp_path):
        root = str(tmp_path / 'data')
        make_archives(root, num_train=60, num_test=10, seed=0)
        for split, size in (('train', 60), ('test', 10)):
            for ours, theirs in zip(read(root, split), read(dataset, split)):
                assert np.array_equal(ours, theirs[:size])
        assert os.listdir(tmp_path) == ['data']

    def test_other_seed_and_split_other_images(self, dataset, tmp_path):
        root = str(tmp_path / 'data')
        make_archives(root, num_train=10, num_test=10, seed=1)
        images = [
            image.tobytes()
            for each in (root, dataset)
            for split in ('train', 'test')
            for image in read(each, split)[0]
        ]
        assert len(set(images)) == len(images) == 20 + 80

    def test_replaces_another_one(self, dataset, tmp_path):
        (tmp_path / 'data').mkdir()
        (tmp_path / 'data' / 'stale').touch()
        make_archives(str(tmp_path / 'data'), 10, 10, seed=0)
        assert sorted(os.listdir(tmp_path / 'data')) == ['test.npz', 'train.npz']

    @pytest.mark.parametrize('split, size', [('train', 60), ('test', 20)])
    def test_shapes_and_balance(self, dataset, split, size):
        images, labels = read(dataset, split)
        assert images.shape == (size, SIZE, SIZE, 3)
        assert images.dtype == np.uint8 and labels.dtype == np.int64
        counts = np.bincount(labels, minlength=len(CLASSES))
        assert counts.tolist() == [size // len(CLASSES)] * len(CLASSES)
        assert images.std(axis=(1, 2, 3)).min() > 4  # none is empty

    def test_hollow_shape_shows_the_background(self):
        # which is grey, unlike the shapes
        colour = []
        for label in (0, 5):
            saturations = []
            for seed in range(40):
                image = draw_glyph(label, np.random.default_rng(seed))
                hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
                saturations.append(hsv[12:20, 12:20, 1].mean())
            colour.append(np.mean(saturations))
        assert colour[0] > colour[1] + 10


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

    def test_classes_are_those_drawn(self, configs, dataset):
        init_default_scope('mmdet')
        for cfg in configs[:2]:
            assert cfg.model.backbone.num_classes == len(CLASSES)
        data = cfg.test_dataloader.dataset
        assert data.num_classes == len(CLASSES)
        data.path = osp.join(dataset, osp.basename(data.path))
        assert len(DATASETS.build(data)) == 20


def test_page_of_labels(tmp_path):
    path = str(tmp_path / 'page.png')
    images = np.full((7, 32, 32, 3), 128, np.uint8)

    def coloured(answers):
        draw_labels(images, [0] * 7, dict(model=answers), ('a', 'b'), path)
        page = cv2.imread(path).astype(int)
        _blue, green, red = np.moveaxis(page, -1, 0)
        return (green - red > 60).sum(), (red - green > 100).sum()

    right, wrong = coloured([0] * 7)
    assert right > 100 and not wrong
    right, wrong = coloured([1] * 7)
    assert wrong > 100 and not right


@pytest.mark.slow
def test_demo(tmp_path):
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
