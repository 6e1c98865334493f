"""Builds the methods of a config for a pair of models."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmdet.registry import MODELS

from ..errors import UserInputError, near
from ..methods import Method, Pair, TrainedMethod
from ..methods.method import READABLE
from .settings import check_weight


def build_methods(configs: Mapping[str, dict], pair: Pair) -> dict[str, Method]:
    """Build the methods of a config.

    Args:
        configs (Mapping[str, dict]): Config of each method, with ``type``, by name.
        pair (Pair): The student and the teacher.

    Returns:
        dict[str, Method]: The methods by name.

    Raises:
        UserInputError: A type is unknown or is no method, or a setting cannot be
            used; the message names the method and the setting.
    """
    return {name: _build(name, config, pair) for name, config in configs.items()}


def method_type(name: str, config: Any) -> type[Method]:
    """Return the class that a method's config names.

    Args:
        name (str): Name of the method in the config.
        config (dict): Config of the method; its ``type`` is a name or the class.

    Raises:
        UserInputError: The type is unknown, or is no method.
    """
    kind = config.get('type') if isinstance(config, dict) else None
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if inspect.isclass(found) and issubclass(found, Method):
        if not isinstance(found.reads, tuple) or set(found.reads) - set(READABLE):
            raise UserInputError(
                f'{found.__name__}.reads = {found.reads!r}: must be a tuple of names '
                f'out of {", ".join(READABLE)}, such as {READABLE[:1]}'
            )
        return found
    known = [
        each
        for registry in (MODELS, MODELS.parent)
        for each, value in registry.module_dict.items()
        if inspect.isclass(value) and issubclass(value, Method)
    ]
    raise UserInputError(
        f'{setting_of(name)}=dict(type={kind!r}): is no method of distillation'
        + (near(str(kind), known) or f'; there are {", ".join(sorted(known))}')
    )


def _build(name: str, config: dict, pair: Pair) -> Method:
    kind, setting = method_type(name, config), setting_of(name)
    settings = {key: value for key, value in config.items() if key != 'type'}
    taken = _arguments_of(kind)
    for key, value in settings.items():
        if key not in taken:
            raise UserInputError(
                f'{setting}=dict({key}={value!r}): {kind.__name__} has no '
                f'argument {key}{near(key, taken)}'
            )
    try:
        method = kind.for_pair(pair, **settings)
    except TypeError as error:  # an argument is missing, or not for configs to set
        raise UserInputError(f'{setting}: {error}') from error
    check_weight(method.weight, setting, f'the loss {name}')
    if method.state_dict() and not isinstance(method, TrainedMethod):
        raise UserInputError(
            f'{kind.__name__} has parameters or buffers: derive it from TrainedMethod, '
            "which tells them apart from the student's in a checkpoint"
        )
    method.name = name
    return method


def setting_of(name: str) -> str:
    """Name of a method's setting in a config, for messages."""
    return name if name in ('review', 'logits') else f'methods.{name}'


def _arguments_of(kind: type[Method]) -> list[str]:
    """List the arguments of a constructor, with those that its ``**kwargs`` pass on."""
    taken: list[str] = []
    for each in kind.__mro__:
        parameters = inspect.signature(each.__init__).parameters  # type: ignore[misc]
        taken += [key for key in parameters if key != 'self']
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return taken
