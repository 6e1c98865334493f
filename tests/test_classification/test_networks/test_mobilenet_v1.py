"""MobileNet V1."""

from tests.support.networks import check_forward, check_imagenet_levels


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


def test_imagenet_levels():
    check_imagenet_levels(
        dict(type='MobileNetV1'),
        4231976,
        (128, 256, 512, 1024, 1024),
        (56, 28, 14, 7, 1),
    )


def test_forward_as_written_down():
    check_forward(dict(type='MobileNetV1'), forward_mobile_v1)
