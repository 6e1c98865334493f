"""The error of operators without a kernel in torchvision."""

from typing import NoReturn

_HOW_TO = (
    'install a compiled mmcv (>=2.0, <2.2) for your torch: '
    '"pip install -U openmim && mim install \'mmcv>=2.0.0,<2.2.0\'", '
    'or build it from source'
)


def unavailable(name: str) -> NoReturn:
    """Raise an error that says why an operator is missing, and how to get it.

    Args:
        name (str): Name of the operator.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(
        f'mmcv operator "{name}" is not available: this mmcv has no compiled '
        'operators, and torchvision has no equivalent kernel that mmreviewkd '
        f'could serve in its place. To use it, {_HOW_TO}.'
    )
