"""Finds our configs by name, ``mmreviewkd::folder/name.py``, like mmdet's.

mmengine, in 0.10.7 and OneDL's 0.10.12, has a fixed list of packages whose configs
have names. Adding this package to it would not work: mmengine looks for the files
where pip says that the package is, which for an editable install is no folder. It
also builds such a config in the scope of the package's name, while our classes are
registered in mmdet's. So our names are replaced by paths before mmengine sees them.
"""

import functools
import os.path as osp
from typing import Optional

from mmengine import hub
from mmengine.config import Config

from ..errors import UserInputError

PACKAGE = 'mmreviewkd'


def config_folder() -> str:
    """Return the folder of our configs, in the installed package or the checkout.

    Raises:
        UserInputError: The package was copied without them.
    """
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    installed = osp.join(package, '.mim', 'configs')
    checkout = osp.join(osp.dirname(package), 'configs')
    for folder in (installed, checkout):
        if osp.isdir(folder):
            return folder
    raise UserInputError(
        f'the configs of {PACKAGE} are neither in {installed} nor in {checkout}: '
        'install the package by pip, or use a whole checkout of it'
    )


def config_path(config: str) -> str:
    """Return the path of one of our configs by its name; others stay as they are."""
    if not config.startswith(f'{PACKAGE}::'):
        return config
    return osp.join(config_folder(), config.partition('::')[2])


def serve_config_names() -> None:
    """Make ``_base_`` and ``mmengine.hub.get_config`` accept our names."""
    base_path, get_config = Config._get_cfg_path, hub.get_config

    @functools.wraps(base_path)
    def our_base_path(cfg_path: str, filename: str) -> tuple[str, Optional[str]]:
        path = config_path(cfg_path)
        # no scope, as for a base that is given by its path
        return (path, None) if path != cfg_path else base_path(cfg_path, filename)

    @functools.wraps(get_config)
    def get_our_config(cfg_path: str, pretrained: bool = False) -> Config:
        path = config_path(cfg_path)
        if path == cfg_path:
            return get_config(cfg_path, pretrained)
        if pretrained:
            raise UserInputError(f'config {cfg_path}: no weights are published for it')
        return Config.fromfile(path)

    Config._get_cfg_path = staticmethod(our_base_path)
    hub.get_config = hub.hub.get_config = get_our_config
