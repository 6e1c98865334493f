"""Configs given by path or name, and the models in them."""

import copy
import difflib
import glob
import json
import os.path as osp
from importlib.metadata import PackageNotFoundError
from typing import Any, Optional, Union

import yaml
from mmengine.config import Config, ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hub import get_config
from mmengine.utils import get_installed_path, is_installed

from ..compat.config_names import PACKAGE, config_folder, config_path
from ..compat.type_name import type_name
from ..errors import UserInputError, near


def load_config(config: str) -> Config:
    """Load a config by path or name, such as ``'mmreviewkd::folder/name.py'``.

    Args:
        config (str): Path, or name such as ``'mmdet::retinanet/...'``.

    Raises:
        UserInputError: There is no such config, and the message suggests similar
            names; or its text cannot be read, and the message has the line.
    """
    package, _, name = config.rpartition('::')
    path = config_path(config)
    if osp.isdir(path):
        raise UserInputError(f'config {config} is a folder; give a file in it')
    try:
        if package not in ('', PACKAGE, *MODULE2PACKAGE):
            known = near(package, [PACKAGE, *MODULE2PACKAGE])
            raise FileNotFoundError(f'mmengine knows no package {package}{known}')
        if package and '/' not in name:
            raise FileNotFoundError(f'{package} keeps its configs in folders')
        if package in ('', PACKAGE):
            return Config.fromfile(path)
        return get_config(config)
    except (
        SyntaxError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        yaml.YAMLError,
    ) as error:
        raise UserInputError(f'config {config}: {_slip(error)}') from None
    except AttributeError:
        if path.endswith('.py'):
            raise
        raise UserInputError(
            f'config {config}: it, or a base of it, is empty or a list; a config has '
            'settings by name'
        ) from None
    except ValueError as error:
        if 'external package' not in str(error):
            raise
        raise UserInputError(
            f'config {config}: mmengine does not take this '
            'name; give the path of the file'
        ) from None
    except KeyError as error:
        if 'reserved for config file' in str(error):
            raise UserInputError(
                f'config {config}: {error.args[0]}; give the setting another name'
            ) from None
        if 'Duplicate key' not in str(error):
            raise
        raise UserInputError(
            f'config {config}: {error.args[0]}: two files in its _base_ set it; leave '
            'one of them out, or set it in the config itself'
        ) from None
    except (FileNotFoundError, PackageNotFoundError) as error:
        if osp.exists(path):  # then one of its base configs is missing
            raise UserInputError(f'config {config}: {error}') from None
        names = _near_configs(package, name)
        raise UserInputError(
            f'config {config} does not exist: {error}'
            + (f'. Near names: {", ".join(names)}' if names else '')
        ) from None
    except OSError as error:
        if 'Only py/yml/yaml/json' not in str(error):
            raise
        raise UserInputError(
            f'config {config}: a config ends in .py, .json, .yaml or .yml'
        ) from None


def _slip(error: Exception) -> str:
    """Describe why a config's text cannot be read, with the line.

    mmengine does not say which file it is, the config or a base of it, so lines are
    quoted. The messages about JSON and YAML have the line's number.
    """
    if isinstance(error, SyntaxError) and error.text:
        return f'{error.msg} in line {error.lineno}, {error.text.strip()!r}'
    if isinstance(error, UnicodeDecodeError):
        number = error.object.count(b'\n', 0, error.start)
        line = error.object.split(b'\n')[number].decode(errors='backslashreplace')
        return f'line {number + 1} is not UTF-8, {line.strip()!r}'
    return str(error)


def _near_configs(package: str, name: str) -> list[str]:
    """Return the names of existing configs that resemble a missing one."""
    folder, prefix = osp.dirname(name), f'{package}::' if package else ''
    patterns = ['*.py', '*/*.py']
    if package:
        patterns += ['*/*/*.py']
        if package == PACKAGE:
            folder = config_folder()
        elif package in MODULE2PACKAGE and is_installed(package):
            folder = osp.join(get_installed_path(package), '.mim', 'configs')
        else:
            return []
    while folder and not osp.isdir(folder):
        folder = osp.dirname(folder)
    start = glob.escape(folder)
    paths = [path for each in patterns for path in glob.glob(osp.join(start, each))]
    names = [prefix + osp.relpath(path, folder) if package else path for path in paths]
    return difflib.get_close_matches(prefix + name, names, 3)


def model_config(config: Union[str, dict]) -> ConfigDict:
    """Return the config of the model alone, from a path, a name or a model's dict."""
    if isinstance(config, str):
        whole = load_config(config)
        if 'model' not in whole:
            raise UserInputError(f'config {config} has no "model"')
        config = student_config(whole)
    # builders modify the config that they build from
    return copy.deepcopy(plain_model(config))


def student_config(cfg: Config) -> dict:
    """Return the student of a whole config, or its plain model, with preprocessor."""
    return plain_model(cfg.model, cfg.get('data_preprocessor'))


def distiller_config(cfg: Config) -> ConfigDict:
    """Return the ReviewKD model of a config, as mmengine's Runner would build it.

    Raises:
        UserInputError: The model is not a ReviewKD.
    """
    if type_name(cfg.model) != 'ReviewKD':
        raise UserInputError(
            f'{cfg.filename} distils nothing: its model is a {type_name(cfg.model)}, '
            'not a ReviewKD'
        )
    return _with_preprocessor(copy.deepcopy(cfg.model), cfg.get('data_preprocessor'))


def plain_model(model: dict, data_preprocessor: Optional[dict] = None) -> dict:
    """Return the config of the model without its teacher: a ReviewKD's student.

    So a distilled model can itself be a teacher or a student.

    Args:
        model (dict): Config of a detector, a classifier or a ReviewKD.
        data_preprocessor (dict, optional): Data preprocessor that the config has
            beside its model. The model's own takes precedence.
    """
    if type_name(model) == 'ReviewKD':
        data_preprocessor = model.get('data_preprocessor', data_preprocessor)
        model = model['student']
    return _with_preprocessor(model, data_preprocessor)


def _with_preprocessor(model: Any, data_preprocessor: Optional[dict]) -> Any:
    """Return a model's config with a data preprocessor, unless it has one already."""
    if data_preprocessor is not None and 'data_preprocessor' not in model:
        model = copy.copy(model)
        model['data_preprocessor'] = data_preprocessor
    return model
