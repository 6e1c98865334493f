"""Augments and normalises a whole batch at once, on the device."""

from typing import Any, Union

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from ..errors import UserInputError
from ..methods.self_supervision import NO_LABEL


@MODELS.register_module()
class CropFlipPreprocessor(ImgDataPreprocessor):
    """Random crop and flip in training, then normalisation.

    It does what torchvision's ``RandomCrop(size, padding)``, ``RandomHorizontalFlip``
    and ``Normalize`` do for single images on the CPU, but for a batch of uint8 images
    at once, on the model's device.

    Args:
        padding (int): Black pixels added on each side before an image of the
            original size is cropped; 0 turns cropping off.
        flip (bool): Whether each image is mirrored with probability 0.5.
        rotations (bool): Whether a batch in training has four copies of each image
            side by side, turned by 0, 90, 180 and 270 degrees, as :class:`SSKD` needs
            them. The copies of an image are mirrored alike, and each is cropped at its
            own place. The label of turned ones is -100, which the classifier's own
            loss leaves out.
        **kwargs: Arguments of :class:`mmengine.model.ImgDataPreprocessor`, with
            ``mean`` and ``std`` in units of 0 to 255.

    Raises:
        UserInputError: Images that are to be turned are not square.

    Examples:
        >>> preprocessor = MODELS.build(
        ...     dict(type='CropFlipPreprocessor', padding=4, flip=True,
        ...          mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4])
        ... )
        >>> inputs = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
        >>> data = dict(inputs=inputs, data_samples=[5, 9])
        >>> batch = preprocessor(data, training=True)
        >>> batch['inputs'].shape, batch['inputs'].dtype, batch['data_samples']
        (torch.Size([2, 3, 32, 32]), torch.float32, tensor([5, 9]))
    """

    def __init__(
        self,
        padding: int = 0,
        flip: bool = False,
        rotations: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.padding, self.flip, self.rotations = padding, flip, rotations

    def forward(self, data: dict, training: bool = False) -> Union[dict, list]:
        data = self.cast_data(data)
        images = data['inputs']
        if isinstance(images, (list, tuple)):
            images = torch.stack(images)
        if training and self.rotations:
            # mirrored before the copies are made, and cropped after
            images = random_crop_and_flip(images, 0, self.flip)
            images = random_crop_and_flip(rotated(images), self.padding, False)
        elif training and (self.padding or self.flip):
            images = random_crop_and_flip(images, self.padding, self.flip)
        data = super().forward(
            dict(inputs=images, data_samples=data.get('data_samples')), training
        )
        samples, device = data['data_samples'], images.device
        if samples is None:  # images alone, to be predicted
            return data
        named = samples if isinstance(samples, dict) else dict(gt_label=samples)
        named = {
            key: torch.as_tensor(each, device=device) for key, each in named.items()
        }
        if training and self.rotations:
            named = {key: each.repeat_interleave(4) for key, each in named.items()}
            turned = torch.arange(len(images), device=device) % 4 > 0
            named['gt_label'] = named['gt_label'].masked_fill(turned, NO_LABEL)
        data['data_samples'] = named if isinstance(samples, dict) else named['gt_label']
        return data


def rotated(images: Tensor) -> Tensor:
    """Turn square images by 0, 90, 180 and 270 degrees.

    Args:
        images (Tensor): Images, (N, C, S, S).

    Returns:
        Tensor: (4 N, C, S, S), the copies of an image side by side.

    Raises:
        UserInputError: The images are not square.
    """
    height, width = images.shape[-2:]
    if height != width:
        raise UserInputError(
            f'CropFlipPreprocessor(rotations=True) turns square images; these are '
            f'{height} high and {width} wide'
        )
    return torch.stack([images.rot90(k, (2, 3)) for k in range(4)], 1).flatten(0, 1)


def random_crop_and_flip(images: Tensor, padding: int, flip: bool) -> Tensor:
    """Pad each image with 0, crop it to its size, and perhaps mirror it.

    Args:
        images (Tensor): Images, (N, C, H, W).
        padding (int): Pixels added on each side.
        flip (bool): Whether each image is mirrored with probability 0.5.

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
