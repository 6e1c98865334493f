"""The error of operators without a kernel in torchvision."""

from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn


def unavailable(name: str) -> NoReturn:
    """Raise an error that says why an operator is missing, and how to get it.

    Args:
        name (str): Name of the operator.

    Raises:
        NotImplementedError: Always.
    """
    mim, mmcv = _compiled()
    raise NotImplementedError(
        f'mmcv operator "{name}" is not available: this mmcv has no compiled '
        'operators, and torchvision has no equivalent kernel that mmreviewkd '
        'could serve in its place. To use it, install a compiled mmcv for your torch: '
        f'"pip install -U {mim} && mim install \'{mmcv}\'", or build it from source.'
    )


def _compiled() -> tuple[str, str]:
    """Return the installer and the mmcv of the stack in use; stacks do not mix."""
    try:
        version('onedl-mmcv')
    except PackageNotFoundError:
        return 'openmim', 'mmcv>=2.0.0,<2.2.0'
    return 'onedl-mim', 'onedl-mmcv>=2.3,<3.0'
