"""Networks of classifiers, against their publications.

Each is described once more, as its publication and the public checkpoints' keys
have it, by a function from :class:`Weights` and images.
"""

from typing import NamedTuple, Optional

from mmreviewkd.models.features import as_maps, record

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


def build(cfg, random_statistics=False, **kwargs):
    """A network in eval mode."""
    torch.manual_seed(0)
    network = MODELS.build(dict(cfg, **kwargs)).eval()
    for module in network.modules() if random_statistics else ():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.7, 1.3)
    return network


def levels(network, images):
    """Logits, levels after and levels before the activation."""
    recorded = []
    with torch.no_grad():
        for names in (network.levels_after, network.levels_before):
            with record(network, names) as features:
                logits = network(images)
            recorded.append(as_maps(features))
    return (logits, *recorded)


def shapes(features):
    """Channels and sizes of square maps, shallow to deep."""
    assert all(f.dim() == 4 and f.size(2) == f.size(3) for f in features)
    return (tuple(f.size(1) for f in features), tuple(f.size(2) for f in features))


def check_activation(after, before):
    """The ReLU of what is before the activation is what is after it."""
    for a, b in zip(after[:-1], before[:-1]):
        assert b.min() < 0
        torch.testing.assert_close(b.relu(), a, rtol=0, atol=0)


class Weights:
    """Layers by name, from a state dict; remembers which were used."""

    def __init__(self, network):
        self.values = dict(network.state_dict())
        self.used = set()

    def __getitem__(self, key):
        self.used.add(key)
        return self.values[key]

    def __contains__(self, key):
        return key in self.values

    def conv(self, name, x, stride=1, groups=1, bias=False):
        weight = self[f'{name}.weight']
        return F.conv2d(
            x,
            weight,
            self[f'{name}.bias'] if bias else None,
            stride,
            weight.size(-1) // 2,
            groups=groups,
        )

    def bn(self, name, x):
        mean, var, weight, bias = (
            self[f'{name}.{key}'].view(1, -1, 1, 1)
            for key in ('running_mean', 'running_var', 'weight', 'bias')
        )
        self.used.add(f'{name}.num_batches_tracked')
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def depthwise(self, name, x, stride):
        return self.conv(name, x, stride, groups=x.size(1))

    def conv_bn(self, conv, bn, x, **kwargs):
        return self.bn(bn, self.conv(conv, x, **kwargs))

    def logits(self, name, x):
        """Of the last map, and the pooled vector as a map."""
        pooled = x.mean((2, 3), keepdim=True)
        return pooled, pooled.flatten(1) @ self[f'{name}.weight'].T + self[
            f'{name}.bias'
        ]


def shuffle(x, groups):
    """Channels of the groups in turn."""
    order = torch.arange(x.size(1)).view(groups, -1).T.flatten()
    return x[:, order]


class Published(NamedTuple):
    """What is known of a network, for 100 classes where none are set."""

    config: dict
    parameters: int
    tensors: int
    """Of the state dict."""
    millions: Optional[float] = None
    """Of parameters, where they are published."""
    keys: tuple = ()
    """Of the state dict, for the eye: the first of each of its kinds.

    All of them follow from :func:`check_forward`, whose description names them.
    """


def check_size_and_state_dict(network):
    """Count a :class:`Published` network's parameters and tensors."""
    built = build(network.config)
    assert sum(p.numel() for p in built.parameters()) == network.parameters
    if network.millions:
        assert round(network.parameters / 1e6, 2) == network.millions
    assert len(built.state_dict()) == network.tensors
    assert set(network.keys) <= set(built.state_dict())


def check_levels(config, channels, sizes):
    """Compare its levels with the published ones, shallow to deep."""
    logits, after, before = levels(build(config), torch.rand(2, 3, 32, 32))
    assert shapes(after) == shapes(before) == (channels, sizes)
    assert logits.shape == (2, 100)
    torch.testing.assert_close(after[-1], before[-1])
    # nothing is a level twice
    assert len({f.data_ptr() for f in after}) == len(after)


def check_imagenet_levels(config, parameters, channels, sizes, has_relu=True):
    """The same for 1000 classes and images of 224x224."""
    network = build(config)
    assert sum(p.numel() for p in network.parameters()) == parameters
    logits, after, before = levels(network, torch.rand(1, 3, 224, 224))
    assert shapes(after) == shapes(before) == (channels, sizes)
    assert logits.shape == (1, 1000)
    if has_relu:
        check_activation(after, before)


def check_relu(config):
    """Levels after the activation are the ReLU of those before it."""
    _, after, before = levels(build(config, True), torch.randn(2, 3, 32, 32))
    check_activation(after, before)


def check_forward(config, forward, *arguments):
    """Compare a network with its description.

    Args:
        config (dict): The network's.
        forward (Callable): It takes :class:`Weights`, images and ``arguments``,
            and returns logits, levels after and levels before the activation.
        arguments: What the description needs besides.
    """
    network = build(config, True, num_classes=10).double()
    images = torch.randn(2, 3, 32, 32).double()
    weights = Weights(network)
    expected = forward(weights, images, *arguments)
    found = levels(network, images)
    torch.testing.assert_close(found[0], expected[0])
    for i in (1, 2):
        assert len(found[i]) == len(expected[i])
        for a, b in zip(found[i], expected[i]):
            torch.testing.assert_close(a, b)
    # the description names every tensor, so the keys are exactly those
    assert weights.used == set(network.state_dict())
