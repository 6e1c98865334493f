"""A stand-in for ``mmcv._ext``, the extension that ``mmcv.ops`` loads.

The extension has that name in mmcv 2.0 to 2.2 and in OneDL's 2.3.6.

If it cannot be imported (mmcv-lite, mmcv built without torch or for another
torch), :func:`ensure_mmcv_ops` puts the stand-in into ``sys.modules``.
"""

import importlib.abc
import sys
import types
from importlib.machinery import ModuleSpec
from typing import Callable, NoReturn

from .ops import SERVED
from .ops.unavailable import unavailable

_NAME = 'mmcv._ext'


def get_compiler_version() -> str:
    """Return what environment reports print as mmcv's compiler."""
    return 'none (operators served by torchvision)'


def get_compiling_cuda_version() -> str:
    """Return what environment reports print as the CUDA version of mmcv."""
    return 'none (operators served by torchvision)'


class _Operators(types.ModuleType):
    """Module in which any operator can be looked up; missing ones raise when called."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):  # the import system and inspect look these up
            raise AttributeError(name)
        return lambda *args, **kwargs: unavailable(name)


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return sys.modules[_NAME]

    def exec_module(self, module: types.ModuleType) -> None:
        pass  # ensure_mmcv_ops has already filled the module


def ensure_mmcv_ops() -> str:
    """Make ``import mmcv.ops`` work; a compiled mmcv is not changed.

    Returns:
        str: ``'mmcv'`` if mmcv's own operators can be imported, else
        ``'torchvision'``.
    """
    loaded = sys.modules.get(_NAME)
    if isinstance(loaded, _Operators):
        return 'torchvision'
    try:
        importlib.import_module(_NAME)
    except ImportError as error:
        # also raised by an extension built for another torch (undefined symbols)
        reason = str(error)
    else:
        _say("mmcv's own compiled ones")
        return 'mmcv'
    module = _Operators(_NAME, __doc__)
    # mmcv's check_ops_exist looks for a loader in the module's spec, and the
    # finder of mmreviewkd_mmcv_ops.pth returns this spec to an import
    module.__spec__ = ModuleSpec(_NAME, _Loader())
    module.__dict__.update(
        {
            function.__name__: function
            for function in (*SERVED, get_compiler_version, get_compiling_cuda_version)
        }
    )
    sys.modules[_NAME] = module
    import mmcv

    mmcv._ext = module
    _say(
        f'torchvision kernels ({reason}). Not every operator of mmcv is among '
        'them; one that is not raises when called'
    )
    return 'torchvision'


def _say(what: str) -> None:
    # not to stdout, since other programs may read a command's output
    print(f'mmcv operators: {what}', file=sys.stderr)
