"""Classification networks that name their levels.

Each is an ``nn.Module`` that computes logits from images. ``levels_after`` and
``levels_before`` name its modules for :func:`mmreviewkd.models.features.record`, after
and before the activations, shallow to deep, the pooled vector last. The keys of the
state dicts are those of public checkpoints: CRD's for 32x32 images
(https://github.com/HobbitLong/RepDistiller), torchvision's for ImageNet.
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
