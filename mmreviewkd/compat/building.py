"""Finds out what was being built from a config when an exception was raised.

The registries raise a plain KeyError for an unknown class, and pass on the
TypeError of a constructor. Which config it was is only in the local variables of
the building functions, which the traceback keeps. mmengine 0.8 to 0.10 and mmcv
2.0 to 2.1 give no other way to find it.
"""

import traceback
from typing import Any, NamedTuple, Optional

from mmcv.cnn.bricks import conv, norm
from mmengine.registry import Registry, build_functions

# names of local variables: the config's type, the class of that type, and the
# other values of the config
_FUNCTIONS = {
    build_functions.build_from_cfg: ('obj_type', 'obj_cls', 'args'),
    build_functions.build_runner_from_cfg: ('obj_type', 'runner_cls', 'args'),
    build_functions.build_scheduler_from_cfg: (
        'scheduler_type',
        'scheduler_cls',
        'args',
    ),
    conv.build_conv_layer: ('layer_type', 'conv_layer', 'cfg_'),
    norm.build_norm_layer: ('layer_type', 'norm_layer', 'cfg_'),
}
_LOCALS = {function.__code__: names for function, names in _FUNCTIONS.items()}


class Build(NamedTuple):
    """A call that was building an object when an exception was raised."""

    registry: Optional[Registry]
    type: Any
    """Type in the config; None if it has none."""
    found: Optional[Any]
    """The class or function of that type; None if the registry has none."""
    given: Any
    """The other values of the config, with those that mmengine adds."""
    direct: bool
    """Whether the lookup or the call itself failed, and not code that it ran."""


def failed_builds(error: BaseException) -> list[Build]:
    """Return the builds that an exception passed through, outermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    codes = [frame.f_code for frame in frames] + [None]
    builds = []
    for frame, code, inner in zip(frames, codes, codes[1:]):
        if code in _LOCALS:
            values = frame.f_locals
            kind, found, given = map(values.get, _LOCALS[code])
            if given is None:  # it failed before it copied the config
                given = values['cfg']
            direct = inner in (None, Registry.get.__code__)
            builds.append(Build(values.get('registry'), kind, found, given, direct))
    return builds
