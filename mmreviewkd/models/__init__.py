from . import classifiers, detectors  # noqa: F401
from .adapters import ADAPTERS, Adapter
from .distiller import ReviewKD
from .student import Distilled
from .teacher import Teacher

__all__ = ['ADAPTERS', 'Adapter', 'Distilled', 'ReviewKD', 'Teacher']
