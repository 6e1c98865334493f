from . import networks  # noqa: F401  (registers them)
from .accuracy import Accuracy
from .classifier import ImageClassifier
from .data_preprocessor import CropFlipPreprocessor
from .datasets import CIFAR, ArchiveImages, FolderImages
from .self_supervised_head import SelfSupervisedHead

__all__ = [
    'CIFAR',
    'Accuracy',
    'ArchiveImages',
    'CropFlipPreprocessor',
    'FolderImages',
    'ImageClassifier',
    'SelfSupervisedHead',
]
