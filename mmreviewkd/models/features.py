"""Where a model's features are, and which of two models' belong together."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Optional

import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ..errors import SettingError, UserInputError

_INPUT = '.input'

_BLANK_SIZE = 512
"""Side in pixels of the blank image that shows a detector's levels: large
enough that the deepest in use, of stride 256, has more than one cell."""


def is_classifier(model: nn.Module) -> bool:
    """Whether it tells its levels itself, as ``ImageClassifier`` does."""
    return hasattr(model, 'level_names')


def level_names(model: BaseModel, role: str, part: str) -> list[str]:
    """Modules of a model whose features the review compares, shallow to deep.

    A classifier tells them itself; a detector's are what a part puts out.

    Args:
        model (BaseModel): A detector or an ``ImageClassifier``.
        role (str): ``'student'`` or ``'teacher'``.
        part (str): ``'neck'`` or ``'backbone'``.

    Raises:
        UserInputError: The detector has no such part.
    """
    if is_classifier(model):
        return model.level_names(role)
    if getattr(model, part, None) is None:
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
                'review',
                'features',
                'backbone',
            )
        raise UserInputError(message)
    return [part]


def extract(model: BaseModel, inputs: Tensor) -> Any:
    """A classifier's logits, or what a detector's heads take."""
    return model(inputs) if is_classifier(model) else model.extract_feat(inputs)


@contextmanager
def record(model: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """Collect features during one forward pass of ``model`` in the context.

    Args:
        model (nn.Module): The model that will run.
        names (Sequence[str]): Its modules. Their outputs are taken, or their
            inputs where a name ends in ``.input``: what goes into an
            activation is the feature before it. A module that works in place
            gets a copy; of one that runs several times, as torchvision's
            ReLUs do, the last input is taken.

    Yields:
        list[Tensor]: Empty; filled with the features, (N, C_i, H_i, W_i), in
        the order of ``names`` when the context ends. A vector, (N, C), is a
        map of one cell.

    Raises:
        UserInputError: There is no module of a name, it did not run, it does
            not put out maps or vectors, or they were overwritten in place.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    taken: dict[str, list[tuple[Tensor, int]]] = {}
    handles: list[RemovableHandle] = []
    features: list[Tensor] = []

    def keep(name: str, values: Any) -> None:
        values = [values] if isinstance(values, Tensor) else values
        for value in values:
            if not isinstance(value, Tensor) or value.dim() not in (2, 4):
                raise UserInputError(
                    f'{name} of {type(model).__name__} gives '
                    + (
                        f'a tensor of shape {tuple(value.shape)}'
                        if isinstance(value, Tensor)
                        else f'a {type(value).__name__}'
                    )
                    + ', neither a map (N, C, H, W) nor a vector (N, C)'
                )
        taken[name] = [(value, _version(value)) for value in values]

    def keep_output(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        if name in taken:
            raise UserInputError(
                f'{type(module).__name__} ran twice in one pass; its features '
                'are ambiguous'
            )
        keep(name, output)

    def keep_input(name: str, module: nn.Module, args: tuple) -> None:
        in_place = getattr(module, 'inplace', False)
        keep(name, args[0].clone() if in_place else args[0])

    try:
        for name in dict.fromkeys(names):
            module = _find(model, modules, name)
            handles.append(
                module.register_forward_pre_hook(partial(keep_input, name))
                if name.endswith(_INPUT)
                else module.register_forward_hook(partial(keep_output, name))
            )
        yield features
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in taken:
            raise UserInputError(
                f'{name} of {type(model).__name__} did not run in this pass'
            )
        for value, version in taken[name]:
            if _version(value) != version:
                raise UserInputError(
                    f'the feature of {name} of {type(model).__name__} was '
                    'overwritten in place behind it. If by a module, as by '
                    "ReLU(inplace=True), name that module's input, "
                    'MODULE.input; if by code, as by out += x, write '
                    'out = out + x, or name a module whose output is not '
                    'written over'
                )
            features.append(value[..., None, None] if value.dim() == 2 else value)


def _find(model: nn.Module, modules: dict[str, nn.Module], name: str) -> nn.Module:
    path = name[: -len(_INPUT)] if name.endswith(_INPUT) else name
    if path in modules:
        return modules[path]
    near = difflib.get_close_matches(path, modules, n=5)
    raise UserInputError(
        f'{type(model).__name__} has no module {path}; '
        + (
            f'near names: {", ".join(near)}'
            if near
            else 'it consists of '
            + ', '.join(child for child, _ in model.named_children())
        )
    )


def _version(feature: Tensor) -> int:
    """How often it was written to; autograd does not count in inference."""
    return 0 if feature.is_inference() else feature._version


def probe(
    model: BaseModel, names: Sequence[str]
) -> tuple[list[int], list[int], Optional[int]]:
    """Strides in pixels, channels and, of a classifier, number of classes.

    They are read off a blank image, so that any backbone and neck will do.
    The model's mode and BatchNorm statistics are left as they were.
    """
    size = getattr(model, 'input_size', _BLANK_SIZE)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), record(model, names) as features:
            outputs = extract(model, torch.zeros(1, 3, size, size, device=device))
    except NotImplementedError:  # an operator that is not served
        raise
    except RuntimeError as error:
        raise UserInputError(
            f'{type(model).__name__} does not take an image of {size}x{size}, '
            f'on which its levels are looked up: {error}'
        ) from None
    finally:
        model.train(was_training)
    return (
        [round(size / feature.size(-1)) for feature in features],
        [feature.size(1) for feature in features],
        outputs.size(1) if is_classifier(model) else None,
    )


