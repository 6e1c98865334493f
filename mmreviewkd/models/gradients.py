"""How strongly losses pull at a student's features: the norms of their gradients."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError
from ..methods import Method

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
            if '.grad()' not in str(error):  # as torch 2.1 and newer both say it
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


def measure(
    methods: Mapping[str, Method],
    losses: Mapping[str, Tensor],
    following: Collection[str],
    task: Tensor,
    features: Sequence[Tensor],
    levels: Sequence[str],
) -> dict[str, Tensor]:
    """Measure the gradients of methods, and set the weights that follow them.

    Args:
        methods (Mapping[str, Method]): The methods by name.
        losses (Mapping[str, Tensor]): Losses of those that are measured, scalars that
            are not multiplied by the weight, by name.
        following (Collection[str]): Names of those whose weight is set from it.
        task (Tensor): The student's own loss, a scalar.
        features (Sequence[Tensor]): The student's features of the matched levels.
        levels (Sequence[str]): Names of these levels.

    Returns:
        dict[str, Tensor]: What is logged: each method's gradient, with its weight,
        relative to the task's. ``NAME_gradient`` is the ratio where the task depends on
        the features, see :class:`AutoWeight`, and ``NAME_gradient_LEVEL`` that at a
        level.

    Raises:
        UserInputError: The features have no gradients, from which a weight is set.
    """
    if following and not any(feature.requires_grad for feature in features):
        raise UserInputError(
            f"{next(iter(following))}=dict(weight='auto') measures gradients on the "
            "student's features, and they have none, since the modules up to them are "
            'frozen; give a number'
        )
    shown: dict[str, Tensor] = {}
    # as in a training's backward pass, which is outside of autocast
    with torch.autocast(task.device.type, enabled=False):
        theirs = gradient_norms(task, features)
        for name, loss in losses.items():
            own, method = gradient_norms(loss, features), methods[name]
            if name in following and method.auto is not None:
                method.auto.update(own, theirs)
            own = method.weight_now * own
            shown[f'{name}_gradient'] = own @ theirs / (theirs @ theirs)
            for level, ratio in zip(levels, own / theirs):
                shown[f'{name}_gradient_{level.replace(" ", "")}'] = ratio
    return shown
