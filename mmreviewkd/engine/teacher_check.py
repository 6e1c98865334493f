"""Checks how accurate the teacher is on the student's data.

A teacher in the wrong normalisation, or with half of its weights, still computes
features, and a student that learns from them raises no error. Only the teacher's
accuracy on the student's own validation data shows it.
"""

import copy
import logging
import math
from typing import Any, Optional, Union

from mmdet.registry import HOOKS, MODELS
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from ..compat.unwrap import unwrap
from ..errors import UserInputError, few
from ..models import Teacher
from ..models.configs import distiller_config, plain_model
from ..models.settings import read_settings
from ..models.weights import names_in
from .evaluation import evaluate, main_metric
from .random_state import random_state, set_random_state

NEAR = 0.01
"""A score no further than this above zero, or above guessing, means nothing."""
TOLERANCE = 0.01
"""How far the score may be below the expected one, due to resizing or mmcv."""


class ShownTeacher(BaseModel):
    """The teacher as a model to be evaluated on batches of the student's pipeline.

    Args:
        teacher (Teacher): The teacher, with all its heads.
    """

    def __init__(self, teacher: Teacher) -> None:
        super().__init__(data_preprocessor=teacher.renormalize.source)
        self.teacher = teacher
        self.eval()

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        inputs = self.teacher.see(inputs, data_samples)
        scale = self.teacher.settings.scale
        for sample in data_samples if scale != 1 else ():
            # boxes are scaled back to the original image by these
            sample.set_metainfo(
                dict(
                    batch_input_shape=tuple(inputs.shape[-2:]),
                    img_shape=tuple(round(n * scale) for n in sample.img_shape),
                    scale_factor=tuple(n * scale for n in sample.scale_factor),
                )
            )
        return self.teacher.model(inputs, data_samples, mode)


def shown_teacher(distiller: dict) -> ShownTeacher:
    """Build the teacher of a distillation, with all its heads, for evaluation.

    Args:
        distiller (dict): Config of a ReviewKD model, with the student's data
            preprocessor.

    Raises:
        UserInputError: There is no such preprocessor, or the teacher cannot be used.
    """
    preprocessor = plain_model(distiller).get('data_preprocessor')
    if preprocessor is None:
        raise UserInputError(
            'the student has no data_preprocessor, in its '
            'model or beside it; the teacher cannot be shown '
            'the same images'
        )
    keys = ('teacher', 'review', 'logits', 'methods', 'strides', 'part')
    given: dict[str, Any] = {key: distiller.get(key) for key in keys}
    settings = read_settings(**given)
    return ShownTeacher(
        Teacher(
            settings.teacher,
            source=MODELS.build(preprocessor),
            part=settings.part,
            heads='all',
        )
    )


