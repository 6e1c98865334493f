"""Reports in one line what keeps a run's loggers from working."""

from importlib.util import find_spec
from typing import Optional

from mmengine.config import Config

from ..compat.type_name import type_name
from ..errors import UserInputError

# for each of mmengine's loggers that needs a package: the package
_PACKAGES = dict(
    TensorboardVisBackend='tensorboard',
    WandbVisBackend='wandb',
    MLflowVisBackend='mlflow',
    ClearMLVisBackend='clearml',
    NeptuneVisBackend='neptune',
    DVCLiveVisBackend='dvclive',
    AimVisBackend='aim',
)
# what their own messages do not say
_OFFLINE = dict(wandb='WANDB_MODE=offline', clearml='CLEARML_OFFLINE_MODE=1')


def check_loggers(cfg: Config) -> None:
    """Check that the packages of the config's loggers are installed.

    mmengine would find out only after the data were read, and in one of several
    processes.

    Raises:
        UserInputError: A package is missing. The message names the logger and the
            command that installs its package.
    """
    visualizer = cfg.get('visualizer')
    backends = visualizer.get('vis_backends') if isinstance(visualizer, dict) else None
    for backend in backends if isinstance(backends, (list, tuple)) else []:
        # whatever else there is, mmengine refuses itself
        name = type_name(backend) if isinstance(backend, dict) else ''
        package = _PACKAGES.get(name)
        if package and not _installed(package):
            raise UserInputError(
                f'the logger {name} in visualizer.vis_backends needs the package '
                f'{package}, which is not installed: pip install {package}'
            )


def logger_error(error: BaseException) -> Optional[str]:
    """Return one line about an error that comes from a logger's package.

    Args:
        error (BaseException): Any exception.

    Returns:
        str | None: The package, its message and how to log without an account; None
        if the error comes from elsewhere.
    """
    package = type(error).__module__.partition('.')[0]
    if package not in _PACKAGES.values():
        return None
    line = f'logger {package}: {" ".join(str(error).split())}'
    if package in _OFFLINE:
        line += (
            f'; to log into files, without account or network: {_OFFLINE[package]} '
            'in the environment'
        )
    return line


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # sys.modules has None in its place
        return False
