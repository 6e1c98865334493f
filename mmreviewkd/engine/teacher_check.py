"""Is the teacher as good as it should be, on the data of the student?

A teacher in the wrong normalisation, or with half of its weights, still gives
features, and a student that learns from them gives no error. Its accuracy on
the student's own validation data tells.
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
from mmengine.model import BaseModel, ImgDataPreprocessor, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from ..errors import UserInputError, few
from ..models.configs import model_config, plain_model
from ..models.renormalize import renormalize, resize
from ..models.weights import load_strictly, names_in
from .evaluation import evaluate, main_metric

NEAR = 0.01
"""How far above zero, or above guessing, a figure still tells nothing."""
TOLERANCE = 0.01
"""Of the expected figure: what another resizing or mmcv may change."""


class WholeTeacher(BaseModel):
    """The teacher with its heads, shown what the student's pipeline makes.

    Args:
        config (str | dict): As of :class:`mmreviewkd.models.Teacher`.
        checkpoint (str): Likewise.
        preprocessor (ImgDataPreprocessor): The student's.
        scale (float): Likewise.
        weights (str, optional): Likewise.
    """

    def __init__(
        self,
        config: Union[str, dict],
        checkpoint: str,
        preprocessor: ImgDataPreprocessor,
        scale: float = 1.0,
        weights: Optional[str] = None,
    ) -> None:
        super().__init__(data_preprocessor=preprocessor)
        self.scale = scale
        self.teacher = MODELS.build(model_config(config))
        self.class_names = load_strictly(self.teacher, checkpoint, config, weights)
        self.eval()

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        inputs = renormalize(
            inputs, data_samples, self.data_preprocessor, self.teacher.data_preprocessor
        )
        if self.scale != 1:
            inputs = resize(inputs, self.scale, self.teacher.data_preprocessor)
            for sample in data_samples:
                # by which boxes go back to the image
                sample.set_metainfo(
                    dict(
                        batch_input_shape=tuple(inputs.shape[-2:]),
                        img_shape=tuple(
                            round(n * self.scale) for n in sample.img_shape
                        ),
                        scale_factor=tuple(n * self.scale for n in sample.scale_factor),
                    )
                )
        return self.teacher(inputs, data_samples, mode)


def check_teacher(
    distiller: ConfigDict,
    dataloader: dict,
    evaluator: Union[dict, list],
    student: Optional[BaseModel] = None,
    expected: Optional[float] = None,
    num_images: Optional[int] = None,
    data_preprocessor: Optional[dict] = None,
) -> dict[str, float]:
    """Evaluate the teacher, print its figure, and warn where it is poor.

    Args:
        distiller (dict): Config of a ReviewKD model.
        dataloader (dict): As of :func:`evaluate`.
        evaluator (dict | list[dict]): Likewise.
        student (BaseModel, optional): Evaluated too, and compared.
        expected (float, optional): The figure known for the teacher, 0 to 1.
            Of a part of the images it may be lower by two standard deviations
            of a share that is measured on so many.
        num_images (int, optional): As of :func:`evaluate`.
        data_preprocessor (dict, optional): The student's, of configs that have
            it beside the model.

    Returns:
        dict[str, float]: The teacher's metrics.

    Raises:
        UserInputError: The teacher tells other classes apart, so that its head
            has no figure on these data, or its checkpoint is not whole, or an
            argument cannot be used.
    """
    _check_arguments(expected, num_images)
    teacher = distiller['teacher']
    preprocessor = plain_model(distiller, data_preprocessor).get('data_preprocessor')
    if preprocessor is None:
        raise UserInputError(
            'the student has no data_preprocessor, in its '
            'model or beside it; the teacher cannot be shown '
            'the same images'
        )
    model = WholeTeacher(**teacher, preprocessor=MODELS.build(preprocessor)).to(
        get_device()
    )
    known = model.class_names
    dataset = Runner.build_dataloader(copy.deepcopy(dataloader)).dataset
    classes = names_in(dataset.metainfo)
    if known and classes and known != classes:
        raise UserInputError(
            f'teacher {teacher["checkpoint"]} was trained for other classes '
            f'({few(known)}) than these data have '
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
    """What guessing gives; nothing in detection."""
    is_accuracy = any(name.endswith('accuracy/top1') for name in metrics)
    return 1 / len(classes) if is_accuracy and classes else 0.0


def _deviation(share: float, count: int) -> float:
    """Two standard deviations of a share that is measured on images."""
    return 2 * math.sqrt(share * (1 - share) / count)


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """:func:`check_teacher` before the first step of a run.

    Args:
        num_images (int, optional): Only so many validation images; None takes
            all.
        expected (float, optional): The figure known for the teacher, 0 to 1.

    Raises:
        UserInputError: An argument cannot be used.
    """

    def __init__(
        self, num_images: Optional[int] = 100, expected: Optional[float] = None
    ) -> None:
        _check_arguments(expected, num_images)
        self.num_images, self.expected = num_images, expected

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        if runner.cfg.get('val_dataloader') is None:
            raise UserInputError('TeacherCheckHook needs a val_dataloader')
        try:
            check_teacher(
                runner.cfg.model,
                runner.cfg.val_dataloader,
                runner.cfg.val_evaluator,
                student=model.module if is_model_wrapper(model) else model,
                expected=self.expected,
                num_images=self.num_images,
                data_preprocessor=runner.cfg.get('data_preprocessor'),
            )
        except UserInputError as error:
            # the features can teach where the head has no figure
            runner.logger.warning(f'no teacher check: {error}')
