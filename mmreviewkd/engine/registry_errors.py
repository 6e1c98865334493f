"""Explains unknown classes and arguments in a config in one line."""

import inspect
from collections.abc import Iterable
from typing import Any, Optional

from mmengine.registry import Registry

from ..compat.building import Build, failed_builds
from ..errors import near


def registry_error(error: BaseException) -> Optional[str]:
    """Return one line about a wrong ``type`` or argument in a config.

    Args:
        error (BaseException): Any exception.

    Returns:
        str | None: A line that names the class, and similar names if there are any.
        None if the error has another cause.
    """
    builds = failed_builds(error)
    message = _message(builds[-1], error) if builds else None
    if not message:
        return None
    # the innermost class first
    names = [getattr(each.found, '__name__', '') for each in reversed(builds[:-1])]
    owners = ' of '.join(filter(None, names))
    return message + (f' (in {owners})' if owners else '')


def unknown_type(name: str, registry: Registry) -> str:
    """Return the message about a ``type`` that a registry does not have."""
    known = [
        f'{scope}.{each}'
        for scope, child in registry.children.items()
        for each in child.module_dict
    ]
    owner = registry
    while owner is not None:
        known += owner.module_dict
        owner = owner.parent
    return (
        f'type={name!r} is not in the {registry.scope}::{registry.name} '
        f'registry{near(name.rpartition(".")[2], known)}'
    )


def _message(build: Build, error: BaseException) -> Optional[str]:
    text = str(error)
    name = getattr(build.found, '__name__', None)
    if (
        build.direct
        and build.found is None
        and isinstance(error, (KeyError, RuntimeError))
    ):
        return (
            unknown_type(build.type, build.registry)
            if build.type
            else (
                'the config has a dict without type; its keys are '
                f'{", ".join(build.given)}'
            )
        )
    if not isinstance(error, TypeError):
        return None
    if not isinstance(build.given, dict):
        return f'the config has {build.given!r}, which is no dict(type=...)'
    for key in build.given:
        if f"unexpected keyword argument '{key}'" in text:
            return f'{name} has no argument {key}{near(key, _arguments(build.found))}'
    # the call fails for another reason, such as a missing argument
    return f'type={name or build.type!r}: {text}' if build.direct else None


def _arguments(found: Any) -> list[str]:
    """List the arguments of a constructor, with those that it passes to its base."""
    names = []
    for call in _constructors(found):
        parameters = inspect.signature(call).parameters.values()
        names += [parameter.name for parameter in parameters]
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return [name for name in names if name not in ('self', 'args', 'kwargs')]


def _constructors(found: Any) -> Iterable[Any]:
    if not inspect.isclass(found):
        return [found]
    return [
        vars(each)['__init__'] for each in found.__mro__ if '__init__' in vars(each)
    ]
