"""The teacher: a frozen model, outside the student."""

import math
from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModel, ImgDataPreprocessor
from torch import Tensor

from ..errors import UserInputError
from .adapters import adapter_of
from .configs import model_config
from .features import probe, record
from .renormalize import check_preprocessors, renormalize, resize
from .settings import TeacherSettings
from .weights import load_strictly, read_checkpoint


class Teacher(nn.Module):
    """A trained model's features, and logits, of the student's batch.

    ``levels`` are in pixels of the student's images.

    Always in eval mode and without gradients. Copies of the distiller (an
    EMA's, for one) share it: nothing ever changes in it.

    Args:
        settings (TeacherSettings): Config, checkpoint and scale.
        source (ImgDataPreprocessor, optional): The student's data preprocessor, which
            makes the batches; by default the teacher's own.
        part (str): Of a detector, where its features are: ``'neck'`` or
            ``'backbone'``.
        heads (str): Which heads it keeps: ``'none'``, ``'classes'`` for logits, or
            ``'all'`` for predictions.

    Raises:
        UserInputError: The config or checkpoint cannot be used, or the
            checkpoint does not fill the parts that run exactly.
    """

    source: ImgDataPreprocessor

    def __init__(
        self,
        settings: TeacherSettings,
        source: Optional[ImgDataPreprocessor] = None,
        part: str = 'neck',
        heads: str = 'none',
    ) -> None:
        super().__init__()
        self.settings, self.part = settings, part
        model: BaseModel = MODELS.build(model_config(settings.config))
        self.adapter = adapter_of(model)
        self.names = self.adapter.level_names(model, 'teacher', part)
        if heads != 'all':
            self.adapter.drop_unused(model, part, with_head=heads == 'classes')
        self.adapter.check_scale(settings.scale)
        self.class_names = load_strictly(
            model, settings.checkpoint, settings.config, settings.weights
        )
        self.preprocessor = model.data_preprocessor
        source = self.preprocessor if source is None else source
        check_preprocessors(source, self.preprocessor)
        # the student's, and no child of this module
        self.__dict__['source'] = source
        self.model = model.requires_grad_(False)
        self.eval()
        levels = probe(model, self.names)
        octaves = round(math.log2(settings.scale))
        self.levels = levels._replace(
            strides=[round(stride / 2**octaves) for stride in levels.strides]
        )

    def train(self, mode: bool = True) -> 'Teacher':
        """Stays in eval mode."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    def see(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """The batch as the teacher sees it, (N, 3, H', W').

        Args:
            inputs (Tensor): The batch as the student sees it, (N, 3, H, W).
            data_samples (Sequence[DetDataSample] | Tensor | dict): With
                ``img_shape``, the part of each image that is not padding; or
                labels of images without.
        """
        inputs = renormalize(inputs, data_samples, self.source, self.preprocessor)
        if self.settings.scale == 1:
            return inputs
        return resize(inputs, self.settings.scale, self.preprocessor)

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Any) -> tuple[list[Tensor], Any]:
        """Features, (N, C_i, H_i, W_i), and logits or what a head takes.

        Args:
            inputs (Tensor): As :meth:`see` takes it.
            data_samples (Any): As :meth:`see` takes it.
        """
        height, width = (round(n * self.settings.scale) for n in inputs.shape[-2:])
        inputs = self.see(inputs, data_samples)
        with record(self.model, self.names) as features:
            outputs = self.adapter.extract(self.model, inputs)

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

        return cut(features), self.adapter.crop(outputs, cut)

    def bequeath(self, student: nn.Module, parts: Sequence[str]) -> None:
        """Copy parts of the checkpoint, heads too, into the student.

        Args:
            student (nn.Module): Gets the tensors of equal name and shape.
            parts (Sequence[str]): Names of its children, such as ``'neck'``.

        Raises:
            UserInputError: Nothing of a part fits.
        """
        weights = read_checkpoint(
            self.settings.checkpoint, entry=self.settings.weights
        )['state_dict']
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
                    f'{self.settings.checkpoint}'
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
