"""Image classifier that mmengine's Runner trains and tests."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError, few
from ..models.image_labels import image_labels


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A network that computes logits from images, trained with cross-entropy.

    Args:
        backbone (dict): Config of a module whose ``forward`` computes logits,
            (N, classes), from images, (N, 3, H, W).
        data_preprocessor (dict): Config of an ``ImgDataPreprocessor``.
        input_size (int): Side of the images in pixels.
        levels (str | Sequence[str], optional): Where methods take the features,
            without the stem, the pooled vector last: ``'after'`` or
            ``'before'`` the activations of the stages, or names of the backbone's
            modules (see :func:`record`). By default they are taken after the
            activations of a student and before those of a teacher, as published
            for CIFAR-100.
        loss_weight (float): Weight of the cross-entropy. KD is published with
            0.1 here and 0.9 as its own weight.

    Examples:
        >>> model = MODELS.build(
        ...     dict(
        ...         type='ImageClassifier',
        ...         backbone=dict(type='CifarResNet', depth=8, num_classes=10),
        ...         data_preprocessor=dict(type='CropFlipPreprocessor'),
        ...     )
        ... )
        >>> list(model(torch.rand(2, 3, 32, 32), torch.tensor([1, 7]), mode='loss'))
        ['loss_cls']
    """

    def __init__(
        self,
        backbone: dict,
        data_preprocessor: dict,
        input_size: int = 32,
        levels: Optional[Union[str, Sequence[str]]] = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(data_preprocessor)
        self.loss_weight = loss_weight
        self.backbone = MODELS.build(backbone)
        self.input_size = input_size
        self.levels = levels

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[Union[Tensor, dict]] = None,
        mode: str = 'tensor',
    ) -> Union[Tensor, dict[str, Tensor], list[dict]]:
        """Compute logits, losses or predictions.

        Args:
            inputs (Tensor): Images, (N, 3, H, W).
            data_samples (Tensor | dict, optional): Labels, (N, ), or a dict that
                contains them, see :func:`image_labels`; only ``'loss'`` needs them.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``.
        """
        logits = self.backbone(inputs)
        if mode == 'tensor':
            return logits
        if mode == 'predict':
            predictions = [dict(pred_scores=row) for row in logits.softmax(1).cpu()]
            if data_samples is None:
                return predictions
            labels = image_labels(data_samples).tolist()
            return [
                dict(prediction, gt_label=label)
                for prediction, label in zip(predictions, labels)
            ]
        assert data_samples is not None, f'mode {mode!r} needs labels'
        loss = F.cross_entropy(logits, image_labels(data_samples))
        return dict(loss_cls=self.loss_weight * loss)

    def level_names(self, role: str) -> list[str]:
        """Modules whose outputs or inputs are the levels of a student or teacher.

        Args:
            role (str): ``'student'`` or ``'teacher'``.

        Raises:
            UserInputError: ``levels`` is neither ``'after'`` nor ``'before'``,
                or the backbone does not say which modules these are.
        """
        levels = self.levels or dict(student='after', teacher='before')[role]
        if isinstance(levels, str):
            if levels not in ('after', 'before'):
                raise UserInputError(
                    f"ImageClassifier(levels={levels!r}): must be 'after', "
                    "'before' or a list of names of the backbone's modules"
                )
            if not hasattr(self.backbone, f'levels_{levels}'):
                raise UserInputError(
                    f'{role} {type(self.backbone).__name__} does not tell its '
                    'levels: name modules with ImageClassifier(levels=[...]), '
                    'shallow to deep, out of ' + _modules(self.backbone)
                )
            levels = getattr(self.backbone, f'levels_{levels}')
        return [f'backbone.{name}' for name in levels]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Also accept names without ``backbone.``, as public files have them."""
        known = self.backbone.state_dict()
        keys = [key[len(prefix) :] for key in state_dict]
        # the backbone itself may have a child called "backbone"
        whole = sum(key[9:] in known for key in keys if key.startswith('backbone.'))
        if sum(key in known for key in keys) > whole:
            for key in keys:
                state_dict[f'{prefix}backbone.{key}'] = state_dict.pop(prefix + key)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _modules(network: nn.Module) -> str:
    """List the names of a network's modules for a message, outermost first."""
    names = sorted(
        (name for name, _ in network.named_modules() if name),
        key=lambda name: name.count('.'),
    )
    return few(names, limit=40)
