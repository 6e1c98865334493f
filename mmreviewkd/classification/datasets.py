"""Images with labels: small ones in memory, large ones from folders."""

import os
import os.path as osp
import zipfile
from collections.abc import Sequence
from functools import partial
from typing import Optional, Union

import numpy as np
import torch
import torchvision
from mmdet.registry import DATASETS
from mmengine.registry import FUNCTIONS
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.transforms import functional

from ..errors import UnreadableImageError, UserInputError


class TensorImages(Dataset):
    """Images of one size, all in memory, handed out a batch at a time.

    ``DataLoader`` asks for a whole batch by ``__getitems__``, so that a batch
    is one indexing of a tensor; :class:`CropFlipPreprocessor` augments it on
    the device. Goes with ``collate_fn=dict(type='as_is')``.

    Args:
        images (ndarray): (N, H, W, 3) of uint8.
        labels (Sequence[int]): N class indices.
        classes (Sequence[str]): Names of the classes.
        only_classes (int, optional): Keeps the first so many classes.
        source (str): Where they come from; for messages.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: Sequence[int],
        classes: Sequence[str],
        source: str,
        only_classes: Optional[int] = None,
    ) -> None:
        numbers = torch.as_tensor(np.asarray(labels), dtype=torch.long)
        if len(images) != len(numbers) or not len(numbers):
            raise UserInputError(
                f'{source} has {len(images)} images and {len(numbers)} labels'
            )
        if numbers.min() < 0 or numbers.max() >= len(classes):
            raise UserInputError(
                f'{source} has labels from {numbers.min()} to {numbers.max()}; '
                f'of {len(classes)} classes they go from 0 to '
                f'{len(classes) - 1}'
            )
        pixels = torch.as_tensor(
            np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2))
        )
        if only_classes:
            kept = numbers < only_classes
            pixels, numbers = pixels[kept], numbers[kept]
            classes = classes[:only_classes]
        self.images, self.labels = pixels, numbers
        self.metainfo = dict(classes=tuple(classes))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Union[int, Tensor]) -> dict:
        samples = dict(gt_label=self.labels[index], sample_idx=index)
        return dict(inputs=self.images[index], data_samples=samples)

    def __getitems__(self, indices: list[int]) -> dict:
        return self[torch.as_tensor(indices)]


@FUNCTIONS.register_module()
def as_is(batch: dict) -> dict:
    """Collate what is a batch already."""
    return batch


@DATASETS.register_module()
class CIFAR(TensorImages):
    """CIFAR-10 or -100, as torchvision stores and downloads them.

    Args:
        data_root (str): Folder of torchvision's ``CIFAR10`` or ``CIFAR100``.
        train (bool): Which of the two parts.
        classes (int): 10 or 100.
        download (bool): Fetch the data where they are missing.
        only_classes (int, optional): Keeps the first so many classes.
    """

    def __init__(
        self,
        data_root: str,
        train: bool,
        classes: int = 100,
        download: bool = False,
        only_classes: Optional[int] = None,
    ) -> None:
        source = getattr(torchvision.datasets, f'CIFAR{classes}')
        try:
            data = source(data_root, train=train, download=download)
        except RuntimeError:
            raise UserInputError(
                f'{osp.join(data_root, source.base_folder)} is missing or '
                'damaged; train_dataloader.dataset.download=True fetches '
                f'CIFAR-{classes}'
            ) from None
        super().__init__(data.data, data.targets, data.classes, data_root, only_classes)


@DATASETS.register_module()
class ArchiveImages(TensorImages):
    """Images and labels of a NumPy archive.

    Args:
        path (str): ``.npz`` with ``x``, (N, H, W, 3) of uint8, and ``y``,
            (N, ) of integers.
        num_classes (int): Labels go from 0 to ``num_classes - 1``.
        only_classes (int, optional): Keeps the first so many classes.
    """

    def __init__(
        self, path: str, num_classes: int, only_classes: Optional[int] = None
    ) -> None:
        if not osp.isfile(path):
            raise UserInputError(f'no such file: {path}')
        try:
            with np.load(path) as archive:
                images, labels = archive['x'], archive['y']
        except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
            raise UserInputError(
                f'{path} is no archive of images "x" and labels "y": {error}'
            ) from None
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise UserInputError(
                f'{path}: x is {images.dtype} {images.shape}, not uint8 (N, H, W, 3)'
            )
        super().__init__(
            images, labels, [str(i) for i in range(num_classes)], path, only_classes
        )


def read_image(path: str) -> Image:
    """An image file, in RGB.

    Raises:
        UnreadableImageError: The file is missing, is no image, is cut short
            or claims to be huge.
    """
    try:
        return torchvision.datasets.folder.default_loader(path)
    except Exception as error:  # each of Pillow's formats has its own
        raise UnreadableImageError(
            f'image {path} cannot be read: {type(error).__name__}: '
            f'{" ".join(str(error).split())}'
        ) from error


def centre(image: Image, size: int) -> Image:
    """The central square of an image, 7/8 of its short side, at a size."""
    if image.size == (size, size):
        return image
    image = functional.resize(image, round(size * 8 / 7))
    return functional.center_crop(image, size)


@DATASETS.register_module()
class FolderImages(Dataset):
    """One folder of images per class, as ImageNet is laid out.

    Augmented image by image, in the data loader's workers: a random crop of
    8% to 100%, resized, and a flip; for testing the centre of the image, or
    the image as it is where it has the size already.

    Args:
        data_root (str): Folder of the classes' folders.
        num_classes (int): How many there must be.
        train (bool): Whether to augment.
        input_size (int): Side of the images in pixels.
    """

    def __init__(
        self, data_root: str, num_classes: int, train: bool, input_size: int = 224
    ) -> None:
        if not osp.isdir(data_root):
            raise UserInputError(f'no such folder: {data_root}')
        found = [e.name for e in os.scandir(data_root) if e.is_dir()]
        if len(found) != num_classes:
            raise UserInputError(
                f'{data_root} has {len(found)} classes (folders), the config '
                f'says {num_classes}'
            )
        if train:
            steps = [
                transforms.RandomResizedCrop(input_size),
                transforms.RandomHorizontalFlip(),
            ]
        else:
            steps = [partial(centre, size=input_size)]
        try:
            self.images = torchvision.datasets.ImageFolder(
                data_root,
                transforms.Compose([*steps, transforms.PILToTensor()]),
                loader=read_image,
            )
        except FileNotFoundError as error:
            raise UserInputError(f'{data_root}: {error}') from None
        self.metainfo = dict(classes=tuple(self.images.classes))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        image, label = self.images[index]
        return dict(inputs=image, data_samples=dict(gt_label=label, sample_idx=index))
