"""The embedded demo: its data, its reports, and one run from end to end."""

import json
import os
import os.path as osp
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

from mmreviewkd.demo import CLASSES, make_dataset
from mmreviewkd.demo.shapes import SIZE
from mmreviewkd.errors import UserInputError
from mmreviewkd.visualization import (
    draw_comparison,
    epoch_means,
    markdown_table,
    plot_curves,
    read_scalars,
)

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from pycocotools.coco import COCO

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
RESULTS = ('table.md', 'summary.json', 'predictions.png', 'curves.png')


def contents(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(osp.join(path, name), 'rb') as file:
                found[osp.relpath(osp.join(path, name), folder)] = file.read()
    return found


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = str(tmp_path_factory.mktemp('shapes') / 'data')
    make_dataset(root, num_train=24, num_val=6, seed=0)
    return root


class TestMakeDataset:
    def test_same_arguments_same_files(self, dataset, tmp_path):
        make_dataset(str(tmp_path / 'data'), num_train=24, num_val=6, seed=0)
        assert contents(tmp_path / 'data') == contents(dataset)
        assert os.listdir(tmp_path) == ['data']

    def test_other_seed_and_split_other_images(self, dataset, tmp_path):
        make_dataset(str(tmp_path / 'data'), num_train=6, num_val=6, seed=1)
        files, others = contents(dataset), contents(tmp_path / 'data')
        images = [
            content
            for each in (files, others)
            for name, content in each.items()
            if name.endswith('.png')
        ]
        assert len(set(images)) == len(images) == 30 + 12

    def test_replaces_another_dataset(self, tmp_path):
        make_dataset(str(tmp_path / 'data'), num_train=3, num_val=2, seed=0)
        make_dataset(str(tmp_path / 'data'), num_train=1, num_val=1, seed=0)
        assert sorted(contents(tmp_path / 'data')) == [
            'annotations/train.json',
            'annotations/val.json',
            'train/0000.png',
            'val/0000.png',
        ]

    @pytest.mark.parametrize('split,size', [('train', 24), ('val', 6)])
    def test_is_coco(self, dataset, split, size):
        coco = COCO(osp.join(dataset, 'annotations', f'{split}.json'))
        assert [each['name'] for each in coco.loadCats(coco.getCatIds())] == list(
            CLASSES
        )
        assert len(coco.imgs) == size
        for image in coco.imgs.values():
            pixels = cv2.imread(osp.join(dataset, split, image['file_name']))
            assert pixels.shape == (image['height'], image['width'], 3)
        for annotation in coco.anns.values():
            mask = coco.annToMask(annotation)
            assert mask.shape == (SIZE, SIZE)
            assert annotation['area'] == mask.sum() > 0
            rows, columns = mask.any(axis=1), mask.any(axis=0)
            left, top = columns.argmax(), rows.argmax()
            right, bottom = (SIZE - side[::-1].argmax() for side in (columns, rows))
            assert annotation['bbox'] == [left, top, right - left, bottom - top]

    def test_classes_are_balanced(self, dataset):
        coco = COCO(osp.join(dataset, 'annotations', 'train.json'))
        labels = Counter(each['category_id'] for each in coco.anns.values())
        assert set(labels) == set(range(len(CLASSES)))
        assert min(labels.values()) >= 0.4 * max(labels.values())

    def test_no_shape_is_mostly_hidden(self, dataset):
        coco = COCO(osp.join(dataset, 'annotations', 'train.json'))
        assert min(each['area'] for each in coco.anns.values()) > 40


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


def write_log(work_dir, entries, start='20260101_000000'):
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '\n'.join(
            each if isinstance(each, str) else json.dumps(each) for each in entries
        )
    )
    return str(work_dir)


def run_log(review=()):
    for step in range(1, 5):
        entry = dict(loss=4.0 / step, epoch=(step + 1) // 2, step=step)
        if review:
            entry.update(loss_review=1.0 / step, loss=5.0 / step)
        yield entry
    yield {'coco/bbox_mAP': 0.25, 'step': 1}
    yield {'coco/bbox_mAP': 0.5, 'step': 2}


class TestCurves:
    def test_epoch_means(self, tmp_path):
        entries = read_scalars(write_log(tmp_path, run_log()))
        assert epoch_means(entries, 'loss') == ([1, 2], [3.0, (4 / 3 + 1) / 2])
        assert epoch_means(entries, 'coco/bbox_mAP') == ([1, 2], [0.25, 0.5])
        assert epoch_means(entries, 'loss_review') == ([], [])

    def test_resumed_run(self, tmp_path):
        log = list(run_log())
        # killed while writing its third line; resumed from the second step
        write_log(tmp_path, [*log[:2], dict(loss=9.0, epoch=2, step=3), '{"loss": 1.'])
        write_log(tmp_path, log[2:], start='20260101_000500')
        whole = write_log(tmp_path / 'whole', log)
        assert read_scalars(str(tmp_path)) == read_scalars(whole)

    def test_no_log(self, tmp_path):
        with pytest.raises(UserInputError, match='no training log'):
            read_scalars(str(tmp_path))

    def test_plot(self, tmp_path):
        runs = dict(
            alone=write_log(tmp_path / 'alone', run_log()),
            distilled=write_log(tmp_path / 'distilled', run_log(review=True)),
        )
        plot_curves(runs, str(tmp_path / 'curves.png'))
        picture = cv2.imread(str(tmp_path / 'curves.png'))
        height, width = picture.shape[:2]
        assert width > 2 * height  # two panels
        # and there is something in each of them
        assert picture[:, : width // 2].std() > 1
        assert picture[:, width // 2 :].std() > 1


class TestComparison:
    def draw(self, tmp_path, boxes, scores=True):
        instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.zeros(len(boxes), dtype=torch.long),
        )
        if scores:
            instances.scores = torch.full((len(boxes),), 0.9)
        path = str(tmp_path / 'page.png')
        image = np.full((60, 80, 3), 128, np.uint8)
        draw_comparison(
            [image],
            dict(title=[instances]),
            dict(classes=('thing',), palette=[(255, 0, 0)]),
            path,
        )
        page = cv2.imread(path).astype(int)
        # red, but for the legend at the bottom
        red = page[..., 2] - page[..., :2].max(axis=-1) > 100
        return red[:-60].sum()

    @pytest.mark.parametrize('scores', [True, False])
    def test_boxes_are_drawn(self, tmp_path, scores):
        boxes = [[10.0, 10.0, 50.0, 40.0]]
        assert self.draw(tmp_path, boxes, scores) > 200

    def test_nothing_found(self, tmp_path):
        assert self.draw(tmp_path, []) == 0

    def test_table(self):
        assert markdown_table(
            [dict(model='teacher', AP='50.1'), dict(model='student', AP='9.0')]
        ).splitlines() == [
            '| model   |   AP |',
            '|---------|-----:|',
            '| teacher | 50.1 |',
            '| student |  9.0 |',
        ]


def run_demo(*arguments):
    return subprocess.run(
        [sys.executable, osp.join(ROOT, 'tools', 'demo.py'), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_demo(tmp_path):
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
