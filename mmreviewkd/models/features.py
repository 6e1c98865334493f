"""What a model's modules put out: recorded in a pass, and looked up before it."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ..compat.internals import times_written
from ..errors import UserInputError
from .adapters import Levels, adapter_of
from .logit_rows import Calls

_INPUT = '.input'


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


@contextmanager
def calls_of(modules: Sequence[nn.Module]) -> Iterator[Calls]:
    """Collect, for each module, the ``(args, output)`` of its calls.

    But for those made aside, without gradient: samplers such as OHEM ask a
    head before they choose what it is trained on.
    """
    calls: Calls = [[] for _ in modules]
    with_grad = torch.is_grad_enabled()

    def keep(to: list[tuple], _: nn.Module, args: tuple, output: Any) -> None:
        if torch.is_grad_enabled() == with_grad:
            to.append((args, output))

    handles = [
        module.register_forward_hook(partial(keep, to))
        for module, to in zip(modules, calls)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def check_gradients(
    model: nn.Module, names: Sequence[str], features: Sequence[Tensor]
) -> None:
    """See that what is learned from features reaches the modules they come from.

    Activation checkpointing of a module that holds a level takes the gradient off
    what is recorded inside of it, and no loss tells.

    Args:
        model (nn.Module): The model that ran.
        names (Sequence[str]): As :func:`record` takes it.
        features (Sequence[Tensor]): What it recorded.

    Raises:
        UserInputError: It names the module whose feature carries no gradient.
    """
    if not torch.is_grad_enabled():
        return
    modules = dict(model.named_modules(remove_duplicate=False))
    for name, feature in zip(names, features):
        module = _find(model, modules, name)
        if not feature.requires_grad and any(
            parameter.requires_grad for parameter in module.parameters()
        ):
            raise UserInputError(
                f'the feature of {name} of {type(model).__name__} carries no gradient, '
                'so that nothing would be learned from it. Activation checkpointing of '
                'that module, or of one around it, does this: checkpoint smaller ones'
            )


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
    return 0 if feature.is_inference() else times_written(feature)


def probe(model: BaseModel, names: Sequence[str]) -> Levels:
    """The levels of a model that the modules of these names put out.

    They are read off a blank image, so that any backbone and neck will do.
    The model's mode and BatchNorm statistics are left as they were.

    Raises:
        UserInputError: The model does not take that image.
    """
    adapter = adapter_of(model)
    size = adapter.image_size(model)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), record(model, names) as features:
            outputs = adapter.extract(
                model, torch.zeros(1, 3, size, size, device=device)
            )
    except NotImplementedError:  # an operator that is not served
        raise
    except RuntimeError as error:
        raise UserInputError(
            f'{type(model).__name__} does not take an image of {size}x{size}, '
            f'on which its levels are looked up: {error}'
        ) from None
    finally:
        model.train(was_training)
    return Levels(
        owner=type(model).__name__,
        image_size=size,
        strides=[round(size / feature.size(-1)) for feature in features],
        channels=[feature.size(1) for feature in features],
        classes=adapter.classes(outputs),
    )
