"""How strongly losses pull at a student's features: the norms of their gradients."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError

# keeps gradients of half precision off zero
_SCALE = 4096.0


def gradient_norms(loss: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Return the norm of a loss's gradient with respect to each feature, (levels, ).

    The graph is kept. A feature that the loss does not depend on has norm 0.

    Args:
        loss (Tensor): Scalar.
        features (Sequence[Tensor]): Features that the loss was computed from.

    Raises:
        UserInputError: Activation checkpointing lies between a feature and the loss.
    """
    trained = [feature for feature in features if feature.requires_grad]
    gradients: dict[int, Tensor] = {}
    if loss.requires_grad and trained:
        try:
            found = torch.autograd.grad(
                _SCALE * loss, trained, retain_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            if 'use_reentrant' not in str(error):
                raise
            raise UserInputError(
                "gradients on the student's features cannot be measured through "
                'activation checkpointing of what comes after them: leave it out '
                'there, or give weights as numbers and no ReviewGradientHook'
            ) from None
        gradients = {id(f): g for f, g in zip(trained, found) if g is not None}
    return torch.stack(
        [
            in_float32(gradients[id(feature)]).norm() / _SCALE
            if id(feature) in gradients
            else feature.new_zeros((), dtype=torch.float32)
            for feature in features
        ]
    )


def shown_ratios(
    own: Tensor, task: Tensor, levels: Sequence[str]
) -> Mapping[str, Tensor]:
    """Return what is logged of two gradients: the ratio at each level, and at all.

    Args:
        own (Tensor): Norms of a method's gradient, times its weight, (levels, ).
        task (Tensor): Norms of the gradient of the student's own loss, (levels, ).
        levels (Sequence[str]): Names of the levels.

    Returns:
        Mapping[str, Tensor]: ``gradient``, the ratio where the student's own loss
        depends on the features, see :class:`AutoWeight`, and ``gradient_LEVEL``.
    """
    named = {
        f'gradient_{level.replace(" ", "")}': ratio
        for level, ratio in zip(levels, own / task)
    }
    return {'gradient': own @ task / (task @ task), **named}
