"""Data in memory and in folders, and files that cannot be used."""

import pickle
from urllib.error import URLError

from mmreviewkd.classification import FolderImages
from mmreviewkd.errors import UnreadableImageError, UserInputError, in_one_line
from tests.support.images import png

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from mmdet.registry import DATASETS
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms


def archive(path, count=10, labels=None, **replaced):
    rng = np.random.RandomState(0)
    arrays = dict(
        x=rng.randint(0, 256, (count, 32, 32, 3)).astype(np.uint8),
        y=np.arange(count) % 5 if labels is None else np.asarray(labels),
    )
    arrays.update(replaced)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return str(path)


def test_a_batch_is_one_indexing(tmp_path):
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='as_is'),
            dataset=dict(
                type='ArchiveImages', num_classes=5, path=archive(tmp_path / 'a.npz')
            ),
        )
    )
    batches = list(loader)
    assert [tuple(b['inputs'].shape) for b in batches] == [
        (4, 3, 32, 32),
        (4, 3, 32, 32),
        (2, 3, 32, 32),
    ]
    with np.load(tmp_path / 'a.npz') as saved:
        assert torch.equal(
            torch.cat([b['inputs'] for b in batches]),
            torch.from_numpy(saved['x']).permute(0, 3, 1, 2),
        )
        assert (
            torch.cat([b['data_samples']['gt_label'] for b in batches]).tolist()
            == saved['y'].tolist()
        )
    assert loader.dataset.metainfo['classes'] == ('0', '1', '2', '3', '4')


def test_only_some_classes(tmp_path):
    data = DATASETS.build(
        dict(
            type='ArchiveImages',
            num_classes=5,
            only_classes=2,
            path=archive(tmp_path / 'a.npz'),
        )
    )
    assert len(data) == 4 and set(data.labels.tolist()) == {0, 1}
    assert len(data.metainfo['classes']) == 2


@pytest.mark.parametrize(
    'replaced, message',
    [
        (dict(labels=[0, 1, 2, 3, 5] * 2), 'labels from 0 to 5; of 5 classes'),
        (dict(labels=[-1] * 10), 'labels from -1 to -1'),
        (dict(labels=[0, 1]), '10 images and 2 labels'),
        (dict(y=None), 'no archive of images "x" and labels "y"'),
        (dict(x=np.zeros((3, 8), np.uint8)), 'x is uint8 (3, 8), not uint8 (N'),
        # as Keras stores CIFAR, and one-hot
        (dict(y=np.zeros((10, 1), int)), 'y is int64 (10, 1), not integers (N, )'),
        (dict(y=np.eye(10)), 'y is float64 (10, 10), not integers (N, )'),
        (dict(y=np.full(10, 0.9)), 'y is float64 (10,), not integers (N, )'),
        (dict(labels=['cat'] * 10), 'y is <U3 (10,), not integers (N, )'),
        (dict(labels=3), 'y is int64 (), not integers (N, )'),
        (dict(count=0), '0 images and 0 labels'),
    ],
)
def test_archives_that_cannot_be_used(tmp_path, replaced, message):
    path = archive(tmp_path / 'a.npz', **replaced)
    with pytest.raises(UserInputError) as error:
        DATASETS.build(dict(type='ArchiveImages', num_classes=5, path=path))
    assert message in str(error.value) and path in str(error.value)


def test_files_and_folders_that_are_missing_or_broken(tmp_path):
    build = DATASETS.build
    with pytest.raises(UserInputError, match='no such file: none.npz'):
        build(dict(type='ArchiveImages', num_classes=5, path='none.npz'))
    path = tmp_path / 'torn.npz'
    archive(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserInputError, match='torn.npz is no archive'):
        build(dict(type='ArchiveImages', num_classes=5, path=str(path)))
    with pytest.raises(UserInputError, match='download=True fetches CIFAR-10'):
        build(dict(type='CIFAR', data_root=str(tmp_path), train=True))
    with pytest.raises(
        UserInputError, match=r'^CIFAR\(classes=20\): must be 10 or 100'
    ):
        build(dict(type='CIFAR', data_root=str(tmp_path), train=True, classes=20))
    folder = dict(type='FolderImages', num_classes=2, train=True, input_size=32)
    with pytest.raises(UserInputError, match='no such folder'):
        build(dict(folder, data_root=str(tmp_path / 'none')))
    (tmp_path / 'set' / 'cat').mkdir(parents=True)
    with pytest.raises(
        UserInputError,
        match=r'has 1 classes \(folders\), the '
        'config says 2',
    ):
        build(dict(folder, data_root=str(tmp_path / 'set')))
    (tmp_path / 'set' / 'dog').mkdir()
    with pytest.raises(UserInputError, match='Found no valid file'):
        build(dict(folder, data_root=str(tmp_path / 'set')))


