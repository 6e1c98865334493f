"""Review-KD written as in the paper: slow, simple and independent of the package.

The tests compare the package with it, and ``mmreviewkd benchmark review``
measures the package against it. It uses the parameters of a
:class:`mmreviewkd.methods.Review`, from its ``state_dict``.
"""

from collections.abc import Mapping, Sequence
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor


def conv_bn(
    params: Mapping[str, Tensor], name: str, x: Tensor, training: bool, padding: int
) -> Tensor:
    x = F.conv2d(x, params[f'{name}.conv.weight'], padding=padding)
    return F.batch_norm(
        x,
        params[f'{name}.bn.running_mean'],
        params[f'{name}.bn.running_var'],
        params[f'{name}.bn.weight'],
        params[f'{name}.bn.bias'],
        training,
    )


def review(
    params: Mapping[str, Tensor],
    features: Sequence[Tensor],
    sizes: Sequence[Sequence[int]],
    training: bool = True,
) -> list[Tensor]:
    """Compute the reviewed features, shallow to deep.

    Args:
        params (Mapping[str, Tensor]): State dict of the review, ``'levels.0. ...'``.
        features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
        sizes (Sequence[Sequence[int]]): Heights and widths of the teacher's features.
        training (bool): Whether BatchNorm uses the statistics of the batch.
    """
    reviewed: list[Tensor] = []
    residual: Optional[Tensor] = None
    for i in reversed(range(len(features))):
        x = conv_bn(params, f'levels.{i}.reduce', features[i], training, 0)
        if residual is not None:
            up = F.interpolate(residual, x.shape[-2:], mode='nearest')
            attention = torch.sigmoid(
                F.conv2d(
                    torch.cat([x, up], dim=1),
                    params[f'levels.{i}.attention.conv.weight'],
                    params[f'levels.{i}.attention.conv.bias'],
                )
            )
            x = x * attention[:, 0:1] + up * attention[:, 1:2]
        if x.shape[-2:] != tuple(sizes[i]):
            x = F.interpolate(x, tuple(sizes[i]), mode='nearest')
        residual = x
        reviewed.insert(0, conv_bn(params, f'levels.{i}.output', x, training, 1))
    return reviewed


def hcl(student: Tensor, teacher: Tensor) -> Tensor:
    loss, total, weight = F.mse_loss(student, teacher), 1.0, 1.0
    for size in (4, 2, 1):
        if size >= student.size(2):
            continue
        weight = weight / 2
        loss = loss + weight * F.mse_loss(
            F.adaptive_avg_pool2d(student, (size, size)),
            F.adaptive_avg_pool2d(teacher, (size, size)),
        )
        total = total + weight
    return loss / total
