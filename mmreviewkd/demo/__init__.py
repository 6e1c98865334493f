"""What the embedded demo draws, for ``tools/demo.py``."""

from .shapes import CLASSES, make_dataset

__all__ = ['CLASSES', 'make_dataset']
