"""The adapter of mmdet's detectors: matches levels by stride, reads RoIs or anchors."""

from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np
import torch
import torch.nn as nn
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import SettingError, UserInputError
from .adapters import ADAPTERS, Adapter, Levels, Match
from .logit_rows import AnchorRows, LogitRows, RoIRows

_BLANK_SIZE = 512
"""Side, in pixels, of the blank image on which a detector's levels are measured.

It is large enough that the deepest level in use, of stride 256, has more than one
cell.
"""

# heads that predict other classes than those of the boxes
_OTHER_HEADS = ('rpn', 'semantic', 'panoptic')


@ADAPTERS.register_module()
class DetectorAdapter(Adapter):
    """Adapter of models whose levels are the outputs of their neck or backbone.

    It accepts every model without a method ``level_names``, so that a model without
    neck and backbone is refused with a reason.

    Examples:
        >>> student = Levels('RetinaNet', 512, [8, 16, 32], [256] * 3, None)
        >>> teacher = Levels('FasterRCNN', 512, [4, 8, 16, 32], [256] * 4, None)
        >>> DetectorAdapter().match(student, teacher, strides=[8, 16]).indices
        [(0, 1), (1, 2)]
    """

    kind = 'detector'
    has_boxes = True
    gives = ('boxes', 'sample_idx')

    def knows(self, model: BaseModel) -> bool:
        return not hasattr(model, 'level_names')

    def level_names(self, model: BaseModel, role: str, part: str) -> list[str]:
        if getattr(model, part, None) is not None:
            return [part]
        message = (
            f'{role} {type(model).__name__} has no {part}; the review '
            f'works on the levels that a {part} puts out'
        )
        if getattr(model, 'backbone', None) is None:
            raise UserInputError(
                f'{message}; of a wrapper around a detector, take that detector'
            )
        if part == 'neck':
            raise SettingError(
                f"{message}, or on the backbones': {{}}",
                'ReviewKD',
                'part',
                'backbone',
            )
        raise UserInputError(message)

    def image_size(self, model: BaseModel) -> int:
        return _BLANK_SIZE

    def extract(self, model: BaseModel, inputs: Tensor) -> Any:
        return model.extract_feat(inputs)

    def match(
        self, student: Levels, teacher: Levels, strides: Optional[Sequence[int]]
    ) -> Match:
        indices = match_levels(student.strides, teacher.strides, strides)
        return Match(indices, [f'stride {student.strides[i]}' for i, _ in indices])

    def drop_unused(self, model: BaseModel, part: str, with_head: bool) -> None:
        # The other parts never run. Without them the teacher takes less memory,
        # and their weights may have other shapes (another number of classes, say).
        used = ['data_preprocessor', 'backbone']
        used += ['neck'] if part == 'neck' or with_head else []
        used += ['roi_head', 'bbox_head'] if with_head else []
        for name, _ in list(model.named_children()):
            if name not in used:
                delattr(model, name)

    def crop(self, outputs: Any, crop: Callable) -> Any:
        return crop(outputs)

    def logit_rows(self, model: BaseModel) -> Optional[type[LogitRows]]:
        # not at the top, for the reason given in boxes()
        from mmdet.models.dense_heads import AnchorHead
        from mmdet.models.roi_heads.bbox_heads import BBoxHead

        if isinstance(
            getattr(getattr(model, 'roi_head', None), 'bbox_head', None), BBoxHead
        ):
            return RoIRows
        if isinstance(getattr(model, 'bbox_head', None), AnchorHead):
            return AnchorRows
        return None

    def boxes(self, data_samples: Sequence) -> list[Tensor]:
        # not at the top: it imports mmcv.ops, whose import may have led to this file
        from mmdet.structures.bbox import get_box_tensor

        return [get_box_tensor(sample.gt_instances.bboxes) for sample in data_samples]

    def sample_idx(self, data_samples: Sequence) -> Tensor:
        known = [sample.metainfo.get('sample_idx') for sample in data_samples]
        if None in known:
            raise UserInputError(
                'a method reads sample_idx, the index of each image in its dataset; '
                "the data do not hand it on: name 'sample_idx' among the meta_keys of "
                "the training pipeline's PackDetInputs"
            )
        return torch.tensor(known, device=data_samples[0].gt_instances.bboxes.device)

    def class_settings(self, model: BaseModel) -> Iterator[tuple[str, int]]:
        for name, module in model.named_modules():
            number = _num_classes(name, module)
            if number is not None:
                # with test time augmentation the model is inside a wrapper
                yield name.removeprefix('module.'), number

    def collate(self, items: Sequence[dict]) -> dict:
        return pseudo_collate(items)

    def image(self, inputs: Tensor) -> np.ndarray:
        # pipelines keep OpenCV's channel order, BGR
        return inputs.permute(1, 2, 0).numpy()[..., ::-1]


def match_levels(
    student_strides: Sequence[int],
    teacher_strides: Sequence[int],
    strides: Optional[Sequence[int]] = None,
) -> list[tuple[int, int]]:
    """Match the levels of a student with those of a teacher by their strides.

    Args:
        student_strides (Sequence[int]): Pixels per cell of the student's levels.
        teacher_strides (Sequence[int]): Pixels per cell of the teacher's levels.
        strides (Sequence[int], optional): Strides to use. Defaults to all, and
            then every level needs a partner.

    Returns:
        list[tuple[int, int]]: Index of the student's level and index of the
        teacher's level of each pair, shallow (small stride) to deep.

    Raises:
        UserInputError: A level lacks a partner.
    """
    both = (
        f'teacher has levels at strides {tuple(teacher_strides)}, student '
        f'at {tuple(student_strides)}'
    )
    # the level at stride 1 is the image itself, which DetectoRS' backbone returns
    wanted = set(strides or {*student_strides, *teacher_strides} - {1})
    common = {
        s for s in wanted if student_strides.count(s) == teacher_strides.count(s) == 1
    }
    if wanted != common:
        usable = tuple(
            s
            for s in sorted({*student_strides})
            if student_strides.count(s) == teacher_strides.count(s) == 1
        )
        problem = f'{both}; no pair of levels at {tuple(sorted(wanted - common))}.'
        if usable:
            raise SettingError(
                f'{problem} To use common ones alone: {{}}',
                'ReviewKD',
                'strides',
                usable,
            )
        raise UserInputError(
            f'{problem} They have no stride in common that each has once'
        )
    return [
        (student_strides.index(s), teacher_strides.index(s)) for s in sorted(common)
    ]


def _num_classes(name: str, module: nn.Module) -> Optional[int]:
    """Number of classes of a module if it is a head for boxes or masks, else None."""
    parts = [part for part in name.split('.') if not part.isdigit()]
    if (
        not parts
        or not parts[-1].endswith('_head')
        or any(other in part for part in parts for other in _OTHER_HEADS)
    ):
        return None
    # A detector that is only an RPN has it as bbox_head; a tracker's data may
    # name more classes than its detector distinguishes.
    if (
        'RPN' in type(module).__name__
        or parts[0] == 'detector'
        or getattr(module, 'class_agnostic', False)
    ):
        return None
    return getattr(module, 'num_classes', None)