def check_teacher(
    distiller: ConfigDict,
    dataloader: dict,
    evaluator: Union[dict, list],
    student: Optional[BaseModel] = None,
    expected: Optional[float] = None,
    num_images: Optional[int] = None,
) -> dict[str, float]:
    """Evaluate the teacher, print its score, and warn if it is poor.

    Args:
        distiller (dict): Config of a ReviewKD model, with the student's data
            preprocessor.
        dataloader (dict): Config of the data loader, such as ``val_dataloader``.
        evaluator (dict | list[dict]): Config of the metrics, such as
            ``val_evaluator``.
        student (BaseModel, optional): Student to evaluate and compare.
        expected (float, optional): Known score of the teacher, 0 to 1. On a part of
            the images, the score may be lower by two standard deviations of a
            proportion of that many images.
        num_images (int, optional): Evaluates only this number of first images.

    Returns:
        dict[str, float]: The teacher's metrics.

    Raises:
        UserInputError: The teacher has other classes, so that its head has no
            score on these data, or its checkpoint is incomplete, or an argument
            cannot be used.
    """
    _check_arguments(expected, num_images)
    model = shown_teacher(distiller).to(get_device())
    known = model.teacher.class_names
    dataset = Runner.build_dataloader(copy.deepcopy(dataloader)).dataset
    classes = names_in(dataset.metainfo)
    if known and classes and known != classes:
        raise UserInputError(
            f'teacher {model.teacher.settings.checkpoint} was trained for other '
            f'classes ({few(known)}) than these data have '
            f'({few(classes)}); its features can teach, but its head has no '
            'figure here'
        )
    metrics, count = evaluate(model, dataloader, evaluator, num_images)
    value = main_metric(metrics)
    message = f'teacher: {value:.3f}'
    problems = []
    if expected is not None:
        message += f', expected {expected:.3f}'
        tolerance = TOLERANCE
        if count < len(dataset):
            tolerance += _deviation(expected, count)
        if value < expected - tolerance:
            problems.append('is below what was expected')
    if student is not None:
        was_training = student.training
        other = main_metric(
            evaluate(student.eval(), dataloader, evaluator, num_images)[0]
        )
        student.train(was_training)
        message += f', student: {other:.3f}'
        if value < other:
            problems.append("is below the student's")
    chance = _chance(metrics, classes)
    if value < chance + NEAR + _deviation(chance, count):
        problems.append(
            f'is near chance, {chance:.3f} for {len(classes)} classes'
            if chance and classes
            else 'is near zero'
        )
    images = f'all {count}' if count == len(dataset) else count
    print_log(f'{message} ({images} validation images)', 'current')
    if problems:
        print_log(
            f"The teacher's figure on {images} images "
            f'{" and ".join(problems)}. See whether its config and checkpoint '
            'belong together, and whether its data_preprocessor (mean, std, '
            'channel order) is the one it was trained with',
            'current',
            logging.WARNING,
        )
    return metrics


def _check_arguments(expected: Optional[float], num_images: Optional[int]) -> None:
    if expected is not None and not (
        isinstance(expected, (int, float)) and 0 <= expected <= 1
    ):
        raise UserInputError(
            f'expected={expected!r}: must be a fraction from '
            '0 to 1, such as 0.934 for 93.4 percent'
        )
    if num_images is not None and (not isinstance(num_images, int) or num_images < 1):
        raise UserInputError(
            f'num_images={num_images!r}: must be a whole '
            'number >= 1; left out, all images are taken'
        )


def _chance(metrics: dict[str, float], classes: Optional[tuple]) -> float:
    """Accuracy of guessing for classifiers, 0 for detectors."""
    is_accuracy = any(name.endswith('accuracy/top1') for name in metrics)
    return 1 / len(classes) if is_accuracy and classes else 0.0


def _deviation(share: float, count: int) -> float:
    """Two standard deviations of a proportion measured on ``count`` images."""
    return 2 * math.sqrt(share * (1 - share) / count)


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Run :func:`check_teacher` before the first step of a run.

    Args:
        num_images (int, optional): Number of first validation images to use; None
            uses all.
        expected (float, optional): Known score of the teacher, 0 to 1.

    Raises:
        UserInputError: An argument cannot be used.

    Examples:
        >>> hook = HOOKS.build(
        ...     dict(type='TeacherCheckHook', num_images=None, expected=0.42)
        ... )
        >>> hook.expected
        0.42
    """

    def __init__(
        self, num_images: Optional[int] = 100, expected: Optional[float] = None
    ) -> None:
        _check_arguments(expected, num_images)
        self.num_images, self.expected = num_images, expected

    def before_train(self, runner: Runner) -> None:
        if runner.cfg.get('val_dataloader') is None:
            raise UserInputError('TeacherCheckHook needs a val_dataloader')
        # a run draws the same numbers as without the check
        state = random_state()
        try:
            check_teacher(
                distiller_config(runner.cfg),
                runner.cfg.val_dataloader,
                runner.cfg.val_evaluator,
                student=unwrap(runner.model),
                expected=self.expected,
                num_images=self.num_images,
            )
        except UserInputError as error:
            # the features can still teach if the head cannot be evaluated
            runner.logger.warning(f'no teacher check: {error}')
        finally:
            set_random_state(state)
