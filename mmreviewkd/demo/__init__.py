"""What the embedded demo draws, for ``mmreviewkd demo``."""

from .shapes import CLASSES, make_dataset

__all__ = ['CLASSES', 'make_dataset']
