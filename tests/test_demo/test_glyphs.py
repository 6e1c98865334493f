"""Drawn glyphs: archives of small images."""

import os
import os.path as osp

from mmreviewkd.demo.glyphs import CLASSES, SIZE, draw_glyph, make_archives

import cv2
import numpy as np
import pytest


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
