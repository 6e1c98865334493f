"""YOLO's format: splits and classes of a data.yaml, boxes of text files."""

from mmreviewkd.conversion import read_yaml, read_yolo
from mmreviewkd.errors import UserInputError

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('supervision')

CLASSES = ['crab', 'fish']
YAML = 'train: images/train\nval: images/val\nnames: [crab, fish]\n'


@pytest.fixture
def data(tmp_path):
    """Writes ``{stem: text or None}`` as the training images of a data set."""

    def write(texts, yaml=YAML):
        for split in ('train', 'val'):
            for kind in ('images', 'labels'):
                (tmp_path / kind / split).mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (200, 100)).save(tmp_path / f'images/{split}/0.png')
        for stem, text in texts.items():
            Image.new('RGB', (200, 100)).save(tmp_path / f'images/train/{stem}.png')
            if text is not None:
                (tmp_path / f'labels/train/{stem}.txt').write_text(text, 'utf-8')
        (tmp_path / 'data.yaml').write_text(yaml)
        return str(tmp_path / 'data.yaml')

    return write


def read(path):
    splits, classes = read_yaml(path)
    return list(read_yolo(splits['train'], classes))


def test_boxes(data):
    texts = {  # one begins with a byte order mark, as Windows writes it
        'a': '1 0.5 0.5 0.1 0.2\n\n0 0.25 0.5 0.5 1.0\n',
        'empty': '',
        'polygon': '0 0.1 0.1 0.4 0.2 0.2 0.9',
        'tracked': '\ufeff1 0.5 0.5 0.1 0.2 0.77',
    }
    images = {image.file_name: image for image in read(data(texts))}
    assert list(images) == ['0.png', 'a.png', 'empty.png', 'polygon.png', 'tracked.png']
    np.testing.assert_allclose(
        images['a.png'].boxes, [[90, 40, 110, 60], [0, 0, 100, 100]], atol=1e-4
    )
    assert list(images['a.png'].labels) == [1, 0]
    assert images['a.png'].size == (200, 100)
    assert images['a.png'].source.endswith('labels/train/a.txt')
    np.testing.assert_allclose(
        images['polygon.png'].boxes, [[20, 10, 80, 90]], atol=1e-4
    )
    np.testing.assert_allclose(
        images['tracked.png'].boxes, [[90, 40, 110, 60]], atol=1e-4
    )
    assert len(images['0.png'].boxes) == len(images['empty.png'].boxes) == 0


@pytest.mark.parametrize(
    'names',
    ['names: [crab, fish]', 'names: {0: crab, 1: fish}', 'names: {1: fish, 0: crab}'],
)
@pytest.mark.parametrize(
    'place', ['images/train', './images/train/', '../images/train']
)
def test_data_yaml(data, names, place, tmp_path):
    splits, classes = read_yaml(data({}, f'train: {place}\n{names}\n'))
    assert classes == CLASSES and list(splits) == ['train']
    assert splits['train'].images == str(tmp_path / 'images/train')
    assert splits['train'].labels == str(tmp_path / 'labels/train')


def test_a_root_of_its_own(data, tmp_path):
    data({})
    (tmp_path / 'else').mkdir()
    (tmp_path / 'else/d.yaml').write_text(f'path: {tmp_path}\n{YAML}')
    splits, _ = read_yaml(str(tmp_path / 'else/d.yaml'))
    assert splits['val'].labels == str(tmp_path / 'labels/val')


@pytest.mark.parametrize(
    'yaml, message',
    [
        ('train: images/train\n', 'data.yaml has no names'),
        ('names: [crab]\n', 'data.yaml names none of train, val and test'),
        ('- a\n', 'data.yaml has no names'),
        (f'names: {"[" * 500}\n', 'data.yaml: maximum recursion depth exceeded'),
        ('names: [2024-13-13]\n', 'data.yaml: month must be in 1..12'),
        ('names: [crab\n', 'data.yaml: while parsing a flow sequence'),
        ('train: images/train\nnames: {1: crab}\n', 'names must be numbered from 0'),
        ('names: person\n', "names='person' must be a list of the classes"),
        ('names: 3\n', 'names=3 must be a list of the classes'),
        ('names: {0: a, x: b}\n', 'names must be numbered from 0 .* not 0, x'),
        ('names: [a, ~]\n', 'names has None, where each must be a name'),
        ('names: {0: yes, 1: no}\n', 'names has True, False, where each must be'),
        ('train: [images/train]\nnames: [a]\n', 'must be one folder of images'),
        ('train: train.txt\nnames: [a]\n', 'must be one folder of images'),
        ('train: images/trian\nnames: [a]\n', 'no such folder: .*images/trian'),
        ('train: labels/train\nnames: [a]\n', 'where "images" in the path is "labels"'),
    ],
)
def test_a_data_yaml_that_cannot_be_read(data, yaml, message):
    with pytest.raises(UserInputError, match=message) as error:
        read_yaml(data({}, yaml))
    assert '\n' not in str(error.value)


def test_no_data_yaml(tmp_path):
    with pytest.raises(UserInputError, match='none.yaml: .*No such file'):
        read_yaml(str(tmp_path / 'none.yaml'))


def test_no_folder_of_labels(data, tmp_path):
    path = data({})
    (tmp_path / 'labels/val').rmdir()
    with pytest.raises(UserInputError, match='val: no such folder of labels: .*val'):
        read_yaml(path)


@pytest.mark.parametrize(
    'text, message',
    [
        ('2 0.5 0.5 0.1 0.2', 'a.txt: there is no class 2; data.yaml names 2, from 0'),
        ('-1 0.5 0.5 0.1 0.2', 'a.txt: there is no class -1'),
        ('crab 0.5 0.5 0.1 0.2', "a.txt: Invalid class id 'crab'"),
        ('9223372036854775808 0.5 0.5 0.1 0.2', 'a.txt: Python int too large'),
        ('0 0.5 0.5 0.1', 'a.txt: Invalid YOLO annotation line'),
        ('0 0.5 x 0.1 0.2', 'a.txt: could not convert string to float'),
        ('0 0.5 nan 0.1 0.2', 'a.txt: Invalid box'),
        ('0 0.5 0.5 -0.1 0.2', 'a.txt: Invalid box extent'),
    ],
)
def test_a_label_that_cannot_be_read(data, text, message):
    with pytest.raises(UserInputError, match=message) as error:
        read(data({'a': text}))
    assert '\n' not in str(error.value)


def test_a_text_file_without_its_image(data, tmp_path):
    path = data({})
    (tmp_path / 'labels/train/gone.txt').write_text('0 0.5 0.5 0.1 0.2')
    (tmp_path / 'labels/train/classes.txt').write_text('crab\nfish\n')
    with pytest.raises(UserInputError, match='gone.txt: there is no image of that na'):
        read(path)
