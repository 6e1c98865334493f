"""Networks of torchvision, their levels and weights."""

from mmreviewkd.errors import UserInputError
from tests.support.networks import build, check_imagenet_levels

import pytest
import torch
from mmdet.registry import MODELS
from torchvision import models


def torchvision(name):
    return dict(type='TorchvisionNetwork', name=name)


RESNET = (64, 128, 256, 512, 512), (56, 28, 14, 7, 1)
IMAGENET = dict(
    resnet18=('resnet18', 11689512, *RESNET),
    resnet34=('resnet34', 21797672, *RESNET),
    resnet50=(
        'resnet50',
        25557032,
        (256, 512, 1024, 2048, 2048),
        (56, 28, 14, 7, 1),
    ),
    mobilenet_v2=('mobilenet_v2', 3504872, (24, 32, 96, 320, 1280), (56, 28, 14, 7, 1)),
    shufflenet_v2=(
        'shufflenet_v2_x1_0',
        2278604,
        (116, 232, 464, 1024),
        (28, 14, 7, 1),
    ),
)


def test_torchvision_weights_from_a_file(tmp_path):
    path = str(tmp_path / 'weights.pth')
    cfg = torchvision('resnet18')
    trained = build(cfg, True, num_classes=3)
    for content in (trained.state_dict(), dict(state_dict=trained.state_dict())):
        torch.save(content, path)
        network = build(cfg, num_classes=3, weights=path)
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                network.state_dict().values(), trained.state_dict().values()
            )
        )
    with pytest.raises(UserInputError, match='fc.weight'):
        build(cfg, num_classes=4, weights=path)


def test_torchvision_weights_by_name(monkeypatch):
    """Both spellings name the enum's member; nothing is downloaded here."""
    enum = models.ResNet18_Weights
    state = models.resnet18().state_dict()
    asked = []

    def get_state_dict(self, *args, **kwargs):
        asked.append(self)
        return state

    monkeypatch.setattr(enum, 'get_state_dict', get_state_dict)
    for name in ('IMAGENET1K_V1', 'ResNet18_Weights.DEFAULT'):
        network = build(torchvision('resnet18'), weights=name)
        assert torch.equal(network.conv1.weight, state['conv1.weight'])
    assert asked == [enum.IMAGENET1K_V1] * 2


@pytest.mark.parametrize('name', IMAGENET)
def test_imagenet_levels(name):
    network, parameters, channels, sizes = IMAGENET[name]
    check_imagenet_levels(
        torchvision(network), parameters, channels, sizes, name.startswith('resnet')
    )


@pytest.mark.parametrize(
    'config, message',
    [
        (torchvision('resnet19'), 'resnet18, .* not resnet19'),
        (
            dict(torchvision('resnet18'), weights='V3'),
            "neither a file nor one of torchvision's IMAGENET1K_V1, DEFAULT",
        ),
        (
            dict(torchvision('resnet18'), weights='IMAGENET1K_V1', num_classes=10),
            'expected value 1000 but got 10',
        ),
    ],
)
def test_bad_arguments(config, message):
    with pytest.raises(UserInputError, match=message):
        MODELS.build(config)
