"""The drawn datasets of ``mmreviewkd demo`` and ``mmreviewkd demo-cls``."""

from .shapes import CLASSES, make_dataset

__all__ = ['CLASSES', 'make_dataset']
