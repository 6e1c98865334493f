"""What the methods for detectors were published with, in one table.

``mmreviewkd distill --method NAME`` takes the settings from here, and docs/methods.md
shows them.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Published(NamedTuple):
    """Settings of a method for one-stage and for two-stage detectors.

    Args:
        one_stage (dict): Config of the method for RetinaNet and its like.
        two_stage (dict): Config of the method for detectors with a RoI head.
        source (str): Where the settings come from; empty if nobody has published any.
        clip_grad (int, optional): Norm that gradients are clipped to.
    """

    one_stage: dict[str, Any]
    two_stage: dict[str, Any]
    source: str
    clip_grad: int | None = None


_REVIEW = dict(type='Review', weight=1.0)
_MIMIC = dict(type='Mimic', weight=1.0)
_KD = dict(type='KDLoss', weight=1.0, temperature=1.0)
_DKD = dict(type='DKDLoss', weight=1.0, alpha=1.0, beta=0.25, temperature=1.0)
_BINARY_KD = dict(type='BinaryKDLoss', weight=1.0, temperature=1.0)

PUBLISHED = {
    'review': Published(_REVIEW, _REVIEW, 'dvlab-research/ReviewKD, R101-R50'),
    'mimic': Published(_MIMIC, _MIMIC, 'hunto/MasKD and LutingWang/HEAD'),
    'pkd': Published(
        dict(type='PKD', weight=10.0),
        dict(type='PKD', weight=6.0),
        'open-mmlab/mmrazor',
    ),
    'cwd': Published(
        dict(type='CWD', weight=5.0, temperature=1.0),
        dict(type='CWD', weight=10.0, temperature=1.0),
        'pppppM/mmdetection-distiller and open-mmlab/mmrazor',
    ),
    'mgd': Published(
        dict(type='MGD', weight=2e-5, mask_ratio=0.65),
        dict(type='MGD', weight=5e-7, mask_ratio=0.45),
        'yzd-v/MGD',
        clip_grad=35,
    ),
    'fgd': Published(
        dict(
            type='FGD',
            weight=1.0,
            foreground=1e-3,
            background=5e-4,
            attention=5e-4,
            relation=5e-6,
            temperature=0.5,
        ),
        dict(
            type='FGD',
            weight=1.0,
            foreground=5e-5,
            background=2.5e-5,
            attention=5e-5,
            relation=5e-7,
            temperature=0.5,
        ),
        'yzd-v/FGD',
        clip_grad=35,
    ),
    'kd': Published(_KD, _KD, ''),
    'dkd': Published(_DKD, _DKD, 'megvii-research/mdistiller, for RoI heads'),
    'binary-kd': Published(_BINARY_KD, _BINARY_KD, ''),
}
"""Published settings by the name of the method on the command line."""

FOR_CLASSIFIERS = (
    *('at', 'cc', 'correlation-congruence', 'crd', 'crd-kd', 'dist', 'fitnet', 'lskd'),
    *('lskd-dkd', 'ofd', 'pkt', 'rkd', 'sp', 'sskd', 'vid'),
)
"""Methods that are published for classifiers alone, by the names of their configs."""
