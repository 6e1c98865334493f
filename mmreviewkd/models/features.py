"""Record what a module returns during one forward pass of its parent."""
from contextlib import contextmanager
from typing import Iterator, List, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..errors import UserInputError

_PROBE = 256
"""Side in pixels of the blank image that shows a model's levels: large enough
that the deepest level in use, of stride 128, has more than one cell."""


@contextmanager
def record(module: nn.Module) -> Iterator[List[Tensor]]:
    """Collect the feature maps that ``module`` returns inside the context.

    Yields:
        list[Tensor]: Empty at first; holds the maps, (N, C_i, H_i, W_i), in
        the module's order once it has run.
    """
    features = []

    def keep(module, args, output):
        if features:
            raise RuntimeError(
                f'{type(module).__name__} ran twice in one pass; its features '
                'are ambiguous')
        features.extend([output] if isinstance(output, Tensor) else output)

    handle = module.register_forward_hook(keep)
    try:
        yield features
    finally:
        handle.remove()


def probe_levels(model: nn.Module) -> Tuple[List[int], List[int]]:
    """Strides in pixels and channels of a detector's neck outputs.

    They are read off the maps of a blank image, so that any backbone and neck
    will do. The model's mode and BatchNorm statistics are left as they were.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.no_grad(), record(model.neck) as features:
        model.extract_feat(torch.zeros(1, 3, _PROBE, _PROBE, device=device))
    model.train(was_training)
    return ([round(_PROBE / feature.size(-1)) for feature in features],
            [feature.size(1) for feature in features])


def match_levels(student_strides, teacher_strides, strides=None):
    """Indices of the student's and teacher's levels that learn together.

    Args:
        student_strides (Sequence[int]): Pixels per cell of each level.
        teacher_strides (Sequence[int]): The same of the teacher.
        strides (Sequence[int], optional): Those to use. Defaults to all, and
            then every level needs its partner.

    Returns:
        list[tuple[int, int]]: Pairs, shallow (small stride) to deep.

    Raises:
        UserInputError: A level lacks a partner.
    """
    both = (f'teacher has levels at strides {tuple(teacher_strides)}, student '
            f'at {tuple(student_strides)}')
    wanted = set(strides or {*student_strides, *teacher_strides})
    common = {s for s in wanted
              if student_strides.count(s) == teacher_strides.count(s) == 1}
    if wanted != common:
        usable = tuple(sorted(set(student_strides) & set(teacher_strides)))
        raise UserInputError(
            f'{both}; no pair of levels at {tuple(sorted(wanted - common))}. '
            + (f'To use common ones alone: review=dict(strides={usable})'
               if usable else 'They have no stride in common'))
    return [(student_strides.index(s), teacher_strides.index(s))
            for s in sorted(common)]
