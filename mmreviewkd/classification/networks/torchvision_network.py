"""torchvision's ImageNet networks, with the names of their levels."""

from typing import Optional

import torch.nn as nn
import torchvision
from mmdet.registry import MODELS
from mmengine.runner import CheckpointLoader

from ...errors import UserInputError
from ...models.weights import weights_of

_RESNET = ('layer1', 'layer2', 'layer3', 'layer4', 'avgpool')
_LEVELS = dict(
    resnet18=_RESNET,
    resnet34=_RESNET,
    resnet50=_RESNET,
    mobilenet_v2=(
        'features.3',
        'features.6',
        'features.13',
        'features.17',
        'classifier.input',
    ),
    shufflenet_v2_x1_0=('stage2', 'stage3', 'stage4', 'fc.input'),
)


@MODELS.register_module(name='TorchvisionNetwork')
def torchvision_network(
    name: str, weights: Optional[str] = None, num_classes: int = 1000
) -> nn.Module:
    """Build a network of torchvision, with ``levels_after`` and ``levels_before``.

    The network is torchvision's own module, so its state dict keeps its keys. In its
    residual blocks, one in-place ReLU is called two or three times; a level
    before the activation is the input of its last call. MobileNetV2's stages end
    without an activation, and in ShuffleNetV2 only half of a stage's channels end in a
    ReLU; for these two, the stage outputs are used both as levels after and before.

    Args:
        name (str): resnet18, resnet34, resnet50, mobilenet_v2 or
            shufflenet_v2_x1_0.
        weights (str, optional): Member of torchvision's enum of this network's
            weights, such as ``'IMAGENET1K_V1'``, or a file or URL. Defaults to random
            weights.
        num_classes (int): Number of logits.

    Raises:
        UserInputError: There is no such network, or no such weights, or they
            do not fit the network.

    Examples:
        >>> network = MODELS.build(dict(type='TorchvisionNetwork', name='resnet18'))
        >>> network.levels_after
        ('layer1', 'layer2', 'layer3', 'layer4', 'avgpool')
    """
    if name not in _LEVELS:
        raise UserInputError(f'TorchvisionNetwork has {", ".join(_LEVELS)}, not {name}')
    enum = torchvision.models.get_model_weights(name)
    member = weights and weights.replace(f'{enum.__name__}.', '', 1)
    member = enum.__members__.get(member)
    try:
        network = torchvision.models.get_model(
            name, weights=member, num_classes=num_classes
        )
        if weights and member is None:
            network.load_state_dict(
                weights_of(CheckpointLoader.load_checkpoint(weights, 'cpu'))
            )
    except FileNotFoundError:
        raise UserInputError(
            f'{name}: weights {weights} are neither a file nor one of '
            f"torchvision's {', '.join(enum.__members__)}"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise UserInputError(
            f'{name}: weights {weights} cannot be used: {error}'
        ) from None
    network.levels_after = network.levels_before = _LEVELS[name]
    if _LEVELS[name] is _RESNET:
        *stages, pooled = _RESNET
        network.levels_before = (
            *(
                f'{stage}.{len(getattr(network, stage)) - 1}.relu.input'
                for stage in stages
            ),
            pooled,
        )
    return network
