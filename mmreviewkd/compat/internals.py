"""Reads what upstream packages have only under private names.

Each function uses one such name, and says why no public name would do and in which
versions it was seen. The other private names that the package needs are in the
other modules of this folder, next to the code that uses them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule, ImgDataPreprocessor
from torch import Tensor


def normalizes(preprocessor: ImgDataPreprocessor) -> bool:
    """Whether a data preprocessor subtracts its mean and divides by its std.

    It only has the buffers ``mean`` and ``std`` if it does; it decides by
    ``_enable_normalize`` (mmengine 0.10.7, OneDL's 0.10.12).
    """
    return preprocessor._enable_normalize


def reverses_channels(preprocessor: ImgDataPreprocessor) -> bool:
    """Whether a data preprocessor converts BGR to RGB, or RGB to BGR.

    It stores its arguments ``bgr_to_rgb`` and ``rgb_to_bgr`` only as
    ``_channel_conversion`` (mmengine 0.10.7, OneDL's 0.10.12).
    """
    return preprocessor._channel_conversion


def classify_boxes(
    roi_head: BaseModule, features: Sequence[Tensor], rois: Tensor
) -> Tensor:
    """Return the logits, (K, classes + 1), that an RoI head computes for boxes.

    ``forward`` takes proposals image by image and may run the mask head as well.
    ``_bbox_forward`` is the part for boxes only. The head's own ``loss`` and
    ``predict`` use it, and heads with two branches or another extractor override it
    (mmdet 3.3.0, OneDL's 3.5.1).

    Args:
        roi_head (BaseModule): A ``StandardRoIHead`` or a class derived from it.
        features (Sequence[Tensor]): The neck's features, (N, C, H, W) each.
        rois (Tensor): Boxes, (K, 5), as image index, x1, y1, x2, y2.
    """
    return roi_head._bbox_forward(features, rois)['cls_score']


def times_written(tensor: Tensor) -> int:
    """How often autograd has seen a tensor written to in place.

    torch has no public name for ``_version`` (2.1.2 to 2.14.1), by which autograd
    itself detects that a tensor it needs was overwritten.
    """
    return tensor._version


def module_versions(weights: Mapping[str, Any]) -> dict[str, dict]:
    """Return the versions of the modules in a state dict, by the modules' names.

    ``load_state_dict`` reads them from the dict's attribute ``_metadata`` (torch
    2.1.2 to 2.14.1), and renames what older versions of a module named differently. A
    copy of the dict lacks them.
    """
    return getattr(weights, '_metadata', {})


def set_module_versions(weights: Any, versions: dict[str, dict]) -> None:
    """Set versions from :func:`module_versions` on a state dict, an ``OrderedDict``."""
    weights._metadata = versions
