"""Review-KD for MMDetection.

``custom_imports = dict(imports=['mmreviewkd'])`` in a config is all it takes:
the import serves missing mmcv operators, makes checkpoints load safely and
registers the models.
"""
from .version import __version__


def _check_environment() -> None:
    """Say what is missing before an import fails further down."""
    from importlib.metadata import PackageNotFoundError, version

    def installed(*names):
        for name in names:
            try:
                digits = version(name).split('+')[0].split('.')[:2]
                return tuple(int(digit) for digit in digits)
            except PackageNotFoundError:
                pass
        raise ImportError(f'mmreviewkd needs {names[0]}; see "Installation" '
                          'in README.md')

    for names, low, high in ((('torch', ), (2, 1), None),
                             (('torchvision', ), (0, 16), None),
                             (('mmengine', 'mmengine-lite'), (0, 8), (1, 0)),
                             (('mmcv', 'mmcv-lite'), (2, 0), (2, 2)),
                             (('mmdet', ), (3, 0), (3, 4))):
        found = installed(*names)
        if found < low or high and found >= high:
            raise ImportError(
                f'mmreviewkd needs {names[0]} >= {low[0]}.{low[1]}' +
                (f', < {high[0]}.{high[1]}' if high else '') +
                f', found {found[0]}.{found[1]}')
    try:
        import mmengine  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != 'pkg_resources':
            raise
        raise ImportError(
            'this mmengine needs pkg_resources, which setuptools >= 81 no '
            'longer has: pip install "setuptools<81"') from None


_check_environment()

from .compat import (ensure_mmcv_ops, keep_checkpoints_whole,  # noqa: E402
                     register_safe_loaders)

ensure_mmcv_ops()
register_safe_loaders()
keep_checkpoints_whole()

from . import classification, engine, models  # noqa: E402, F401

__all__ = ['__version__']
