"""An annotation file's categories against the classes, by name."""

from types import SimpleNamespace

from mmreviewkd.engine import check_categories as module
from mmreviewkd.engine.check_categories import check_categories, warn_of_boxes_left_out
from mmreviewkd.errors import UserInputError

import pytest


def coco(*names, boxes=()):
    """Annotations with these categories, ids from 1, and their numbers."""
    return SimpleNamespace(
        dataset=dict(
            categories=[dict(id=i, name=name) for i, name in enumerate(names, 1)]
        ),
        cat_img_map={i: [0] * count for i, count in enumerate(boxes, 1)},
    )


@pytest.mark.parametrize(
    'names, classes, message',
    [
        (
            ('fish', 'penguin', 'shark'),
            ('fish', 'penguins', 'shark'),
            'a.json has no category penguins; near names: penguin. mmdet would '
            'leave its boxes out',
        ),
        (('rbc', 'WBC'), ('RBC', 'WBC'), 'no category RBC; near names: rbc.'),
        (('fish',), ('fish', 'x', 'y'), 'no category x, y; it has fish.'),
        # not a class that has its own category already
        (('cats', 'kat'), ('cats', 'cat'), 'no category cat; near names: kat.'),
        (
            ('a', 'b'),
            ('x', 'y'),
            'a.json has none of the classes (x, y); its '
            'categories are (a, b). Set metainfo=dict(classes=...)',
        ),
        (
            ('cat', 'dog', 'fly'),
            ('dog', 'fly', 'cat'),
            'label 0 is cat, by metainfo.classes dog. mmdet goes by the file, so '
            "that names would be swapped; write classes=('cat', 'dog', 'fly')",
        ),
        ((1, 'b'), ('1', 'b'), 'no category 1; near names: 1.'),
        (('a', 'b', 'a'), ('a', 'b'), 'a.json has a more than once'),
        (('a', 'b'), ('a', 'b', 'b'), 'metainfo.classes has b more than once'),
        (
            ('a',),
            'a',
            "metainfo.classes is the text 'a', not a tuple; write classes=('a', )",
        ),
    ],
)
def test_what_would_be_learned_wrongly(names, classes, message):
    with pytest.raises(UserInputError) as error:
        check_categories('a.json', coco(*names), classes)
    assert message in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'dataset', [{}, dict(categories=None), dict(categories=[dict(id=1)])]
)
def test_no_categories(dataset):
    with pytest.raises(UserInputError, match='a.json has no "categories"'):
        check_categories('a.json', SimpleNamespace(dataset=dataset), ('a',))


def test_a_part_of_the_categories_in_their_order():
    for classes in (('a', 'c'), ['b'], ('a', 'b', 'c')):
        check_categories('a.json', coco('a', 'b', 'c'), classes)


def test_boxes_left_out_are_counted(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda *args: lines.append(args))
    # category 4 is in no list; c has no boxes
    warn_of_boxes_left_out('a.json', coco('a', 'b', 'c', boxes=(5, 2, 0, 3)), ('a',))
    ((message, logger, level),) = lines
    assert message == (
        'a.json: 5 boxes of categories that are not in '
        'metainfo.classes are left out: b, id 4'
    )
    assert (logger, level) == ('current', 30)
    warn_of_boxes_left_out('a.json', coco('a', 'b', boxes=(1,)), ('a',))
    assert len(lines) == 1
