"""The teacher: a frozen model, outside the student."""
import copy
import difflib
import glob
import math
import os.path as osp
from importlib.metadata import PackageNotFoundError
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hub import get_config
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.utils import get_installed_path, is_installed
from torch import Tensor

from ..errors import UserInputError
from .features import extract, is_classifier, level_names, probe, record
from .renormalize import renormalize


class Teacher(nn.Module):
    """A trained model's features, and logits, of the student's batch.

    ``strides`` are in pixels of the student's images.

    Always in eval mode and without gradients. Copies of the distiller (an
    EMA's, for one) share it: nothing ever changes in it.

    Args:
        config (str | dict): Path of the teacher's config, ``'mmdet::...'``
            for one that mmdet ships, or the model's dict itself.
        checkpoint (str): File or URL of its weights.
        scale (float): Side of the images that it sees, as a multiple of the
            student's. Levels then belong together where they are of one size,
            to the nearest power of two.
        part (str): Of a detector, where its features are: ``'neck'`` or
            ``'backbone'``.
        with_head (bool): Keep the head that classifies boxes.

    Raises:
        UserInputError: The config or checkpoint cannot be used, or the
            checkpoint does not fill the parts that run exactly.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 scale: float = 1.0,
                 *,
                 part: str = 'neck',
                 with_head: bool = False) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
            raise UserInputError(f'teacher=dict(scale={scale!r}): must be a '
                                 "number > 0, the side of the teacher's "
                                 "images as a multiple of the student's")
        self.checkpoint, self.scale = checkpoint, scale
        model = MODELS.build(model_config(config))
        self.names = level_names(model, 'teacher', part)
        if not is_classifier(model):
            # The other parts never run, so neither their memory nor their
            # weights' shapes (another number of classes, say) matter.
            used = ['data_preprocessor', 'backbone']
            used += ['neck'] if part == 'neck' or with_head else []
            used += ['roi_head', 'bbox_head'] if with_head else []
            for name, _ in list(model.named_children()):
                if name not in used:
                    delattr(model, name)
        elif scale != 1:
            raise UserInputError(
                f'teacher=dict(scale={scale}): the levels of classifiers do '
                'not differ in size; leave it out')
        self.class_names = load_strictly(model, checkpoint, config)
        self.preprocessor = model.data_preprocessor
        self.model = model.requires_grad_(False)
        self.eval()
        strides, self.channels, self.classes = probe(model, self.names)
        octaves = round(math.log2(scale))
        self.strides = [round(stride / 2**octaves) for stride in strides]

    def train(self, mode: bool = True) -> 'Teacher':
        """Stays in eval mode."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Sequence,
                preprocessor: nn.Module) -> Tuple[List[Tensor], Any]:
        """Features, (N, C_i, H_i, W_i), and logits or what a head takes.

        Args:
            inputs (Tensor): The batch as the student sees it, (N, 3, H, W).
            data_samples (Sequence[DetDataSample] | Tensor): With
                ``img_shape``, the part of each image that is not padding; or
                labels of images without.
            preprocessor (nn.Module): The student's, which made ``inputs``.
        """
        height, width = inputs.shape[-2:]
        inputs = renormalize(inputs, data_samples, preprocessor,
                             self.preprocessor)
        if self.scale != 1:
            height, width = (round(n * self.scale) for n in (height, width))
            inputs = resize(inputs, self.scale, self.preprocessor)
        with record(self.model, self.names) as features:
            outputs = extract(self.model, inputs)

        def cut(features):
            # where only the teacher's side is padded further, the cells of
            # the additional padding have no counterpart
            extents = [[
                _ceil_div(cells * ours, whole)
                for cells, ours, whole in zip(feature.shape[-2:], (
                    height, width), inputs.shape[-2:])
            ] for feature in features]
            return [
                feature[..., :h, :w]
                for feature, (h, w) in zip(features, extents)
            ]

        return cut(features), outputs if is_classifier(
            self.model) else cut(outputs)

    def bequeath(self, student: nn.Module, parts: Sequence[str]) -> None:
        """Copy parts of the checkpoint, heads too, into the student.

        Args:
            student (nn.Module): Gets the tensors of equal name and shape.
            parts (Sequence[str]): Names of its children, such as ``'neck'``.

        Raises:
            UserInputError: Nothing of a part fits.
        """
        weights = read_checkpoint(self.checkpoint)['state_dict']
        for part in parts:
            own = {
                key: value
                for key, value in student.state_dict().items()
                if key.split('.')[0] == part
            }
            fits = [
                key for key, value in own.items()
                if key in weights and weights[key].shape == value.shape
            ]
            left = [key for key in own if key not in fits]
            if not fits:
                raise UserInputError(
                    f'inherit: none of the {len(own)} tensors of the '
                    f"student's {part} has its name and shape in "
                    f'{self.checkpoint}')
            for key in fits:
                own[key].copy_(weights[key])
            print_log(
                f"The student starts with the teacher's {part}: {len(fits)} "
                f'of {len(own)} tensors' +
                (f'; not {", ".join(left)}' if left else ''), 'current')


