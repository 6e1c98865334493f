"""Normalisation and augmentation of whole batches."""

from mmreviewkd.classification.data_preprocessor import random_crop_and_flip
from mmreviewkd.errors import UserInputError

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import Runner
from PIL import Image
from torchvision import transforms

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]


def test_preprocessor_normalises_as_torchvision_does():
    module = MODELS.build(
        dict(type='CropFlipPreprocessor', mean=MEAN, std=STD, padding=4, flip=True)
    )
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    data = module(dict(inputs=images, data_samples=torch.arange(5)), False)
    per_image = transforms.Normalize(MEAN, STD)
    for got, image in zip(data['inputs'], images):
        torch.testing.assert_close(got, per_image(image.float()))
    # a list of single images and labels, as a per-image loader gives
    listed = module(dict(inputs=list(images), data_samples=list(range(5))), False)
    assert torch.equal(listed['inputs'], data['inputs'])
    assert torch.equal(listed['data_samples'], data['data_samples'])


def test_every_crop_is_one_that_torchvision_could_make():
    # pixels tell where they come from
    image = torch.arange(1, 1 + 6 * 5).view(1, 1, 6, 5).float()
    padded = torch.nn.functional.pad(image[0], [2] * 4)
    possible = {}
    for top in range(5):
        for left in range(5):
            crop = padded[:, top : top + 6, left : left + 5]
            for mirrored in (False, True):
                key = tuple((crop.flip(2) if mirrored else crop).flatten().tolist())
                possible.setdefault(key, []).append((top, left, mirrored))
    assert len(possible) == 50
    torch.manual_seed(0)
    count = 20000
    made = random_crop_and_flip(image.expand(count, 1, 6, 5), 2, True)
    seen = {}
    for crop in made:
        key = tuple(crop.flatten().tolist())
        assert key in possible
        seen[key] = seen.get(key, 0) + 1
    # uniform: 400 of each, five standard deviations
    assert len(seen) == 50
    assert all(abs(n - count / 50) < 100 for n in seen.values())
    assert torch.equal(random_crop_and_flip(image, 0, False), image)


def test_augmentation_is_for_training_alone():
    module = MODELS.build(dict(type='CropFlipPreprocessor', padding=4, flip=True))
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=torch.zeros(8))
    assert torch.equal(module(data, False)['inputs'], images.float())
    assert not torch.equal(module(data, True)['inputs'], images.float())


@pytest.mark.parametrize('collate', ['pseudo_collate', 'default_collate'])
def test_labels_and_indices_of_either_collation(tmp_path, collate):
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        Image.new('RGB', (50, 40), (250, 20, 0)).save(tmp_path / name / '0.png')
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            # the former is what configs/_base_/imagenet.py has
            collate_fn=dict(type=collate),
            dataset=dict(
                type='FolderImages',
                data_root=str(tmp_path),
                num_classes=2,
                train=False,
                input_size=32,
            ),
        )
    )
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='CifarResNet', depth=8, num_classes=2),
            data_preprocessor=dict(type='CropFlipPreprocessor'),
        )
    )
    (batch,) = loader
    data = model.data_preprocessor(batch)
    assert {key: each.tolist() for key, each in data['data_samples'].items()} == dict(
        gt_label=[0, 1], sample_idx=[0, 1]
    )
    assert model(**data, mode='loss')['loss_cls'] > 0
    assert [each['gt_label'] for each in model(**data, mode='predict')] == [0, 1]


def copies_of(images, samples, training=True, **settings):
    cfg = dict(type='CropFlipPreprocessor', rotations=True, **settings)
    return MODELS.build(cfg)(dict(inputs=images, data_samples=samples), training)


@pytest.mark.parametrize('flip', [False, True])
def test_rotated_copies(flip):
    # pixels tell where they come from
    images = torch.arange(1, 1 + 300 * 3 * 5 * 5).view(300, 3, 5, 5).float()
    samples = dict(gt_label=torch.arange(300), sample_idx=torch.arange(300) + 7)
    data = copies_of(images, samples, flip=flip)
    mirrored = 0
    for image, copies in zip(images, data['inputs'].view(300, 4, 3, 5, 5)):
        if torch.equal(copies[0], image.flip(2)):
            image, mirrored = image.flip(2), mirrored + 1
        for degrees, copy in zip((0, 90, 180, 270), copies):
            assert torch.equal(copy, transforms.functional.rotate(image, degrees))
    assert 100 < mirrored < 200 if flip else not mirrored
    labels = data['data_samples']['gt_label'].view(300, 4)
    assert torch.equal(labels[:, 0], samples['gt_label'])
    assert (labels[:, 1:] == -100).all()
    indices = data['data_samples']['sample_idx'].view(300, 4)
    assert (indices == samples['sample_idx'][:, None]).all()


def test_copies_are_cropped_each_at_its_place():
    image = torch.arange(1, 1 + 25).view(1, 1, 5, 5).float()
    padded = [
        torch.nn.functional.pad(image.rot90(k, (2, 3)), [2] * 4) for k in range(4)
    ]
    places = []
    torch.manual_seed(0)
    for copies in copies_of(image.expand(200, 1, 5, 5), [3] * 200, padding=2)[
        'inputs'
    ].view(200, 4, 1, 5, 5):
        places.append([])
        for copy, whole in zip(copies, padded):
            (found,) = (
                (top, left)
                for top in range(5)
                for left in range(5)
                if torch.equal(copy, whole[0, :, top : top + 5, left : left + 5])
            )
            places[-1].append(found)
    for each in zip(*places):
        assert len(set(each)) == 25
    assert sum(a == b for a, b, _, _ in places) < 30  # 8 by chance


def test_copies_are_for_training_alone():
    images, labels = torch.rand(2, 3, 5, 5), torch.tensor([3, 7])
    data = copies_of(images, labels, training=False)
    assert torch.equal(data['inputs'], images)
    assert torch.equal(data['data_samples'], labels)
    data = copies_of(images, labels)
    assert data['data_samples'].tolist() == [3, -100, -100, -100, 7, -100, -100, -100]
    with pytest.raises(UserInputError, match='square images; these are 4 high and 5 w'):
        copies_of(torch.rand(2, 3, 4, 5), labels)
