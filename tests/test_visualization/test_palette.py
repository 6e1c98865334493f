"""A colour for each class, whatever the metainfo has."""

from mmreviewkd.visualization.palette import class_colors, is_short

import numpy as np
import pytest

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize(
    'palette, expected',
    [
        ([RED, GREEN], [RED, GREEN]),
        ((RED, GREEN), [RED, GREEN]),
        ([list(RED), list(GREEN)], [RED, GREEN]),
        (RED, [RED, RED]),
        ('red', [RED, RED]),
    ],
)
def test_enough_colours(palette, expected):
    assert not is_short(palette, 2)
    assert class_colors(2, palette)[:2] == expected


@pytest.mark.parametrize('palette', [None, [], [RED], (RED, GREEN)])
def test_others_are_generated(palette):
    before = np.random.get_state()[1].copy()
    colours = class_colors(7, palette)
    assert len(set(colours)) == len(colours) == 7
    assert colours == class_colors(7)
    assert all(type(c) is int and 0 <= c < 256 for rgb in colours for c in rgb)
    assert np.array_equal(np.random.get_state()[1], before)
