"""Labelled images: small datasets in memory, large ones in folders."""

import os
import os.path as osp
import zipfile
from collections.abc import Sequence
from functools import partial
from typing import Optional, Union

import numpy as np
import torch
import torchvision
from filelock import FileLock
from mmdet.registry import DATASETS
from mmengine.registry import FUNCTIONS
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.transforms import functional

from ..errors import UnreadableImageError, UserInputError


class TensorImages(Dataset):
    """Images of one size that are all in memory, and are loaded a batch at a time.

    ``DataLoader`` gets a whole batch from ``__getitems__``, which indexes a tensor
    only once. :class:`CropFlipPreprocessor` augments the batch on the device. The
    data loader needs ``collate_fn=dict(type='as_is')``.

    Args:
        images (ndarray): (N, H, W, 3) of uint8.
        labels (Sequence[int]): N class indices.
        classes (Sequence[str]): Names of the classes.
        only_classes (int, optional): Keeps only this number of first classes.
        source (str): Where the images come from, for messages.

    Raises:
        UserInputError: Images and labels differ in number, or a label is no class.
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
    """Return a batch that needs no collating."""
    return batch


@DATASETS.register_module()
class CIFAR(TensorImages):
    """CIFAR-10 or CIFAR-100, as torchvision stores and downloads it.

    Args:
        data_root (str): Folder of torchvision's ``CIFAR10`` or ``CIFAR100``.
        train (bool): Whether to load the training images, or the test images.
        classes (int): 10 or 100.
        download (bool): Whether to download the data if they are missing.
        only_classes (int, optional): Keeps only this number of first classes.

    Raises:
        UserInputError: The data are missing or damaged, or cannot be downloaded.

    Examples:
        >>> dataset = dict(type='CIFAR', data_root='data/cifar', train=True)
        >>> train_dataloader = dict(batch_size=64, num_workers=0, dataset=dataset,
        ...                         sampler=dict(type='DefaultSampler', shuffle=True),
        ...                         collate_fn=dict(type='as_is'))
        >>> DATASETS.get('CIFAR').__name__
        'CIFAR'
    """

    def __init__(
        self,
        data_root: str,
        train: bool,
        classes: int = 100,
        download: bool = False,
        only_classes: Optional[int] = None,
    ) -> None:
        if classes not in (10, 100):
            raise UserInputError(f'CIFAR(classes={classes!r}): must be 10 or 100')
        source = getattr(torchvision.datasets, f'CIFAR{classes}')
        root = osp.expanduser(data_root)
        try:
            data = source(root, train=train)
        except RuntimeError:
            where = osp.join(data_root, source.base_folder)
            if not download:
                raise UserInputError(
                    f'{where} is missing or damaged; train_dataloader.dataset.'
                    f'download=True fetches CIFAR-{classes}'
                ) from None
            try:
                os.makedirs(root, exist_ok=True)
                # every rank comes here, and torchvision writes without a lock
                with FileLock(osp.join(root, 'download.lock')):
                    data = source(root, train=train, download=True)
            except (RuntimeError, OSError) as error:
                raise UserInputError(f'{where} cannot be downloaded: {error}') from None
        super().__init__(data.data, data.targets, data.classes, data_root, only_classes)


@DATASETS.register_module()
class ArchiveImages(TensorImages):
    """Images and labels in a NumPy archive.

    Args:
        path (str): ``.npz`` file with ``x``, (N, H, W, 3) of uint8, and ``y``,
            (N, ) of integers.
        num_classes (int): Number of classes; labels are 0 to ``num_classes - 1``.
        only_classes (int, optional): Keeps only this number of first classes.

    Raises:
        UserInputError: The file cannot be used.

    Examples:
        >>> np.savez('train.npz', x=np.zeros((8, 32, 32, 3), np.uint8), y=[0, 1] * 4)
        >>> images = DATASETS.build(
        ...     dict(type='ArchiveImages', path='train.npz', num_classes=2)
        ... )
        >>> len(images), images[3]['inputs'].shape, images[3]['data_samples']
        (8, torch.Size([3, 32, 32]), {'gt_label': tensor(1), 'sample_idx': 3})
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
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise UserInputError(
                f'{path}: y is {labels.dtype} {labels.shape}, not integers (N, )'
            )
        super().__init__(
            images, labels, [str(i) for i in range(num_classes)], path, only_classes
        )


def read_image(path: str) -> Image:
    """Read an image file as RGB.

    Raises:
        UnreadableImageError: The file is missing, is no image, is truncated
            or claims a huge size.
    """
    try:
        return torchvision.datasets.folder.default_loader(path)
    except Exception as error:  # each of Pillow's formats raises other types
        raise UnreadableImageError(
            f'image {path} cannot be read: {type(error).__name__}: '
            f'{" ".join(str(error).split())}'
        ) from error


def centre(image: Image, size: int) -> Image:
    """Crop the central square, 7/8 of the short side, and resize it to ``size``."""
    if image.size == (size, size):
        return image
    image = functional.resize(image, round(size * 8 / 7))
    return functional.center_crop(image, size)


@DATASETS.register_module()
class FolderImages(Dataset):
    """One folder of images per class, like ImageNet.

    Images are augmented one by one in the data loader's workers: training uses a
    resized random crop of 8% to 100% of the area, and a random flip; testing uses the
    centre of the image, or the whole image if it already has the size.

    Args:
        data_root (str): Folder that contains the folders of the classes.
        num_classes (int): Number of classes that there must be.
        train (bool): Whether to augment.
        input_size (int): Side of the images in pixels.

    Raises:
        UserInputError: The folder is missing, or has another number of classes.

    Examples:
        >>> from pathlib import Path
        >>> from torchvision.utils import save_image
        >>> for name in ('cat', 'dog'):
        ...     Path('images', name).mkdir(parents=True)
        ...     save_image(torch.rand(3, 250, 300), f'images/{name}/1.png')
        >>> config = dict(type='FolderImages', data_root='images', num_classes=2)
        >>> images = DATASETS.build(dict(config, train=True))
        >>> images.metainfo['classes'], images[0]['inputs'].shape
        (('cat', 'dog'), torch.Size([3, 224, 224]))
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
