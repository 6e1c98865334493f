"""Boxes in COCO's format, and those that cannot be learned."""

from mmreviewkd.conversion import AnnotatedImage, to_coco
from mmreviewkd.errors import UserInputError

import numpy as np
import pytest


def image(*boxes, labels=None, source='a.txt'):
    return AnnotatedImage(
        'a.jpg',
        (100, 50),
        source,
        np.array(boxes, float).reshape(-1, 4),
        labels or [0] * len(boxes),
    )


def test_content():
    images = [image(), image((10, 20, 30, 25), (0, 0, 100, 50), labels=[1, 0])]
    coco, left_out = to_coco(images, ['crab', 'fish'])
    assert coco == dict(
        images=[dict(id=i, file_name='a.jpg', width=100, height=50) for i in range(2)],
        annotations=[
            dict(
                id=1,
                image_id=1,
                category_id=2,
                bbox=[10.0, 20.0, 20.0, 5.0],
                area=100.0,
                iscrowd=0,
            ),
            dict(
                id=2,
                image_id=1,
                category_id=1,
                bbox=[0.0, 0.0, 100.0, 50.0],
                area=5000.0,
                iscrowd=0,
            ),
        ],
        categories=[dict(id=1, name='crab'), dict(id=2, name='fish')],
    )
    assert left_out == []


def test_what_labels_of_few_digits_let_stick_out_is_cut():
    coco, _ = to_coco([image((-1.9, -0.9, 101.9, 50.9))], ['crab'])
    assert coco['annotations'][0]['bbox'] == [0, 0, 100, 50]


@pytest.mark.parametrize(
    'box, what',
    [
        ((-2.1, 0, 10, 10), 'reaches beyond the image'),
        ((0, 0, 10, 51.1), 'reaches beyond the image'),
        ((200, 10, 210, 20), 'reaches beyond the image'),
        ((10, 10, 10, 20), 'has no area'),
        ((10, 20, 20, 20), 'has no area'),
        ((100, 10, 101, 20), 'has no area'),  # nothing is left of it at the border
    ],
)
def test_boxes_that_cannot_be_learned(box, what):
    images = [image((1, 1, 9, 9), box), image((1, 1, 9, 9))]
    with pytest.raises(UserInputError) as error:
        to_coco(images, ['crab'])
    assert str(error.value) == (
        f'a.txt: box 2 {what}. Correct them, or leave them out with --skip-invalid'
    )
    coco, left_out = to_coco(images, ['crab'], skip_invalid=True)
    assert left_out == [f'a.txt: box 2 {what}']
    assert [a['id'] for a in coco['annotations']] == [1, 2]
    assert [a['image_id'] for a in coco['annotations']] == [0, 1]


def test_two_classes_of_one_name():
    with pytest.raises(UserInputError, match='^two classes have the name crab; rename'):
        to_coco([image()], ['crab', 'fish', 'crab'])
