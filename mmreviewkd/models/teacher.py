"""The teacher: a frozen model, outside the student."""

import math
from collections.abc import Sequence
from typing import Any, Optional, Union

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModel, ImgDataPreprocessor
from torch import Tensor

from ..errors import SettingError, UserInputError
from .configs import model_config
from .features import extract, is_classifier, level_names, probe, record
from .renormalize import renormalize, resize
from .weights import load_strictly, read_checkpoint


class Teacher(nn.Module):
    """A trained model's features, and logits, of the student's batch.

    ``strides`` are in pixels of the student's images.

    Always in eval mode and without gradients. Copies of the distiller (an
    EMA's, for one) share it: nothing ever changes in it.

    Args:
        config (str | dict): Path of the teacher's config, ``'mmdet::...'`` or
            ``'mmreviewkd::...'`` for one that mmdet or this package ships, or
            the model's dict itself.
        checkpoint (str): File or URL of its weights.
        scale (float): Side of the images that it sees, as a multiple of the
            student's. Levels then belong together where they are of one size,
            to the nearest power of two.
        weights (str, optional): The entry of the checkpoint which holds them,
            such as ``'ema_state_dict'``. By default it is ``'state_dict'``,
            ``'model'`` or, where there is neither, the file itself.
        part (str): Of a detector, where its features are: ``'neck'`` or
            ``'backbone'``.
        with_head (bool): Keep the head that classifies boxes.

    Raises:
        UserInputError: The config or checkpoint cannot be used, or the
            checkpoint does not fill the parts that run exactly.
    """

    def __init__(
        self,
        config: Union[str, dict],
        checkpoint: str,
        scale: float = 1.0,
        weights: Optional[str] = None,
        *,
        part: str = 'neck',
        with_head: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
            raise SettingError(
                "{}: must be a number > 0, the side of the teacher's images "
                "as a multiple of the student's",
                'teacher',
                'scale',
                scale,
            )
        self.checkpoint, self.weights, self.scale = checkpoint, weights, scale
        model: BaseModel = MODELS.build(model_config(config))
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
            raise SettingError(
                '{}: the levels of classifiers do not differ in size; leave it out',
                'teacher',
                'scale',
                scale,
            )
        self.class_names = load_strictly(model, checkpoint, config, weights)
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
    def forward(
        self,
        inputs: Tensor,
        data_samples: Union[Sequence, Tensor],
        preprocessor: ImgDataPreprocessor,
    ) -> tuple[list[Tensor], Any]:
        """Features, (N, C_i, H_i, W_i), and logits or what a head takes.

        Args:
            inputs (Tensor): The batch as the student sees it, (N, 3, H, W).
            data_samples (Sequence[DetDataSample] | Tensor): With
                ``img_shape``, the part of each image that is not padding; or
                labels of images without.
            preprocessor (ImgDataPreprocessor): The student's, which made ``inputs``.
        """
        height, width = inputs.shape[-2:]
        inputs = renormalize(inputs, data_samples, preprocessor, self.preprocessor)
        if self.scale != 1:
            height, width = (round(n * self.scale) for n in (height, width))
            inputs = resize(inputs, self.scale, self.preprocessor)
        with record(self.model, self.names) as features:
            outputs = extract(self.model, inputs)

        def cut(features: Sequence[Tensor]) -> list[Tensor]:
            # where only the teacher's side is padded further, the cells of
            # the additional padding have no counterpart
            extents = [
                [
                    _ceil_div(cells * ours, whole)
                    for cells, ours, whole in zip(
                        feature.shape[-2:], (height, width), inputs.shape[-2:]
                    )
                ]
                for feature in features
            ]
            return [feature[..., :h, :w] for feature, (h, w) in zip(features, extents)]

        return cut(features), outputs if is_classifier(self.model) else cut(outputs)

    def bequeath(self, student: nn.Module, parts: Sequence[str]) -> None:
        """Copy parts of the checkpoint, heads too, into the student.

        Args:
            student (nn.Module): Gets the tensors of equal name and shape.
            parts (Sequence[str]): Names of its children, such as ``'neck'``.

        Raises:
            UserInputError: Nothing of a part fits.
        """
        weights = read_checkpoint(self.checkpoint, entry=self.weights)['state_dict']
        for part in parts:
            own = {
                key: value
                for key, value in student.state_dict().items()
                if key.split('.')[0] == part
            }
            fits = [
                key
                for key, value in own.items()
                if key in weights and weights[key].shape == value.shape
            ]
            left = [key for key in own if key not in fits]
            if not fits:
                raise UserInputError(
                    f'inherit: none of the {len(own)} tensors of the '
                    f"student's {part} has its name and shape in "
                    f'{self.checkpoint}'
                )
            for key in fits:
                own[key].copy_(weights[key])
            print_log(
                f"The student starts with the teacher's {part}: {len(fits)} "
                f'of {len(own)} tensors' + (f'; not {", ".join(left)}' if left else ''),
                'current',
            )


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
