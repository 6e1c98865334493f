"""Serves ``mmcv._ext`` to programs that import mmcv before mmreviewkd.

mmdet's ``tools/test.py`` is one: it imports ``mmcv.ops``, which needs mmcv's
compiled operators, long before it reads the config that imports mmreviewkd.
``mmreviewkd_mmcv_ops.pth``, beside this file in site-packages, therefore calls
:func:`install` whenever Python starts. The environment variable
``MMREVIEWKD_FINDER=0`` prevents that; ``import mmreviewkd`` serves the operators
all the same.

Every start of Python reads this file. It must import nothing that Python has not
imported by then.
"""

import os
import sys

TYPE_CHECKING = False  # stands for typing's, which is not imported by then
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ServedOperators:
    """Finds ``mmcv._ext`` by importing mmreviewkd, which provides it."""

    @staticmethod
    def find_spec(
        name: str,
        path: 'Sequence[str] | None' = None,
        target: 'ModuleType | None' = None,
    ) -> 'ModuleSpec | None':
        """The spec of ``mmcv._ext`` as mmreviewkd serves it; None of all else.

        mmreviewkd itself looks whether there is a compiled ``mmcv._ext``, and is
        answered None like anybody who imports it first.

        Raises:
            ModuleNotFoundError: mmreviewkd cannot be imported; the message is
                that of an mmcv without operators, followed by the reason.
        """
        if name != 'mmcv._ext' or 'mmreviewkd' in sys.modules:
            return None
        try:
            import mmreviewkd

            if getattr(mmreviewkd, '__file__', None) is None:
                folder = next(iter(mmreviewkd.__path__))
                raise ImportError(f'{folder} hides the package: run Python elsewhere')
        except Exception as error:
            raise ModuleNotFoundError(
                f'No module named {name!r} (mmreviewkd cannot serve it: {error})',
                name=name,
            ) from error
        return sys.modules[name].__spec__


def install() -> None:
    """Let imports ask :class:`ServedOperators`.

    It is asked last, so that a compiled mmcv is never replaced.
    """
    wanted = os.environ.get('MMREVIEWKD_FINDER') != '0'
    if wanted and ServedOperators not in sys.meta_path:
        sys.meta_path.append(ServedOperators)
