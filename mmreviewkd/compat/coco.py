"""Makes faults of a COCO annotation file name the file, and finds them early.

mmdet (3.0 to 3.3, OneDL's 3.5.1) passes on the error of the JSON parser or of a
dict lookup, and does not check the categories of the file. The replacements here
are used by datasets and metrics alike, and parse no file a second time.
"""

import functools
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pycocotools.coco
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from pycocotools.coco import COCO

from ..errors import UserInputError


@contextmanager
def quiet_coco() -> Iterator[None]:
    """Keep pycocotools from printing four lines for every file that it opens.

    It knows no other way (2.0.11): its module gets a ``print`` of its own meanwhile.
    """
    pycocotools.coco.print = lambda *args: None
    try:
        yield
    finally:
        del pycocotools.coco.print


def name_annotation_files(check: Callable[[str, COCO, tuple], None]) -> None:
    """Replace mmdet's COCO and how its CocoDataset opens a file, once.

    Args:
        check (Callable): Called with the path, the opened file and the
            classes of each CocoDataset.
    """
    # imported late, since mmcv.ops may be what is importing this package
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.api_wrappers import COCO as Annotations

    if hasattr(CocoDataset.load_data_list, '__wrapped__'):
        return
    Annotations.__init__ = _named(Annotations.__init__)
    CocoDataset.load_data_list = _checked(CocoDataset.load_data_list, check)


def annotations_of(metric: BaseMetric) -> Optional[COCO]:
    """Return the annotations that mmdet's CocoMetric has read, if any.

    CocoMetric keeps them only under a private name, the same in mmdet 3.3.0 and
    3.5.1.
    """
    return getattr(metric, '_coco_api', None)


def _named(init: Callable) -> Callable:

    @functools.wraps(init)
    def named(self: COCO, annotation_file: Any = None) -> None:
        try:
            init(self, annotation_file)
        except ValueError as error:  # base class of the JSON and Unicode errors
            with open(annotation_file, 'rb') as file:
                head = file.read(16)
            raise UserInputError(
                f'annotation file {annotation_file} is no JSON, or is cut '
                f'short: {error} (the file has '
                f'{osp.getsize(annotation_file)} bytes and begins with '
                f'{head!r})'
            ) from error
        except (AssertionError, LookupError, TypeError) as error:
            reason = f'{type(error).__name__} {error}'
            raise UserInputError(
                f'annotation file {annotation_file} is not in COCO format, a '
                'dict of images, annotations and categories: '
                f'{" ".join(reason.split())}'
            ) from error
        if annotation_file and not self.dataset.get('images'):
            raise UserInputError(
                f'annotation file {annotation_file} lists no "images"; COCO '
                'format is a dict of images, annotations and categories, and '
                f'this one has {", ".join(self.dataset) or "nothing"}'
            )
        self.annotation_file = annotation_file

    return named


def _checked(load: Callable, check: Callable) -> Callable:

    @functools.wraps(load)
    def checked(self: BaseDataset) -> list[dict]:
        opened = self.COCOAPI
        odd: list[dict] = []

        def open_and_check(path: str) -> COCO:
            coco = opened(path)
            odd.extend(coco.dataset.get('annotations') or [])
            check(self.ann_file, coco, self.metainfo['classes'])
            return coco

        # mmdet calls COCOAPI to open the file, before it numbers the classes
        self.COCOAPI = open_and_check
        try:
            return load(self)
        except UserInputError:
            raise
        except (TypeError, ValueError) as error:
            wrong = [each for each in odd if not _is_box(each.get('bbox'))]
            if not wrong:
                raise
            raise UserInputError(
                f'annotation file {self.ann_file}: annotation '
                f'{wrong[0].get("id")} has bbox {wrong[0].get("bbox")!r:.40}, '
                'not x, y, width and height'
                + (f'; {len(wrong)} in all' if wrong[1:] else '')
            ) from error
        except KeyError as error:
            if not isinstance(error.args[0], str):  # the key names no entry
                raise
            raise UserInputError(
                f'annotation file {self.ann_file} has an image or annotation '
                f'without {error}, which mmdet needs'
            ) from error
        finally:
            del self.COCOAPI

    return checked


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, (list, tuple))
        and len(box) == 4
        and all(isinstance(number, (int, float)) for number in box)
    )
