"""Chooses a colour for each class."""

from collections.abc import Sequence
from typing import Optional, Union

from mmdet.visualization.palette import get_palette


def class_colors(
    number: int, palette: Optional[Union[str, Sequence]] = None
) -> list[tuple[int, ...]]:
    """Return the RGB colours of classes, 0 to 255 each.

    Args:
        number (int): Number of classes.
        palette (str | Sequence, optional): Palette in a dataset's metainfo: colours,
            one of mmdet's names, or one colour for all. If it is missing or has too
            few colours, others are generated, always the same.
    """
    if not palette or is_short(palette, number):
        palette = 'random'
    elif _has_colors(palette):
        palette = list(palette)  # mmdet takes a tuple for a single colour
    return [
        tuple(int(channel) for channel in color)
        for color in get_palette(palette, number)
    ]


def is_short(palette: Union[str, Sequence], number: int) -> bool:
    """Whether a palette has fewer colours than there are classes."""
    return _has_colors(palette) and len(palette) < number


def _has_colors(palette: Union[str, Sequence]) -> bool:
    return bool(palette) and isinstance(palette[0], (list, tuple))
