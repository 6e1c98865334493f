"""Trains the head with which a teacher tells images apart, for :class:`SSKD`."""

from typing import Optional, Union

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from ..methods import View
from ..methods.self_supervision import (
    own_images,
    projection_head,
    similarities,
)
from ..models.setting_keys import filled
from ..models.settings import TeacherSettings
from ..models.teacher import Teacher


@MODELS.register_module()
class SelfSupervisedHead(BaseModel):
    """Two layers behind a trained, frozen classifier (arXiv 2006.07114, phase 1).

    They learn which image a rotated copy is of: the loss is the cross-entropy of the
    cosines between the copy and all images of the batch, without a temperature. The
    checkpoints have the head alone; ``SSKD(teacher_head=...)`` takes one.

    Args:
        teacher (dict): ``config`` and ``checkpoint`` of the classifier, see
            :class:`TeacherSettings`.
        data_preprocessor (dict): Config of a ``CropFlipPreprocessor`` with
            ``rotations=True``.

    Raises:
        UserInputError: The teacher cannot be used, or no rotated copies are made.

    Examples:
        >>> preprocessor = dict(type='CropFlipPreprocessor', rotations=True)
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(type='CifarResNet', depth=8),
        ...     data_preprocessor=preprocessor,
        ... )
        >>> torch.save(MODELS.build(model).state_dict(), 'teacher.pth')
        >>> teacher = dict(config=model, checkpoint='teacher.pth')
        >>> model = MODELS.build(
        ...     dict(
        ...         type='SelfSupervisedHead',
        ...         teacher=teacher,
        ...         data_preprocessor=preprocessor,
        ...     )
        ... )
        >>> images, labels = torch.rand(2, 3, 32, 32), torch.tensor([5, 9])
        >>> data = dict(inputs=images, data_samples=labels)
        >>> data = model.data_preprocessor(data, training=True)
        >>> list(model(**data, mode='loss'))
        ['loss_head', 'accuracy']
        >>> list(model.state_dict())
        ['head.0.weight', 'head.0.bias', 'head.2.weight', 'head.2.bias']
    """

    teacher: Teacher

    def __init__(self, teacher: dict, data_preprocessor: dict) -> None:
        super().__init__(data_preprocessor)
        if not getattr(self.data_preprocessor, 'rotations', False):
            raise UserInputError(
                'SelfSupervisedHead learns from four copies of each image: set '
                'rotations=True in the data_preprocessor, a CropFlipPreprocessor'
            )
        settings = filled(TeacherSettings, 'teacher', teacher)
        # no child: it is in no checkpoint, and moves to where its images are
        self.__dict__['teacher'] = Teacher(settings, self.data_preprocessor)
        self.head = projection_head(self.teacher.levels.channels[-1])

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[Union[Tensor, dict]] = None,
        mode: str = 'tensor',
    ) -> Union[Tensor, dict[str, Tensor]]:
        """Compute the similarities of the copies, or the loss.

        Args:
            inputs (Tensor): Four copies of each image, (4 N, 3, H, W).
            data_samples (Tensor | dict, optional): Labels of the copies, (4 N, ), or a
                dict that contains them.
            mode (str): ``'tensor'`` or ``'loss'``.

        Returns:
            Tensor | dict[str, Tensor]: Similarities, (3 N, N), or the loss and how
            many percent of the rotated copies are most similar to their own image.
        """
        if mode == 'predict':
            raise UserInputError(
                'a SelfSupervisedHead predicts nothing: leave out val_cfg and test_cfg'
            )
        features, _ = self.teacher(inputs, data_samples)
        scores = similarities(self.head, View(features).pooled)
        if mode == 'tensor':
            return scores
        targets = own_images(scores)
        right = scores.argmax(1) == targets
        return dict(
            loss_head=F.cross_entropy(scores, targets),
            accuracy=100 * right.float().mean(),
        )
