"""Classification networks that tell where their levels are.

Each is an ``nn.Module`` from images to logits with two sequences of names for
:func:`mmreviewkd.models.features.record`, shallow to deep, the
pooled vector last: ``levels_after`` the activation and ``levels_before`` it.
The keys of their state dicts are those of public checkpoints: for 32x32 images
CRD's (https://github.com/HobbitLong/RepDistiller), torchvision's for ImageNet.
"""

from .mobilenet_v1 import MobileNetV1
from .mobilenet_v2 import CifarMobileNetV2
from .resnet import CifarResNet
from .resnet50 import CifarResNet50
from .shufflenet_v1 import CifarShuffleNetV1
from .shufflenet_v2 import CifarShuffleNetV2
from .torchvision_network import torchvision_network
from .vgg import CifarVGG
from .wide_resnet import CifarWideResNet

__all__ = [
    'CifarMobileNetV2',
    'CifarResNet',
    'CifarResNet50',
    'CifarShuffleNetV1',
    'CifarShuffleNetV2',
    'CifarVGG',
    'CifarWideResNet',
    'MobileNetV1',
    'torchvision_network',
]