def match_levels(
    student_strides: Sequence[int],
    teacher_strides: Sequence[int],
    strides: Optional[Sequence[int]] = None,
) -> list[tuple[int, int]]:
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
    both = (
        f'teacher has levels at strides {tuple(teacher_strides)}, student '
        f'at {tuple(student_strides)}'
    )
    # at stride 1 is the image itself, which DetectoRS' backbone hands on
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
                f'{problem} To use common ones alone: {{}}', 'review', 'strides', usable
            )
        raise UserInputError(
            f'{problem} They have no stride in common that each has once'
        )
    return [
        (student_strides.index(s), teacher_strides.index(s)) for s in sorted(common)
    ]


def match_in_order(
    student: BaseModel,
    student_strides: Sequence[int],
    teacher: BaseModel,
    teacher_strides: Sequence[int],
    strides: Optional[Sequence[int]],
) -> list[tuple[int, int]]:
    """Indices of two classifiers' stages that learn together: the same ones.

    Args:
        student (BaseModel): The student.
        student_strides (Sequence[int]): Pixels per cell of each level.
        teacher (BaseModel): The teacher.
        teacher_strides (Sequence[int]): The same of the teacher.
        strides (Sequence[int], optional): Of use to detectors alone.

    Raises:
        UserInputError: They do not have the same stages or input size, or one
            of them is a detector.
    """
    sizes = [getattr(m, 'input_size', None) for m in (student, teacher)]
    if None in sizes or sizes[0] != sizes[1]:
        raise UserInputError(
            f'student {type(student).__name__} takes images of side '
            f'{sizes[0]}, teacher {type(teacher).__name__} of side {sizes[1]};'
            ' both must be classifiers, for images of one size'
        )
    if len(student_strides) != len(teacher_strides) or strides:
        raise UserInputError(
            f'teacher has {len(teacher_strides)} levels, at strides '
            f'{tuple(teacher_strides)}, student {len(student_strides)}, at '
            f'{tuple(student_strides)}; those of classifiers are compared in '
            'order, all of them: ImageClassifier(levels=[...]) chooses them'
        )
    return [(i, i) for i in range(len(student_strides))]