def resize(inputs: Tensor, scale: float, preprocessor: nn.Module) -> Tensor:
    """Images at another scale, padded again as a data preprocessor would.

    Args:
        inputs (Tensor): Normalised images, (N, 3, H, W).
        scale (float): Of the sides.
        preprocessor (ImgDataPreprocessor): Of the model that will see them.

    Returns:
        Tensor: (N, 3, H', W'), multiples of ``pad_size_divisor``.
    """
    inputs = F.interpolate(
        inputs, [round(n * scale) for n in inputs.shape[-2:]],
        mode='bilinear',
        antialias=True)
    divisor = preprocessor.pad_size_divisor
    return F.pad(
        inputs, (0, -inputs.size(3) % divisor, 0, -inputs.size(2) % divisor),
        value=preprocessor.pad_value)


def load_config(config: str) -> Config:
    """A config by path, or by ``'mmdet::folder/name.py'``.

    Raises:
        UserInputError: There is no such config; it names those nearest to it.
    """
    package, _, name = config.rpartition('::')
    try:
        if package not in ('', *MODULE2PACKAGE):
            raise FileNotFoundError(f'mmengine knows no package {package}')
        if package and '/' not in name:
            raise FileNotFoundError(f'{package} keeps its configs in folders')
        return get_config(config) if package else Config.fromfile(config)
    except ValueError as error:
        if 'external package' not in str(error):
            raise
        raise UserInputError(f'config {config}: mmengine does not take this '
                             'name; give the path of the file') from None
    except (FileNotFoundError, PackageNotFoundError) as error:
        if osp.exists(config):  # then it is one of its bases
            raise UserInputError(f'config {config}: {error}') from None
        near = _near_configs(package, name)
        raise UserInputError(f'config {config} does not exist: {error}' + (
            f'. Near names: {", ".join(near)}' if near else '')) from None


def _near_configs(package: str, name: str) -> List[str]:
    """Existing configs whose names resemble one that does not exist."""
    folder, prefix = osp.dirname(name), ''
    if package:
        if package not in MODULE2PACKAGE or not is_installed(package):
            return []
        folder, prefix = osp.join(
            get_installed_path(package), '.mim', 'configs'), f'{package}::'
    while folder and not osp.isdir(folder):
        folder = osp.dirname(folder)
    paths = [
        path for pattern in ('*.py', '*/*.py')
        for path in glob.glob(osp.join(folder, pattern))
    ]
    names = [
        prefix + osp.relpath(path, folder) if package else path
        for path in paths
    ]
    return difflib.get_close_matches(prefix + name, names, 3)


