"""What was built from a config when an exception came up.

The registries raise a plain KeyError for a class that they do not know, and
let the TypeError of a constructor pass. What it was about is in the local
variables of the functions that build, which the traceback keeps; there is no
other way to learn it from mmengine 0.8 to 0.10 and mmcv 2.0 to 2.1.
"""

import traceback
from typing import Any, NamedTuple, Optional

from mmcv.cnn.bricks import conv, norm
from mmengine.registry import Registry, build_functions

# local variables: a config's type, what it stands for, and its other values
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
    """A call that builds, which did not come to its end."""

    registry: Optional[Registry]
    type: Any
    """As the config has it; None where it has none."""
    found: Optional[Any]
    """The class or function of that type; None if the registry has none."""
    given: Any
    """The config's other values, with those that mmengine adds."""
    direct: bool
    """Whether it failed by itself, or in the call of what it found."""


def failed_builds(error: BaseException) -> list[Build]:
    """The builds that an exception went through, outermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    codes = [frame.f_code for frame in frames] + [None]
    builds = []
    for frame, code, inner in zip(frames, codes, codes[1:]):
        if code in _LOCALS:
            values = frame.f_locals
            kind, found, given = map(values.get, _LOCALS[code])
            if given is None:  # it failed before it looked into it
                given = values['cfg']
            direct = inner in (None, Registry.get.__code__)
            builds.append(Build(values.get('registry'), kind, found, given, direct))
    return builds
