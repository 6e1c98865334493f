"""Drawn shapes: a COCO dataset of them."""

import os
import os.path as osp
from collections import Counter

from mmreviewkd.demo import CLASSES, make_dataset
from mmreviewkd.demo.shapes import SIZE

import cv2
import pytest
from pycocotools.coco import COCO


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
