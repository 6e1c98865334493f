"""Record the levels of a classification network during one forward pass."""
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Iterator, List, Sequence

import torch.nn as nn
from torch import Tensor

from ..errors import UserInputError

_INPUT = '.input'


@contextmanager
def record_levels(model: nn.Module,
                  names: Sequence[str]) -> Iterator[List[Tensor]]:
    """Collect the features of ``names`` while ``model`` runs once.

    Args:
        model (nn.Module): Run inside the context, in whichever way.
        names (Sequence[str]): Of submodules, such as ``'layer1'``, whose
            output is the feature; with ``'.input'`` behind it, it is what goes
            into them. Where a module is called several times, as torchvision's
            ReLU is in a residual block, the last call counts.

    Yields:
        list[Tensor]: In the order of ``names``, (N, C_i, H_i, W_i), a vector
        as (N, C_i, 1, 1); None until the module has run.

    Raises:
        UserInputError: At once, a name does not exist; in the pass, a module
            gives something else than a map or vector; at its end, a module
            has not run, or a later one has written over its feature.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    features = [None] * len(names)
    versions = [None] * len(names)
    handles = []

    def watch(index: int, name: str) -> None:
        wants_input = name.endswith(_INPUT)
        module = _find(model, modules, name[:-len(_INPUT)]
                       if wants_input else name)

        def keep(feature):
            feature = _as_map(feature, name)
            features[index] = feature
            versions[index] = _version(feature)

        def keep_input(module, args):
            # an in-place module is about to overwrite it
            keep(args[0].clone() if getattr(module, 'inplace', False) else
                 args[0])

        def keep_output(module, args, output):
            keep(output)

        handles.append(
            module.register_forward_pre_hook(keep_input)
            if wants_input else module.register_forward_hook(keep_output))

    try:
        for index, name in enumerate(names):
            watch(index, name)
        yield features
    finally:
        for handle in handles:
            handle.remove()

    for name, feature, version in zip(names, features, versions):
        if feature is None:
            raise UserInputError(
                f'{name} of {type(model).__name__} did not run in this pass')
        if _version(feature) != version:
            raise UserInputError(
                f'the feature of {name} of {type(model).__name__} was '
                'overwritten by an in-place module behind it; name that '
                "module's input instead, '<module>.input'")


def _find(model: nn.Module, modules: dict, name: str) -> nn.Module:
    if name in modules:
        return modules[name]
    near = get_close_matches(name, modules, n=5)
    raise UserInputError(
        f'{type(model).__name__} has no module {name}; ' +
        (f'near names: {", ".join(near)}' if near else 'it consists of ' +
         ', '.join(child for child, _ in model.named_children())))


def _as_map(feature: Tensor, name: str) -> Tensor:
    if isinstance(feature, Tensor) and feature.dim() == 2:
        return feature[..., None, None]
    if isinstance(feature, Tensor) and feature.dim() == 4:
        return feature
    raise UserInputError(
        f'{name} gives ' +
        (f'a tensor of shape {tuple(feature.shape)}' if isinstance(
            feature, Tensor) else f'a {type(feature).__name__}') +
        ', neither a map (N, C, H, W) nor a vector (N, C)')


def _version(feature: Tensor) -> int:
    """How often it was written to; autograd does not count in inference."""
    return 0 if feature.is_inference() else feature._version
