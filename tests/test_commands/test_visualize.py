"""Looking into the review: pages of pictures, and what there is no picture of."""

import html.parser
import os
import runpy
import shutil
import sys

from mmreviewkd.commands import visualize
from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from tests.support.detectors import tiny_detector
from tests.support.images import png
from tests.support.paths import TOOLS
from tests.support.project import write_project

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.structures import InstanceData

TOOL = TOOLS / 'visualize_review.py'


@pytest.fixture(scope='module')
def project(tmp_path_factory, coco, teachers):
    """The user's folder, with checkpoints as of runs."""
    folder = write_project(tmp_path_factory.mktemp('look'), coco, teachers)
    meta = dict(
        dataset_meta=dict(classes=('a', 'b'), palette=[(255, 0, 0), (0, 0, 255)])
    )
    for name, classes in (('distil', 2), ('plain', 2), ('three', 3)):
        cfg = Config.fromfile(folder / 'distil.py').model
        if name != 'distil':
            cfg = tiny_detector(num_classes=classes)
        torch.manual_seed(classes)
        model = MODELS.build(cfg)
        torch.save(
            dict(state_dict=model.state_dict(), meta=meta), folder / f'{name}.pth'
        )
    torch.save(dict(a=torch.zeros(2)), folder / 'bare.pth')
    (folder / 'no_image.png').write_text('nothing')
    (folder / 'huge.png').write_bytes(png(60000, 60000))
    (folder / 'empty').mkdir()
    (folder / 'images').mkdir()
    for name in ('0.png', '1.PNG'):
        shutil.copy(coco / 'val' / name.lower(), folder / 'images' / name)
    (folder / 'images' / 'notes.txt').touch()
    return folder


@pytest.fixture
def tool(project, monkeypatch):
    monkeypatch.chdir(project)

    def call(*arguments, config='distil.py', checkpoint='distil.pth'):
        monkeypatch.setattr(
            sys,
            'argv',
            ['visualize_review.py', config, checkpoint, *map(str, arguments)],
        )
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            return stop.code

    return call


@pytest.fixture
def unseen(monkeypatch):
    """Pictures that nobody looks at: quickly drawn; a column's boxes each."""
    columns = []

    def draw_comparison(images, found, meta, out_file):
        columns.append({title: len(each[0]) for title, each in found.items()})

    monkeypatch.setattr(
        'mmreviewkd.commands.visualize.draw_comparison', draw_comparison
    )
    monkeypatch.setattr(
        'mmreviewkd.commands.visualize.draw_review',
        lambda *_: np.zeros((4, 4, 3), np.uint8),
    )
    return columns


def pictures(page):
    found = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == 'img':
                found.append(dict(attrs)['src'])

    Parser().feed(page.read_text())
    return found


def test_validation_images(tool, project, unseen):
    # a score that nothing reaches
    assert tool('--alone', 'plain.pth', '--score-thr', 2) is None
    folder = project / 'work_dirs' / 'distil_visualized'
    assert pictures(folder / 'index.html') == [
        f'{i + 1}_{i}_{kind}.png'
        for i in range(4)
        for kind in ('predictions', 'review')
    ]
    assert [list(columns) for columns in unseen] == [
        ['ground truth', 'teacher', 'student alone', 'distilled student']
    ] * 4
    # the annotations' own numbers, image 0 being empty
    assert [columns.pop('ground truth') for columns in unseen] == [0, 3, 3, 3]
    assert not any(sum(columns.values()) for columns in unseen)


def test_given_images(tool, project, coco, unseen):
    assert tool(coco / 'val' / '3.png', 'images', '--out-dir', 'given') is None
    assert pictures(project / 'given' / 'index.html')[1::2] == [
        '1_3_review.png',
        '2_0_review.png',
        '3_1_review.png',
    ]
    # by the absolute path, as in the dataset
    assert ['ground truth' in columns for columns in unseen] == [True, False, False]


def test_images_behind_options(tool, project, unseen):
    assert tool('--out-dir', 'behind', '--alone', 'plain.pth', 'images/0.png') is None
    assert pictures(project / 'behind' / 'index.html')[1::2] == ['1_0_review.png']


def test_page_and_pictures_lie_together(tool, project):
    assert tool('images/0.png', '--out-dir', 'pages/one') is None
    folder = project / 'pages' / 'one'
    found = pictures(folder / 'index.html')
    assert sorted([*found, 'index.html']) == sorted(os.listdir(folder))
    for name in found:
        assert cv2.imread(str(folder / name)).std() > 1


def test_images_without_the_dataset(tool, project, unseen):
    gone = ['--cfg-options', 'val_dataloader.dataset.data_root=gone']
    assert tool('images/0.png', '--out-dir', 'alone', *gone) is None
    assert [list(columns) for columns in unseen] == [['teacher', 'distilled student']]
    assert 'no such file or folder: gone' in tool('--out-dir', 'none', *gone)


def test_a_config_without_validation(project):
    cfg = Config.fromfile(project / 'distil.py')
    cfg.pop('val_dataloader')
    path = str(project / 'images' / '0.png')
    assert visualize.find_images(cfg, [path]) == [dict(img_path=path, img_id=0)]
    with pytest.raises(UserInputError, match='distil.py has no val_dataloader'):
        visualize.find_images(cfg, [])