class Downloaded:
    """Stands in for torchvision's CIFAR10, which writes without a lock."""

    base_folder = 'batches'
    data, targets = np.zeros((2, 32, 32, 3), np.uint8), [0, 1]
    classes = ('a', 'b')
    error = None

    def __init__(self, root, train, download=False):
        if not download:
            raise RuntimeError('not found')
        with pytest.raises(Timeout):
            FileLock(f'{root}/download.lock').acquire(timeout=0)
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    'error, reason',
    [
        (None, None),
        (URLError('no route'), '<urlopen error no route>'),
        (RuntimeError('File not found or corrupted.'), 'File not found or corrupted.'),
    ],
)
def test_downloads_take_turns(tmp_path, monkeypatch, error, reason):
    monkeypatch.setattr('torchvision.datasets.CIFAR10', Downloaded)
    monkeypatch.setattr(Downloaded, 'error', error)
    root = tmp_path / 'data' / 'cifar'
    cfg = dict(type='CIFAR', data_root=str(root), train=True, classes=10, download=True)
    if error is None:
        assert len(DATASETS.build(cfg)) == 2
        return
    with pytest.raises(UserInputError) as refusal:
        DATASETS.build(cfg)
    assert str(refusal.value) == f'{root}/batches cannot be downloaded: {reason}'


def test_folder_of_images(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        Image.new('RGB', (50, 40), (250, 20, 0)).save(tmp_path / name / '0.png')
    for train in (True, False):
        data = DATASETS.build(
            dict(
                type='FolderImages',
                data_root=str(tmp_path),
                num_classes=2,
                train=train,
                input_size=32,
            )
        )
        assert len(data) == 2 and data.metainfo['classes'] == ('cat', 'dog')
        item = data[1]
        assert item['inputs'].shape == (3, 32, 32)
        assert item['inputs'].dtype == torch.uint8
        assert item['inputs'][:, 5, 5].tolist() == [250, 20, 0]
        assert item['data_samples'] == dict(gt_label=1, sample_idx=1)


def test_folder_of_images_that_have_their_size(tmp_path):
    rng = np.random.RandomState(0)
    for name, size in (('cat', (32, 32)), ('dog', (64, 48))):
        (tmp_path / name).mkdir()
        pixels = rng.randint(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / '0.png')
    data = DATASETS.build(
        dict(
            type='FolderImages',
            data_root=str(tmp_path),
            num_classes=2,
            train=False,
            input_size=32,
        )
    )
    for item, name in zip(data, ('cat', 'dog')):
        image = Image.open(tmp_path / name / '0.png')
        if name == 'dog':  # 7/8 of the short side
            image = transforms.CenterCrop(32)(transforms.Resize(37)(image))
        assert torch.equal(item['inputs'], transforms.PILToTensor()(image))
    assert pickle.loads(pickle.dumps(data.images.transform))  # for workers


def test_cifar_as_torchvision_stores_it(tmp_path, monkeypatch):
    """Its files, made here; only their checksums cannot be the real ones."""
    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, 'check_integrity', lambda *args: True)
    folder = tmp_path / 'cifar-100-python'
    folder.mkdir()
    rng = np.random.RandomState(0)
    pixels = rng.randint(0, 256, (6, 3072)).astype(np.uint8)
    for part in ('train', 'test'):
        with open(folder / part, 'wb') as file:
            pickle.dump(dict(data=pixels, fine_labels=[3, 1, 2, 0, 99, 1]), file)
    names = [f'class {i}' for i in range(100)]
    with open(folder / 'meta', 'wb') as file:
        pickle.dump(dict(fine_label_names=names), file)
    for train in (True, False):
        data = DATASETS.build(dict(type='CIFAR', data_root=str(tmp_path), train=train))
        assert torch.equal(data.images, torch.from_numpy(pixels).view(6, 3, 32, 32))
        assert data.labels.tolist() == [3, 1, 2, 0, 99, 1]
        assert data.metainfo['classes'] == tuple(names)


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'<html>404</html>', 'UnidentifiedImageError: cannot identify image'),
        (b'', 'UnidentifiedImageError: cannot identify image file'),
        (png(60000, 60000), 'DecompressionBombError: Image size'),
        (
            cv2.imencode(
                '.jpg', np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8)
            )[1].tobytes()[:2000],
            'OSError: image file is truncated',
        ),
    ],
)
def test_unreadable(content, reason, tmp_path):
    path = tmp_path / 'cat' / 'bad.png'
    path.parent.mkdir()
    path.write_bytes(content)
    images = FolderImages(str(tmp_path), 1, train=False)
    with pytest.raises(UnreadableImageError) as error:
        images[0]
    message = str(error.value)
    assert message.startswith(f'image {path} cannot be read: {reason}')
    assert '\n' not in message
    if not content:
        with pytest.raises(UnreadableImageError, match='Traceback') as error:
            next(iter(DataLoader(images, num_workers=1)))
        assert in_one_line(error.value) == message