def model_config(config: Union[str, dict]) -> ConfigDict:
    """The detector of a config, by path or name, or as it is."""
    if isinstance(config, str):
        whole = load_config(config)
        if 'model' not in whole:
            raise UserInputError(f'config {config} has no "model"')
        config = whole.model
        if whole.get('data_preprocessor'):
            config.setdefault('data_preprocessor', whole.data_preprocessor)
    # builders write into what they build from
    return copy.deepcopy(plain_model(config))


def plain_model(model: dict) -> dict:
    """A detector's config; a distilled one can teach, or learn, again."""
    return model['student'] if model['type'] == 'ReviewKD' else model


def _name(config: Union[str, dict]) -> str:
    return config if isinstance(config, str) else f'a {config["type"]} config'


def read_checkpoint(filename: str) -> dict:
    """A teacher's checkpoint, with its ``state_dict`` under that key.

    Raises:
        UserInputError: The file is missing, or is no checkpoint.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(filename, 'cpu')
    except FileNotFoundError as error:
        raise UserInputError(f'teacher {error}') from None
    if not isinstance(checkpoint, dict):
        raise UserInputError(f'teacher checkpoint {filename} holds a '
                             f'{type(checkpoint).__name__}, not weights')
    if 'state_dict' not in checkpoint:
        # the public CIFAR teachers have their weights under "model"
        checkpoint = dict(state_dict=checkpoint.get('model', checkpoint))
    checkpoint['state_dict'] = {
        key[7:] if key.startswith('module.') else key: value
        for key, value in checkpoint['state_dict'].items()
    }
    return checkpoint


def names_in(meta: Optional[Union[dict, List[dict]]]) -> Optional[tuple]:
    """The classes that a dataset's metainfo names; all the same of several."""
    if isinstance(meta, list):  # of a ConcatDataset
        known = {names_in(each) for each in meta}
        return known.pop() if len(known) == 1 else None
    # "CLASSES" in checkpoints of mmdet 2.x and of the first of 3.x
    names = {
        key.lower(): value
        for key, value in (meta or {}).items()
    }.get('classes')
    if isinstance(names, str):
        return (names, )
    return tuple(names) if names else None


def load_strictly(model: nn.Module, filename: str,
                  config: Union[str, dict]) -> Optional[tuple]:
    """Fill a model's parts from a checkpoint, all or nothing.

    Args:
        model (nn.Module): What it has no part of, its own heads for one, is
            skipped in the checkpoint.
        filename (str): The checkpoint.
        config (str | dict): Of the model; for the message.

    Returns:
        tuple[str] | None: The classes that it was trained for, if it says.

    Raises:
        UserInputError: Tensors are missing, left over or of another shape.
    """
    expected = model.state_dict()
    parts = {key.split('.')[0] for key in expected}
    checkpoint = read_checkpoint(filename)
    weights = checkpoint['state_dict']
    if parts == {'backbone'
                 } and not any(key.startswith('backbone.') for key in weights):
        # a bare network's, as others than this package save them
        weights = {f'backbone.{key}': value for key, value in weights.items()}
    weights = {
        key: value
        for key, value in weights.items() if key.split('.')[0] in parts
    }
    misshaped = {
        key: f'{key} {tuple(weights[key].shape)}, model {tuple(value.shape)}'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    }
    for key in misshaped:
        del weights[key]
    loaded = model.load_state_dict(weights, strict=False)
    missing = [
        key for key in loaded.missing_keys
        if not key.endswith('num_batches_tracked') and key not in misshaped
    ]
    problems = {
        'missing': missing,
        'unexpected': loaded.unexpected_keys,
        'of another shape': list(misshaped.values())
    }
    if any(problems.values()):
        raise UserInputError(
            f'teacher checkpoint {filename} does not fit {_name(config)}: of '
            f'{len(expected)} tensors in {", ".join(sorted(parts))} ' +
            '; '.join(f'{len(keys)} {problem} (first: {", ".join(keys[:3])})'
                      for problem, keys in problems.items() if keys) +
            '. A teacher filled only in part would teach noise')
    meta = checkpoint.get('meta') or {}
    return names_in(meta.get('dataset_meta') or meta)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
