"""Convert images to the preprocessing and scale of another model."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from ..compat.internals import normalizes, reverses_channels
from ..errors import UserInputError


class Renormalization:
    """Converts batches to what another data preprocessor would have made of them.

    The two are compared when it is built: on a GPU, a look at their ``mean`` and
    ``std`` in every step would make the host wait for the device.

    Args:
        source (ImgDataPreprocessor): Data preprocessor of the student.
        target (ImgDataPreprocessor): Data preprocessor of the teacher.

    Raises:
        UserInputError: One of them is no ``ImgDataPreprocessor``.

    Examples:
        >>> from mmdet.models import DetDataPreprocessor
        >>> source = DetDataPreprocessor()
        >>> target = DetDataPreprocessor(mean=[100.0] * 3, std=[50.0] * 3)
        >>> images = torch.full((1, 3, 8, 8), 150.0)
        >>> Renormalization(source, target)(images, None).unique()
        tensor([1.])
    """

    def __init__(
        self, source: ImgDataPreprocessor, target: ImgDataPreprocessor
    ) -> None:
        check_preprocessors(source, target)
        self.source, self.target = source, target
        self.equal = _settings(source) == _settings(target)

    def __call__(self, inputs: Tensor, data_samples: Any) -> Tensor:
        """Convert a batch.

        Args:
            inputs (Tensor): Images preprocessed by ``source``, (N, 3, H, W).
            data_samples (Sequence[DetDataSample] | Tensor | dict): Samples with
                ``img_shape``, height and width without the padding; or labels, if the
                images have no padding.

        Returns:
            Tensor: (N, 3, H', W'); larger than ``inputs`` if ``target`` pads to a
            larger divisor. ``inputs`` itself if the two preprocessors agree. For
            images with integer pixels it is equal to the last bit.
        """
        source, target = self.source, self.target
        height, width = inputs.shape[-2:]
        more = (-height % target.pad_size_divisor, -width % target.pad_size_divisor)
        if self.equal:
            return (
                F.pad(inputs, (0, more[1], 0, more[0]), value=target.pad_value)
                if any(more)
                else inputs
            )
        with torch.autocast(inputs.device.type, enabled=False):
            images = inputs
            if normalizes(source):
                images = images * source.std.to(images) + source.mean.to(images)
                # Pixels are integers, except after resizing a batch or colour jitter.
                # Values close to an integer are rounded to remove the float error.
                whole = images.round()
                images = torch.where((images - whole).abs() < 1e-4, whole, images)
            if reverses_channels(source) != reverses_channels(target):
                images = images.flip(1)
            if normalizes(target):
                images = (images - target.mean.to(images)) / target.std.to(images)
        images = F.pad(images, (0, more[1], 0, more[0]))
        samples = (
            data_samples if isinstance(data_samples, Sequence) else [None] * len(images)
        )
        for image, sample in zip(images, samples):
            # what tells no shape has no padding
            h, w = getattr(sample, 'img_shape', (height, width))
            image[:, h:] = target.pad_value
            image[:, :, w:] = target.pad_value
        return images


def resize(inputs: Tensor, scale: float, preprocessor: ImgDataPreprocessor) -> Tensor:
    """Resize images to another scale, and pad them as a data preprocessor would.

    Args:
        inputs (Tensor): Normalised images, (N, 3, H, W).
        scale (float): Factor on height and width.
        preprocessor (ImgDataPreprocessor): Data preprocessor of the model that
            takes the result.

    Returns:
        Tensor: (N, 3, H', W'), multiples of ``pad_size_divisor``.
    """
    inputs = F.interpolate(
        inputs,
        [round(n * scale) for n in inputs.shape[-2:]],
        mode='bilinear',
        antialias=True,
    )
    divisor = preprocessor.pad_size_divisor
    return F.pad(
        inputs,
        (0, -inputs.size(3) % divisor, 0, -inputs.size(2) % divisor),
        value=preprocessor.pad_value,
    )


def check_preprocessors(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse preprocessors that :class:`Renormalization` cannot use; log differences.

    Args:
        student (nn.Module): Data preprocessor of the student.
        teacher (nn.Module): Data preprocessor of the teacher.

    Raises:
        UserInputError: One of them is no ``ImgDataPreprocessor``.
    """
    for owner, preprocessor in (('student', student), ('teacher', teacher)):
        if not isinstance(preprocessor, ImgDataPreprocessor):
            raise UserInputError(
                f"the {owner}'s data_preprocessor is a "
                f'{type(preprocessor).__name__}; to show both models the same '
                'image, it must be a DetDataPreprocessor or another '
                'ImgDataPreprocessor'
            )
    ours, theirs = (
        dict(_settings(each), pad_size_divisor=each.pad_size_divisor)
        for each in (student, teacher)
    )
    if ours != theirs:
        print_log(
            'The teacher sees each image in its own normalisation: '
            + ', '.join(
                f'{key} {theirs[key]} (student: {ours[key]})'
                for key in ours
                if ours[key] != theirs[key]
            ),
            'current',
        )


def _settings(preprocessor: ImgDataPreprocessor) -> dict:
    normalize = normalizes(preprocessor)
    return dict(
        mean=preprocessor.mean.flatten().tolist() if normalize else None,
        std=preprocessor.std.flatten().tolist() if normalize else None,
        channels_reversed=reverses_channels(preprocessor),
        pad_value=preprocessor.pad_value,
    )
