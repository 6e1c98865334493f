"""Networks: their levels, sizes, state dicts, and what they compute."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.features import record

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torchvision import models


def resnet(depth, widths=(16, 16, 32, 64)):
    return dict(type='CifarResNet', depth=depth, widths=widths)


def wrn(depth, widen_factor):
    return dict(type='CifarWideResNet', depth=depth, widen_factor=widen_factor)


def vgg(depth):
    return dict(type='CifarVGG', depth=depth)


def torchvision(name):
    return dict(type='TorchvisionNetwork', name=name)


X4 = (32, 64, 128, 256)
# For 100 classes: millions of parameters where they are published, their exact
# number, and that of the state dict's tensors.
NETWORKS = dict(
    resnet8=(resnet(8), None, 83892, 56),
    resnet14=(resnet(14), None, 181108, 92),
    resnet20=(resnet(20), 0.28, 278324, 128),
    resnet32=(resnet(32), None, 472756, 200),
    resnet44=(resnet(44), None, 667188, 272),
    resnet56=(resnet(56), 0.86, 861620, 344),
    resnet110=(resnet(110), 1.74, 1736564, 668),
    resnet8x4=(resnet(8, X4), 1.23, 1233540, 62),
    resnet32x4=(resnet(32, X4), 7.43, 7433860, 206),
    resnet50=(dict(type='CifarResNet50'), 23.71, 23705252, 320),
    wrn_16_1=(wrn(16, 1), None, 180916, 82),
    wrn_16_2=(wrn(16, 2), 0.70, 703284, 83),
    wrn_40_1=(wrn(40, 1), 0.57, 569780, 226),
    wrn_40_2=(wrn(40, 2), 2.26, 2255156, 227),
    vgg8=(vgg(8), 3.97, 3965028, 37),
    vgg11=(vgg(11), None, 9277284, 58),
    vgg13=(vgg(13), 9.46, 9462180, 72),
    vgg16=(vgg(16), None, 14774436, 93),
    vgg19=(vgg(19), None, 20086692, 114),
    shuffle_v1=(dict(type='CifarShuffleNetV1'), 0.95, 949258, 296),
    shuffle_v2=(dict(type='CifarShuffleNetV2'), 1.36, 1355528, 338),
    mobile_v2=(dict(type='CifarMobileNetV2'), 0.81, 812836, 320),
)

# as published: channels and sizes, shallow to deep
R = ((16, 32, 64, 64), (32, 16, 8, 1))
R4 = ((64, 128, 256, 256), (32, 16, 8, 1))
W2 = ((32, 64, 128, 128), (32, 16, 8, 1))
W1 = R
VGG = ((128, 256, 512, 512, 512), (16, 8, 4, 4, 1))
S1 = ((240, 480, 960, 960), (16, 8, 4, 1))
S2 = ((116, 232, 464, 1024), (16, 8, 4, 1))
M2 = ((12, 16, 48, 160, 1280), (16, 8, 4, 2, 1))
R50 = ((256, 512, 1024, 2048, 2048), (32, 16, 8, 4, 1))
PAIRS = [
    ('resnet56', R, 'resnet20', R),
    ('resnet110', R, 'resnet32', R),
    ('resnet32x4', R4, 'resnet8x4', R4),
    ('wrn_40_2', W2, 'wrn_16_2', W2),
    ('wrn_40_2', W2, 'wrn_40_1', W1),
    ('vgg13', VGG, 'vgg8', VGG),
    ('resnet32x4', R4, 'shuffle_v1', S1),
    ('wrn_40_2', W2, 'shuffle_v1', S1),
    ('resnet32x4', R4, 'shuffle_v2', S2),
    ('vgg13', VGG, 'mobile_v2', M2),
    ('resnet50', R50, 'mobile_v2', M2),
]
LEVELS = dict([pair[:2] for pair in PAIRS] + [pair[2:] for pair in PAIRS])

IMAGENET = dict(
    mobilenet_v1=(
        dict(type='MobileNetV1'),
        4231976,
        ((128, 256, 512, 1024, 1024), (56, 28, 14, 7, 1)),
    ),
    resnet18=(
        torchvision('resnet18'),
        11689512,
        ((64, 128, 256, 512, 512), (56, 28, 14, 7, 1)),
    ),
    resnet34=(
        torchvision('resnet34'),
        21797672,
        ((64, 128, 256, 512, 512), (56, 28, 14, 7, 1)),
    ),
    resnet50=(
        torchvision('resnet50'),
        25557032,
        ((256, 512, 1024, 2048, 2048), (56, 28, 14, 7, 1)),
    ),
    mobilenet_v2=(
        torchvision('mobilenet_v2'),
        3504872,
        ((24, 32, 96, 320, 1280), (56, 28, 14, 7, 1)),
    ),
    shufflenet_v2=(
        torchvision('shufflenet_v2_x1_0'),
        2278604,
        ((116, 232, 464, 1024), (28, 14, 7, 1)),
    ),
)

# Exact keys follow from test_forward_as_written_down, which names all. These
# are for the eye: the first of each family's kinds.
KEYS = dict(
    resnet20=(
        'conv1.weight',
        'bn1.running_mean',
        'layer1.0.conv1.weight',
        'layer1.2.bn2.bias',
        'layer2.0.downsample.0.weight',
        'layer3.0.downsample.1.running_var',
        'fc.weight',
    ),
    resnet8x4=('layer1.0.downsample.0.weight',),
    resnet50=(
        'conv1.weight',
        'bn1.weight',
        'layer1.0.conv3.weight',
        'layer1.0.shortcut.0.weight',
        'layer4.0.shortcut.1.weight',
        'layer4.2.bn3.num_batches_tracked',
        'linear.bias',
    ),
    wrn_40_2=(
        'conv1.weight',
        'block1.layer.0.bn1.weight',
        'block1.layer.0.convShortcut.weight',
        'block3.layer.5.conv2.weight',
        'bn1.bias',
        'fc.weight',
    ),
    vgg13=(
        'block0.0.weight',
        'block0.0.bias',
        'block0.1.running_mean',
        'block0.3.weight',
        'block4.4.weight',
        'classifier.weight',
    ),
    shuffle_v1=(
        'conv1.weight',
        'layer1.0.conv1.weight',
        'layer2.7.bn3.bias',
        'layer3.3.conv2.weight',
        'linear.weight',
    ),
    shuffle_v2=(
        'conv1.weight',
        'layer1.0.conv5.weight',
        'layer1.0.bn5.bias',
        'layer2.7.conv3.weight',
        'conv2.weight',
        'bn2.weight',
        'linear.weight',
    ),
    mobile_v2=(
        'conv1.0.weight',
        'conv1.1.weight',
        'blocks.0.0.conv.0.weight',
        'blocks.6.0.conv.7.running_var',
        'conv2.0.weight',
        'classifier.0.bias',
    ),
)


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
            recorded.append(features)
    return (logits, *recorded)


def shapes(features):
    assert all(f.dim() == 4 and f.size(2) == f.size(3) for f in features)
    return (tuple(f.size(1) for f in features), tuple(f.size(2) for f in features))


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    cfg, millions, parameters, tensors = NETWORKS[name]
    network = build(cfg)
    assert sum(p.numel() for p in network.parameters()) == parameters
    if millions:
        assert round(parameters / 1e6, 2) == millions
    assert len(network.state_dict()) == tensors
    assert set(KEYS.get(name, ())) <= set(network.state_dict())


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    logits, after, before = levels(build(NETWORKS[name][0]), torch.rand(2, 3, 32, 32))
    assert shapes(after) == shapes(before) == LEVELS[name]
    assert logits.shape == (2, 100)
    torch.testing.assert_close(after[-1], before[-1])
    # nothing is a level twice
    assert len({f.data_ptr() for f in after}) == len(after)


@pytest.mark.parametrize('name', IMAGENET)
def test_imagenet_levels(name):
    cfg, parameters, expected = IMAGENET[name]
    network = build(cfg)
    assert sum(p.numel() for p in network.parameters()) == parameters
    logits, after, before = levels(network, torch.rand(1, 3, 224, 224))
    assert shapes(after) == shapes(before) == expected
    assert logits.shape == (1, 1000)
    if name.startswith('resnet') or name == 'mobilenet_v1':
        check_activation(after, before)


def check_activation(after, before):
    for a, b in zip(after[:-1], before[:-1]):
        assert b.min() < 0
        torch.testing.assert_close(b.relu(), a, rtol=0, atol=0)


@pytest.mark.parametrize(
    'name', ['resnet8', 'resnet14', 'resnet50', 'vgg8', 'vgg13', 'shuffle_v1']
)
def test_relu_of_before_is_after(name):
    _, after, before = levels(build(NETWORKS[name][0], True), torch.randn(2, 3, 32, 32))
    check_activation(after, before)


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


# Each network as its publication and the public checkpoints' keys describe it:
# (w, images) -> logits, levels after, levels before.


def forward_resnet(w, x, blocks):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x, stride=stride)
            y = w.conv_bn(f'{name}.conv2', f'{name}.bn2', y.relu())
            if f'{name}.downsample.0.weight' in w:
                x = w.conv_bn(
                    f'{name}.downsample.0', f'{name}.downsample.1', x, stride=stride
                )
            sum_ = x + y
            x = sum_.relu()
        before.append(sum_)
        after.append(x)
    pooled, logits = w.logits('fc', x)
    return logits, [*after, pooled], [*before, pooled]


def forward_resnet50(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x).relu()
            y = w.conv_bn(f'{name}.conv2', f'{name}.bn2', y, stride=stride)
            y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y.relu())
            if block == 0:
                x = w.conv_bn(
                    f'{name}.shortcut.0', f'{name}.shortcut.1', x, stride=stride
                )
            sum_ = x + y
            x = sum_.relu()
        before.append(sum_)
        after.append(x)
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


def forward_wrn(w, x, blocks):
    x = w.conv('conv1', x)
    after, before = [], []
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f'block{stage}.layer.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            normalised = w.bn(f'{name}.bn1', x)
            if stage > 1 and block == 0:
                before.append(normalised)
            y = w.conv(f'{name}.conv1', normalised.relu(), stride)
            y = w.conv(f'{name}.conv2', w.bn(f'{name}.bn2', y).relu())
            if f'{name}.convShortcut.weight' in w:
                x = w.conv(f'{name}.convShortcut', normalised.relu(), stride)
            x = x + y
        after.append(x)
    x = w.bn('bn1', x)
    before.append(x)
    pooled, logits = w.logits('fc', x.relu())
    return logits, [*after, pooled], [*before, pooled]


def forward_vgg(w, x, convs):
    after, before = [], []
    for block, count in enumerate(convs):
        for i in range(count):
            name = f'block{block}'
            x = w.conv_bn(
                f'{name}.{3 * i}',
                f'{name}.{3 * i + 1}',
                x.relu() if i else x,
                bias=True,
            )
        before.append(x)
        x = x.relu()
        after.append(x)
        if block < 3:
            x = F.max_pool2d(x, 2)
    pooled, logits = w.logits('classifier', x)
    return logits, [*after[1:], pooled], [*before[1:], pooled]


def shuffle(x, groups):
    order = torch.arange(x.size(1)).view(groups, -1).T.flatten()
    return x[:, order]


def forward_shuffle_v1(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((4, 8, 4), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            groups = 1 if stage == 1 and block == 0 else 3
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x, groups=groups)
            y = w.depthwise(
                f'{name}.conv2', shuffle(y.relu(), groups), 1 if block else 2
            )
            y = w.bn(f'{name}.bn2', y).relu()
            y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y, groups=3)
            y = x + y if block else torch.cat([y, F.avg_pool2d(x, 3, 2, padding=1)], 1)
            x = y.relu()
        before.append(y)
        after.append(x)
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


def forward_shuffle_v2(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((4, 8, 4), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            if block == 0:
                left = w.depthwise(f'{name}.conv1', x, 2)
                left = w.bn(f'{name}.bn1', left)
                left = w.conv_bn(f'{name}.conv2', f'{name}.bn2', left).relu()
                y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', x).relu()
                y = w.bn(f'{name}.bn4', w.depthwise(f'{name}.conv4', y, 2))
                y = w.conv_bn(f'{name}.conv5', f'{name}.bn5', y)
            else:
                half = x.size(1) // 2
                left = x[:, :half]
                y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x[:, half:])
                y = w.depthwise(f'{name}.conv2', y.relu(), 1)
                y = w.bn(f'{name}.bn2', y)
                y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y)
            x = shuffle(torch.cat([left, y.relu()], 1), 2)
        before.append(torch.cat([left, y], 1))
        after.append(x)
    x = w.conv_bn('conv2', 'bn2', x).relu()
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


def forward_mobile_v2(w, x):
    x = w.conv_bn('conv1.0', 'conv1.1', x, stride=2).relu()
    stages = []
    for stage, (blocks, stride) in enumerate(
        zip((1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1))
    ):
        for block in range(blocks):
            name = f'blocks.{stage}.{block}.conv'
            y = w.conv_bn(f'{name}.0', f'{name}.1', x).relu()
            y = w.depthwise(f'{name}.3', y, 1 if block else stride)
            y = w.bn(f'{name}.4', y).relu()
            y = w.conv_bn(f'{name}.6', f'{name}.7', y)
            x = x + y if block else y
        stages.append(x)
    x = w.conv_bn('conv2.0', 'conv2.1', x).relu()
    pooled, logits = w.logits('classifier.0', x)
    features = [stages[i] for i in (1, 2, 4, 6)] + [pooled]
    return logits, features, features


def forward_mobile_v1(w, x):
    x = w.conv_bn('model.0.0', 'model.0.1', x, stride=2).relu()
    before = []
    for block in range(1, 14):
        name = f'model.{block}'
        y = w.depthwise(f'{name}.0', x, 2 if block in (2, 4, 6, 12) else 1)
        y = w.bn(f'{name}.1', y).relu()
        y = w.conv_bn(f'{name}.3', f'{name}.4', y)
        x = y.relu()
        before.append(y)
    pooled, logits = w.logits('fc', x)
    before = [before[i - 1] for i in (3, 5, 11, 13)]
    return logits, [b.relu() for b in before] + [pooled], [*before, pooled]


@pytest.mark.parametrize(
    'cfg, forward, arguments',
    [
        (resnet(8), forward_resnet, (1,)),
        (resnet(20), forward_resnet, (3,)),
        (resnet(8, X4), forward_resnet, (1,)),
        (dict(type='CifarResNet50'), forward_resnet50, ()),
        (wrn(16, 1), forward_wrn, (2,)),
        (wrn(16, 2), forward_wrn, (2,)),
        (wrn(40, 1), forward_wrn, (6,)),
        (vgg(8), forward_vgg, ((1, 1, 1, 1, 1),)),
        (vgg(11), forward_vgg, ((1, 1, 2, 2, 2),)),
        (vgg(13), forward_vgg, ((2, 2, 2, 2, 2),)),
        (vgg(16), forward_vgg, ((2, 2, 3, 3, 3),)),
        (dict(type='CifarShuffleNetV1'), forward_shuffle_v1, ()),
        (dict(type='CifarShuffleNetV2'), forward_shuffle_v2, ()),
        (dict(type='CifarMobileNetV2'), forward_mobile_v2, ()),
        (dict(type='MobileNetV1'), forward_mobile_v1, ()),
    ],
)
def test_forward_as_written_down(cfg, forward, arguments):
    network = build(cfg, True, num_classes=10).double()
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


def test_initialisation():
    """He by fan-out: variance 2 / (k * k * out); small or default linear."""
    network = build(vgg(8))
    weight = network.block3[0].weight
    assert abs(weight.std() / (2 / (9 * 512)) ** 0.5 - 1) < 0.01
    assert not network.block3[0].bias.any()
    assert abs(network.classifier.weight.std() - 0.01) < 1e-3
    assert not build(wrn(16, 2)).fc.bias.any()


@pytest.mark.parametrize(
    'cfg, message',
    [
        (resnet(18), r'6n \+ 2 \(8, 14, 20, ...\), not 18'),
        (resnet(2), 'not 2'),
        (wrn(18, 1), r'6n \+ 4 \(16, 22, 28, ...\), not 18'),
        (vgg(12), '8, 11, 13, 16, 19, not 12'),
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
def test_bad_arguments(cfg, message):
    with pytest.raises(UserInputError, match=message):
        MODELS.build(cfg)


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
