from .coco import AnnotatedImage, to_coco
from .voc import read_voc
from .yolo import read_yaml, read_yolo

__all__ = ['AnnotatedImage', 'read_voc', 'read_yaml', 'read_yolo', 'to_coco']
