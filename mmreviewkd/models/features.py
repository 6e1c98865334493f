"""Features of a model: recorded during a forward pass, and measured before it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ..compat.compiling import is_compiling
from ..compat.internals import times_written
from ..errors import UserInputError, near
from .adapters import Levels, adapter_of
from .logit_rows import Calls
from .norms import last_norms

_INPUT = '.input'


@contextmanager
def record(model: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """Record features during one forward pass of ``model`` in the context.

    Args:
        model (nn.Module): The model that will run.
        names (Sequence[str]): Names of its modules. Their outputs are recorded, or
            their inputs if a name ends in ``.input``: the input of an activation
            is the feature before it. The input of a module that works in place is
            copied. If such a module runs several times, as torchvision's ReLUs do, its
            last input is recorded.

    Yields:
        list[Tensor]: Empty at first. When the context ends, it is filled with the
        features, maps (N, C_i, H_i, W_i) or vectors (N, C_i), in the order of
        ``names``. What the model computes later is computed from these very tensors,
        so that it has a gradient with respect to them.

    Raises:
        UserInputError: A module does not exist, did not run, does not return maps
            or vectors, or its feature was overwritten in place.
    """
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
        value = args[0]
        if getattr(module, 'inplace', False):
            value = value.clone()
            if value.requires_grad:
                # lets what follows depend on the copy; the values are the same
                args[0].copy_(value)
        keep(name, value)

    try:
        for name in dict.fromkeys(names):
            module = _find(model, name)
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
            if version not in (-1, _version(value)):
                raise UserInputError(
                    f'the feature of {name} of {type(model).__name__} was '
                    'overwritten in place behind it. If by a module, as by '
                    "ReLU(inplace=True), name that module's input, "
                    'MODULE.input; if by code, as by out += x, write '
                    'out = out + x, or name a module whose output is not '
                    'written over'
                )
            features.append(value)


def as_maps(features: Sequence[Tensor]) -> list[Tensor]:
    """Return features as maps, (N, C_i, H_i, W_i); a vector is a map of one cell."""
    return [value[..., None, None] if value.dim() == 2 else value for value in features]


@contextmanager
def calls_of(modules: Sequence[nn.Module]) -> Iterator[Calls]:
    """Collect, for each module, the ``(args, output)`` of its calls.

    Calls without gradient inside a pass with gradient are skipped: samplers such as
    OHEM call a head before they choose what it is trained on.
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
    """Check that a loss on the features trains the modules that they come from.

    Activation checkpointing of a module that contains a level detaches what is
    recorded inside it, and the losses do not show it.

    Args:
        model (nn.Module): The model that ran.
        names (Sequence[str]): Names of the modules given to :func:`record`.
        features (Sequence[Tensor]): Features that it recorded.

    Raises:
        UserInputError: A feature carries no gradient; the message names its module.
    """
    if not torch.is_grad_enabled():
        return
    for name, feature in zip(names, features):
        if not feature.requires_grad and any(
            parameter.requires_grad for parameter in _find(model, name).parameters()
        ):
            raise UserInputError(
                f'the feature of {name} of {type(model).__name__} carries no gradient, '
                'so that nothing would be learned from it. Activation checkpointing of '
                'that module, or of one around it, does this: checkpoint smaller ones'
            )


def _find(model: nn.Module, name: str) -> nn.Module:
    # not by named_modules(), which lists hundreds of modules in every step
    path = name[: -len(_INPUT)] if name.endswith(_INPUT) else name
    try:
        return model.get_submodule(path)
    except AttributeError:
        known = [known for known, _ in model.named_modules(remove_duplicate=False)]
    parts = ', '.join(child for child, _ in model.named_children())
    raise UserInputError(
        f'{type(model).__name__} has no module {path}'
        + (near(path, known) or f'; it consists of {parts}')
    )


def _version(feature: Tensor) -> int:
    """How often a tensor was written to; tensors of inference mode are not counted.

    Compiled code cannot ask; there it is -1.
    """
    if is_compiling():
        return -1
    return 0 if feature.is_inference() else times_written(feature)


def probe(model: BaseModel, names: Sequence[str]) -> Levels:
    """Measure the levels of a model that the named modules return.

    They are measured on a blank image, so that any backbone and neck can be used.
    The model's mode and BatchNorm statistics do not change.

    Args:
        model (BaseModel): The model.
        names (Sequence[str]): Names of its modules, see :func:`record`.

    Raises:
        UserInputError: The model does not accept the blank image.
    """
    adapter = adapter_of(model)
    size = adapter.image_size(model)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with (
            torch.no_grad(),
            record(model, names) as features,
            last_norms(model, names) as norms,
        ):
            outputs = adapter.extract(
                model, torch.zeros(1, 3, size, size, device=device)
            )
    except NotImplementedError:  # an mmcv operator without a replacement
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
        strides=[round(size / feature.size(-1)) for feature in as_maps(features)],
        channels=[feature.size(1) for feature in features],
        classes=adapter.classes(outputs),
        norms=norms,
    )
