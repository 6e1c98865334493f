"""Annotation files that mmdet cannot use are named."""

import json
import os

from mmreviewkd.compat.coco import quiet_coco
from mmreviewkd.engine.check_data import name_files_in_errors
from mmreviewkd.errors import UserInputError

import pytest
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS
from pycocotools.coco import COCO


@pytest.fixture(autouse=True)
def named():
    name_files_in_errors()
    name_files_in_errors()  # once is enough, twice no harm


def build(ann_file, coco, **options):
    return DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(ann_file),
            data_prefix=dict(img=str(coco / 'train')),
            metainfo=dict(classes=('a', 'b')),
            **options,
        )
    )


@pytest.fixture
def edited(coco, tmp_path):
    """Writes the training annotations with a change."""

    def edited(change):
        content = json.loads((coco / 'train.json').read_text())
        change(content)
        path = tmp_path / 'edited.json'
        path.write_text(json.dumps(content))
        return path

    return edited


@pytest.mark.parametrize(
    'content, message',
    [
        (b'{"images": [{"id": 0, "fi', 'is no JSON, or is cut short: '),
        (b'<html>404</html>', "16 bytes and begins with b'<html>404</html>')"),
        (b'\x89PNG\xff\xfe', 'is no JSON, or is cut short: '),
        (b'', 'the file has 0 bytes'),
        (b'[{"id": 1}]', 'is not in COCO format, a dict of images, annotations'),
        (
            b'{"images": [{"id": 1}], "annotations": [{"id": 1}]}',
            'is not in COCO format, a dict of images, annotations and categories: '
            "KeyError 'image_id'",
        ),
        (b'{"images": 3}', 'is not in COCO format'),
        (
            b'{"categories": []}',
            'lists no "images"; COCO format is a dict of '
            'images, annotations and categories, and this one has categories',
        ),
        (b'{}', 'lists no "images"'),
    ],
)
def test_what_is_no_annotation_file(content, message, coco, tmp_path):
    path = tmp_path / 'bad.json'
    path.write_bytes(content)
    for use in (lambda: build(path, coco), lambda: CocoMetric(ann_file=str(path))):
        with pytest.raises(UserInputError) as error:
            use()
        assert str(error.value).startswith(f'annotation file {path} ')
        assert message in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda content: content.pop('categories'), 'has no "categories"'),
        (lambda content: content['categories'].reverse(), 'in another order'),
        (
            lambda content: content['categories'][0].update(name='aa'),
            'no category a; near names: aa.',
        ),
        (
            lambda content: content['images'][3].pop('height'),
            "has an image or annotation without 'height', which mmdet needs",
        ),
        (lambda content: content['annotations'][3].pop('area'), "without 'area'"),
        (
            lambda content: content['annotations'][3].update(bbox=None),
            'annotation 4 has bbox None, not x, y, width and height',
        ),
        (
            lambda content: [
                each.update(bbox=[1, 2]) for each in content['annotations'][1:3]
            ],
            'annotation 2 has bbox [1, 2], not x, y, width and height; 2 in all',
        ),
    ],
)
def test_what_cannot_be_learned_from(change, message, coco, edited):
    path = edited(change)
    with pytest.raises(UserInputError) as error:
        build(path, coco)
    assert str(path) in str(error.value) and message in str(error.value)


def test_honest_files_are_parsed_once(coco, edited, monkeypatch):
    parse, parsed = json.load, []
    monkeypatch.setattr(json, 'load', lambda file: parsed.append(1) or parse(file))
    dataset = build(coco / 'train.json', coco)
    assert len(dataset) == 8 and len(parsed) == 1
    assert 'COCOAPI' not in vars(dataset)
    # of a test set, whose annotations are not published
    path = edited(lambda content: content.pop('annotations'))
    assert len(build(path, coco, test_mode=True)) == 8
    assert len(CocoMetric(ann_file=str(path))._coco_api.imgs) == 8


def test_numbering_of_ones_own_is_left_alone(coco, edited):
    """A dataset that goes by its own order has nothing to fear."""
    from mmdet.datasets import CocoDataset

    class Own(CocoDataset):
        def load_data_list(self):
            classes = self.metainfo['classes']
            annotations = self.COCOAPI(self.ann_file)
            annotations.get_cat_ids(cat_names=classes)
            return [dict(img_path=os.devnull, instances=[])]

    path = edited(lambda content: content['categories'].reverse())
    assert (
        len(
            Own(
                ann_file=str(path),
                metainfo=dict(classes=('a', 'b')),
                data_prefix=dict(img=''),
            )
        )
        == 1
    )


def test_files_are_opened_without_a_word(coco, capsys):
    path = str(coco / 'train.json')
    with quiet_coco():
        COCO(path)
    assert capsys.readouterr().out == ''
    COCO(path)
    assert 'index created' in capsys.readouterr().out