@pytest.mark.parametrize(
    'arguments, files, message',
    [
        ([], dict(checkpoint='plain.pth'), 'plain.pth has no review.* weights'),
        ([], dict(checkpoint='missing.pth'), 'missing.pth'),
        ([], dict(checkpoint='bare.pth'), 'bare.pth is no checkpoint of a train'),
        ([], dict(config='plain.py'), 'distils nothing: its model is a FasterRCNN'),
        (['--alone', 'distil.pth'], {}, 'distil.pth has review.* weights'),
        (
            ['--alone', 'three.pth'],
            {},
            'three.pth does not fit distil.py: size '
            'mismatch for roi_head.bbox_head.fc_cls.weight',
        ),
        (
            ['no_image.png', 'gone.jpg', 'huge.png'],
            {},
            'cannot be read as images: no_image.png, gone.jpg, huge.png',
        ),
        (['empty'], {}, 'no image in folder empty'),
        (
            ['--cfg-options', 'test_dataloader=None'],
            {},
            'distil.py has no test_dataloader',
        ),
    ],
)
def test_errors_leave_nothing(tool, project, arguments, files, message):
    before = sorted(os.listdir(project))
    error = tool(*arguments, '--out-dir', 'failed', **files)
    assert message in error and '\n' not in error
    assert sorted(os.listdir(project)) == before


def test_keeps_its_hands_off_a_folder_in_use(tool, project):
    (project / 'used').mkdir()
    (project / 'used' / 'mine').touch()
    for folder in ('used', 'plain.py'):
        assert 'choose another --out-dir' in tool('--out-dir', folder)
    assert os.listdir(project / 'used') == ['mine']


def test_annotations_that_cannot_be_used(tool, project, coco):
    path = project / 'cut.json'
    path.write_bytes((coco / 'val.json').read_bytes()[:200])
    assert tool(
        '--out-dir',
        'failed',
        '--cfg-options',
        f'val_dataloader.dataset.ann_file={path}',
    ).startswith(f'error: annotation file {path} is no JSON, or is cut ')
    assert not (project / 'failed').exists()


def test_a_checkpoint_with_fewer_colours_than_classes(tool, project):
    saved = load_from_local(str(project / 'distil.pth'))
    del saved['meta']['dataset_meta']['palette'][1:]
    torch.save(saved, project / 'short.pth')
    assert (
        tool(
            'images/0.png',
            '--score-thr',
            0,
            '--out-dir',
            'short',
            checkpoint='short.pth',
        )
        is None
    )
    assert len(pictures(project / 'short' / 'index.html')) == 2


def test_teacher_of_other_classes(tool, project, unseen, capsys):
    saved = load_from_local(
        Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    )
    saved['meta'] = dict(dataset_meta=dict(classes=('cat', 'dog')))
    torch.save(saved, project / 'other.pth')
    assert (
        tool(
            'images/0.png',
            '--out-dir',
            'without',
            '--cfg-options',
            'model.teacher.checkpoint=other.pth',
        )
        is None
    )
    assert [list(columns) for columns in unseen] == [['distilled student']]
    assert (
        'no predictions of the teacher: it knows other classes'
        in capsys.readouterr().out
    )


def test_teacher_of_larger_images(tool, project, unseen):
    cfg = Config.fromfile(project / 'distil.py').model
    cfg.teacher.scale, cfg.review.strides = 2, (8, 16, 32)
    torch.save(
        dict(
            state_dict=MODELS.build(cfg).state_dict(),
            meta=load_from_local(str(project / 'distil.pth'))['meta'],
        ),
        project / 'scaled.pth',
    )
    assert (
        tool(
            'images/0.png',
            '--out-dir',
            'scaled',
            '--cfg-options',
            'model.teacher.scale=2',
            'model.review.strides=[8,16,32]',
            checkpoint='scaled.pth',
        )
        is None
    )
    assert [list(columns) for columns in unseen] == [['teacher', 'distilled student']]


@pytest.mark.parametrize('number, steps', [(3, {1}), (79, {1, 2}), (159, {3, 4})])
def test_images_are_searched_evenly(number, steps):
    chosen = visualize.evenly(range(number), 40)
    assert len(chosen) == min(number, 40) and chosen[0] == 0
    assert {b - a for a, b in zip(chosen, [*chosen[1:], number])} == steps


def found(*labels):
    """Boxes at one place, of these classes."""
    return InstanceData(
        bboxes=torch.tensor([[0.0, 0, 10, 10]] * len(labels)).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.ones(len(labels)),
    )


@pytest.fixture
def choose(monkeypatch):
    """Chooses among images whose distilled student finds these labels, others [0]."""

    def call(students_labels, titles=('teacher', 'student alone', 'distilled')):
        monkeypatch.setattr(
            visualize,
            'predict',
            lambda title, item, threshold: found(
                *(students_labels[item['number']] if title == 'distilled' else [0])
            ),
        )
        images = [dict(number=i) for i in range(len(students_labels))]
        chosen = visualize.most_telling(
            {title: title for title in titles}, images, dict, 0.3
        )
        return [info['number'] for info in chosen]

    return call


def test_those_on_which_the_models_differ(choose):
    same, one, two = [0], [], [1]  # 0, 1 and 2 boxes that only one model has
    labels = [same, same, one, same, two, same, two, same, one, same]
    assert choose(labels) == [2, 4, 6, 8]
    assert choose(labels, ('teacher', 'distilled')) == [2, 4, 6, 8]
    # of equal ones the first
    assert choose([same] * 6) == [0, 1, 2, 3]


def test_where_there_is_nothing_to_choose(choose, capsys):
    assert choose([[1]] * 3) == [0, 1, 2]
    assert choose([[1]] * 9, ('distilled',)) == [0, 1, 2, 3]
    assert capsys.readouterr().out == ''
