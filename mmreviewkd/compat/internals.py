"""What upstream keeps under private names, and has to be asked for all the same.

Each function has one such name, the reason why no public one would do, and the
versions in which it was seen. The other private names that the package needs are
beside the work that needs them, in the other modules of this folder.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule, ImgDataPreprocessor
from torch import Tensor


def normalizes(preprocessor: ImgDataPreprocessor) -> bool:
    """Whether a data preprocessor subtracts its mean and divides by its std.

    It has the buffers ``mean`` and ``std`` only if it does, and decides by
    ``_enable_normalize`` (mmengine 0.10.7, OneDL's 0.10.12).
    """
    return preprocessor._enable_normalize


def reverses_channels(preprocessor: ImgDataPreprocessor) -> bool:
    """Whether a data preprocessor turns BGR into RGB, or RGB into BGR.

    Of its arguments ``bgr_to_rgb`` and ``rgb_to_bgr`` it keeps nothing but
    ``_channel_conversion`` (mmengine 0.10.7, OneDL's 0.10.12).
    """
    return preprocessor._channel_conversion


def classify_boxes(
    roi_head: BaseModule, features: Sequence[Tensor], rois: Tensor
) -> Tensor:
    """The logits, (K, classes + 1), that an RoI head has for boxes.

    ``forward`` takes proposals image by image and may run the mask head as well.
    ``_bbox_forward`` is the part for boxes alone, through which the head's own
    ``loss`` and ``predict`` go, and which heads with two branches or an extractor of
    their own override (mmdet 3.3.0, OneDL's 3.5.1).

    Args:
        roi_head (BaseModule): A ``StandardRoIHead`` or one derived from it.
        features (Sequence[Tensor]): The neck's levels, (N, C, H, W) each.
        rois (Tensor): (K, 5) as image, x1, y1, x2, y2.
    """
    return roi_head._bbox_forward(features, rois)['cls_score']


def times_written(tensor: Tensor) -> int:
    """How often autograd has seen a tensor written to in place.

    torch has no public name for ``_version`` (2.1.2 to 2.14.1), by which autograd
    itself finds that a tensor it needs has been overwritten.
    """
    return tensor._version


def module_versions(weights: Mapping[str, Any]) -> dict[str, dict]:
    """The versions of the modules that a state dict is of, by the modules' names.

    ``load_state_dict`` looks for them in the dict's attribute ``_metadata`` (torch
    2.1.2 to 2.14.1) and renames what older versions of a module called otherwise. A
    copied dict lacks them.
    """
    return getattr(weights, '_metadata', {})


def set_module_versions(weights: Any, versions: dict[str, dict]) -> None:
    """Give a state dict, an ``OrderedDict``, what :func:`module_versions` tells."""
    weights._metadata = versions
