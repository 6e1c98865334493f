"""Augmentation and normalisation of a whole batch, on the device."""

from typing import Any, Union

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import ImgDataPreprocessor
from torch import Tensor


@MODELS.register_module()
class CropFlipPreprocessor(ImgDataPreprocessor):
    """Random crop and flip in training, then normalisation.

    What torchvision's ``RandomCrop(size, padding)``, ``RandomHorizontalFlip``
    and ``Normalize`` do image by image on the CPU, for a batch of bytes at a
    time wherever the model is.

    Args:
        padding (int): Black pixels on each side, from which a crop of the
            images' size is taken; 0 turns cropping off.
        flip (bool): Whether half of the images are mirrored.
        **kwargs: As of :class:`mmengine.model.ImgDataPreprocessor`, ``mean``
            and ``std`` in units of 0 to 255.
    """

    def __init__(self, padding: int = 0, flip: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding, self.flip = padding, flip

    def forward(self, data: dict, training: bool = False) -> Union[dict, list]:
        data = self.cast_data(data)
        images = data['inputs']
        if isinstance(images, (list, tuple)):
            images = torch.stack(images)
        if training and (self.padding or self.flip):
            images = random_crop_and_flip(images, self.padding, self.flip)
        data = super().forward(
            dict(inputs=images, data_samples=data['data_samples']), training
        )
        samples = data['data_samples']
        if not isinstance(samples, dict):
            data['data_samples'] = torch.as_tensor(samples, device=images.device)
        return data


def random_crop_and_flip(images: Tensor, padding: int, flip: bool) -> Tensor:
    """Each image padded with 0, cropped to its size, and perhaps mirrored.

    Args:
        images (Tensor): (N, C, H, W).
        padding (int): Pixels on each side.
        flip (bool): Whether half of the images are mirrored.

    Returns:
        Tensor: (N, C, H, W).
    """
    (count, channels, height, width), device = images.shape, images.device
    images = F.pad(images, [padding] * 4)
    top, left = torch.randint(2 * padding + 1, (2, count, 1), device=device)
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    if flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    return images[
        torch.arange(count, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
