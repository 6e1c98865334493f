"""The teacher: a frozen model that is no part of the student's module tree."""

import math
from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.utils import apply_to
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..compat.precision import in_precision
from ..errors import UserInputError
from .adapters import adapter_of
from .configs import model_config
from .features import as_maps, probe, record
from .renormalize import Renormalization, resize
from .settings import TeacherSettings
from .weights import load_strictly, read_checkpoint


class Teacher(nn.Module):
    """A trained model that computes features and logits of the student's batch.

    It is always in eval mode and has no gradients. Copies of the student (an EMA's,
    for one) share it, since it never changes. The strides in ``levels`` are in pixels
    of the student's images.

    Args:
        settings (TeacherSettings): Config, checkpoint and scale.
        source (ImgDataPreprocessor, optional): Data preprocessor of the student, which
            makes the batches. Defaults to the teacher's own.
        part (str): Where the levels of a detector are: ``'neck'`` or ``'backbone'``.
        heads (str): Heads to keep: ``'none'``, ``'classes'`` for logits, or ``'all'``
            for predictions.

    Raises:
        UserInputError: The config or checkpoint cannot be used, or the
            checkpoint does not exactly fill the parts that run.

    Examples:
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(type='CifarResNet', depth=8),
        ...     data_preprocessor=dict(type='CropFlipPreprocessor'),
        ... )
        >>> torch.save(MODELS.build(model).state_dict(), 'teacher.pth')
        >>> teacher = Teacher(TeacherSettings(config=model, checkpoint='teacher.pth'))
        >>> features, logits = teacher(torch.rand(2, 3, 32, 32), torch.tensor([5, 9]))
        >>> [feature.size(1) for feature in features], logits.shape
        ([16, 32, 64, 64], torch.Size([2, 100]))
    """

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
        if settings.levels is not None:
            self.adapter.choose_levels(model, settings.levels)
        self.names = self.adapter.level_names(model, 'teacher', part)
        if heads != 'all':
            self.adapter.drop_unused(model, part, with_head=heads == 'classes')
        self.adapter.check_scale(settings.scale)
        self.class_names = load_strictly(
            model, settings.checkpoint, settings.config, settings.weights
        )
        self.preprocessor = model.data_preprocessor
        # holds the student's preprocessor without making it a child of this module
        self.renormalize = Renormalization(
            self.preprocessor if source is None else source, self.preprocessor
        )
        self.model = model.requires_grad_(False)
        self.eval()
        levels = probe(model, self.names)
        octaves = round(math.log2(settings.scale))
        self.levels = levels._replace(
            strides=[round(stride / 2**octaves) for stride in levels.strides]
        )
        if settings.batch_statistics and heads != 'all':
            for module in model.modules():
                if isinstance(module, _BatchNorm):
                    # without them it takes those of the batch in eval mode, too
                    module.running_mean = module.running_var = None

    def train(self, mode: bool = True) -> 'Teacher':
        """Stay in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    def see(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """Convert the student's batch to the teacher's preprocessing, (N, 3, H', W').

        Args:
            inputs (Tensor): Batch of the student, (N, 3, H, W).
            data_samples (Sequence[DetDataSample] | Tensor | dict): Samples with
                ``img_shape``, height and width without the padding; or labels, if
                the images have no padding.
        """
        inputs = self.renormalize(inputs, data_samples)
        if self.settings.scale == 1:
            return inputs
        return resize(inputs, self.settings.scale, self.preprocessor)

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: Any) -> tuple[list[Tensor], Any]:
        """Compute the features of a batch, and its logits or what a head takes.

        Args:
            inputs (Tensor): Batch of the student, (N, 3, H, W).
            data_samples (Any): Samples or labels, as for :meth:`see`.

        Returns:
            tuple[list[Tensor], Any]: The features, (N, C_i, H_i, W_i), and what the
            adapter's ``extract`` returns.
        """
        if next(self.model.parameters()).device != inputs.device:
            self.to(inputs.device)  # borrowed by a student that has moved
        height, width = (round(n * self.settings.scale) for n in inputs.shape[-2:])
        inputs = self.see(inputs, data_samples)
        precision = self.settings.precision
        lower = in_precision('teacher', precision, inputs.device)
        with lower, record(self.model, self.names) as features:
            outputs = self.adapter.extract(self.model, inputs)
        features = as_maps(features)
        if precision is not None:
            # heads and methods go on in the precision of the run
            features = [feature.to(inputs.dtype) for feature in features]
            outputs = apply_to(
                outputs, torch.is_tensor, lambda output: output.to(inputs.dtype)
            )

        def cut(features: Sequence[Tensor]) -> list[Tensor]:
            # if only the teacher's images are padded further, the student has no
            # cells for the additional padding
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
        """Copy parts of the teacher, dropped heads included, into the student.

        Args:
            student (nn.Module): Student; its tensors of equal name and shape are set.
            parts (Sequence[str]): Names of its child modules, such as ``'neck'``.

        Raises:
            UserInputError: No tensor of a part fits.
        """
        # the file for heads that were dropped; its names may be others than the model's
        weights = {
            **read_checkpoint(self.settings.checkpoint, entry=self.settings.weights)[
                'state_dict'
            ],
            **self.model.state_dict(),
        }
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
