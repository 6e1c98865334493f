"""The BatchNorm that a level ends with, which tells how its values are distributed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import torch.nn as nn
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd


@contextmanager
def last_norms(
    model: nn.Module, names: Sequence[str]
) -> Iterator[list[Optional[tuple[Tensor, Tensor]]]]:
    """Find the BatchNorm of each level while ``model`` runs once in the context.

    A level ends with the BatchNorm that ran last before it, if that one has its
    channels, and if no convolution or linear layer ran in between. A shortcut that is
    added behind the BatchNorm is not seen.

    Args:
        model (nn.Module): The model that will run.
        names (Sequence[str]): Names of its modules, see :func:`record`.

    Yields:
        list[tuple[Tensor, Tensor] | None]: Empty at first. When the context ends, it
        is filled with the weight and the bias of each level's BatchNorm, (C, ) each,
        or None. A module that puts out several maps at once tells none of them.
    """
    latest: Optional[_BatchNorm] = None
    ended: dict[str, list[Optional[tuple[Tensor, Tensor]]]] = {}
    norms: list[Optional[tuple[Tensor, Tensor]]] = []

    def ran(layer: nn.Module, args: tuple, output: Any) -> None:
        nonlocal latest
        latest = layer if isinstance(layer, _BatchNorm) and layer.affine else None

    def end(name: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            ended[name] = [None] * len(value)
        elif latest is None or latest.num_features != value.size(1):
            ended[name] = [None]
        else:
            ended[name] = [(latest.weight.detach(), latest.bias.detach())]

    handles = [
        module.register_forward_hook(ran)
        for module in model.modules()
        if isinstance(module, (_BatchNorm, _ConvNd, nn.Linear))
    ]
    for name in names:
        module = model.get_submodule(name.removesuffix('.input'))
        handles.append(
            module.register_forward_hook(lambda _, __, out, name=name: end(name, out))
            if not name.endswith('.input')
            else module.register_forward_pre_hook(
                lambda _, args, name=name: end(name, args[0])
            )
        )
    try:
        yield norms
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        norms += ended.get(name, [None])
