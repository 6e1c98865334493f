"""Is the teacher as good as it should be, on the data of the student?

A teacher in the wrong normalisation, or with half of its weights, still gives
features, and a student that learns from them gives no error. Its accuracy on
the student's own validation data tells.
"""
import copy
import logging
import os.path as osp
import tempfile
from typing import Dict, Optional, Union

import torch
import torch.nn as nn
from mmdet.registry import HOOKS, MODELS
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.fileio import dump, load
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress

from ..errors import UserInputError
from ..models.configs import model_config
from ..models.renormalize import renormalize, resize
from ..models.weights import load_strictly, names_in

NEAR_ZERO = 0.01
TOLERANCE = 0.01
"""Of the expected figure: what another resizing or mmcv may change."""


class WholeTeacher(BaseModel):
    """The teacher with its heads, shown what the student's pipeline makes.

    Args:
        config (str | dict): As of :class:`mmreviewkd.models.Teacher`.
        checkpoint (str): Likewise.
        preprocessor (nn.Module): The student's.
        scale (float): Likewise.
    """

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: str,
                 preprocessor: nn.Module,
                 scale: float = 1.0) -> None:
        super().__init__(data_preprocessor=preprocessor)
        self.scale = scale
        self.teacher = MODELS.build(model_config(config))
        self.class_names = load_strictly(self.teacher, checkpoint, config)
        self.eval()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = renormalize(inputs, data_samples, self.data_preprocessor,
                             self.teacher.data_preprocessor)
        if self.scale != 1:
            inputs = resize(inputs, self.scale, self.teacher.data_preprocessor)
            for sample in data_samples:
                # by which boxes go back to the image
                sample.set_metainfo(
                    dict(
                        batch_input_shape=tuple(inputs.shape[-2:]),
                        img_shape=tuple(
                            round(n * self.scale) for n in sample.img_shape),
                        scale_factor=tuple(n * self.scale
                                           for n in sample.scale_factor)))
        return self.teacher(inputs, data_samples, mode)


@torch.no_grad()
def evaluate(model: BaseModel,
             dataloader: dict,
             evaluator: Union[dict, list],
             num_images: Optional[int] = None) -> Dict[str, float]:
    """Metrics of a model.

    Args:
        model (BaseModel): In eval mode, on its device.
        dataloader (dict): Config, ``val_dataloader`` for one.
        evaluator (dict | list[dict]): Config, ``val_evaluator`` for one.
        num_images (int, optional): Only so many of the first images.
    """
    dataloader, evaluator = copy.deepcopy((dataloader, evaluator))
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    with_files = [metric for metric in metrics if metric.get('ann_file')]
    if num_images and with_files:
        dataloader['dataset']['indices'] = num_images
    dataloader = Runner.build_dataloader(dataloader)
    dataset = dataloader.dataset
    with tempfile.TemporaryDirectory() as folder:
        if num_images and with_files:
            # else images that were not shown would count as missed
            images = {
                dataset.get_data_info(i)['img_id']
                for i in range(len(dataset))
            }
            for metric in with_files:
                metric['ann_file'] = _annotations_of(images,
                                                     metric['ann_file'],
                                                     folder)
        evaluator = Evaluator(metrics)
        evaluator.dataset_meta = dataset.metainfo
        shown = 0
        for batch in track_iter_progress((iter(dataloader), len(dataloader))):
            outputs = model.val_step(batch)
            evaluator.process(data_samples=outputs, data_batch=batch)
            shown += len(outputs)
            if num_images and shown >= num_images:
                break
        return evaluator.evaluate(shown)


def _annotations_of(images: set, ann_file: str, folder: str) -> str:
    """A COCO file with some of another's images."""
    coco = load(ann_file)
    coco['images'] = [i for i in coco['images'] if i['id'] in images]
    coco['annotations'] = [
        a for a in coco['annotations'] if a['image_id'] in images
    ]
    path = osp.join(folder, osp.basename(ann_file))
    dump(coco, path)
    return path


def main_metric(metrics: Dict[str, float]) -> float:
    """AP of the boxes, or top-1 accuracy, from 0 to 1.

    mmdet's metrics are none at all where nothing was detected.
    """
    for name, value in metrics.items():
        if name.endswith('bbox_mAP'):
            return value
        if name.endswith('accuracy/top1'):
            return value / 100
    return next(iter(metrics.values()), 0.)


def check_teacher(distiller: ConfigDict,
                  dataloader: dict,
                  evaluator: Union[dict, list],
                  student: Optional[BaseModel] = None,
                  expected: Optional[float] = None,
                  num_images: Optional[int] = None) -> Dict[str, float]:
    """Evaluate the teacher, print its figure, and warn where it is poor.

    Args:
        distiller (dict): Config of a ReviewKD model.
        dataloader (dict): As of :func:`evaluate`.
        evaluator (dict | list[dict]): Likewise.
        student (BaseModel, optional): Evaluated too, and compared.
        expected (float, optional): The figure known for the teacher, 0 to 1.
        num_images (int, optional): As of :func:`evaluate`.

    Returns:
        dict[str, float]: The teacher's metrics.

    Raises:
        UserInputError: The teacher tells other classes apart, so that its head
            has no figure on these data, or its checkpoint is not whole.
    """
    teacher = distiller['teacher']
    preprocessor = MODELS.build(distiller['student']['data_preprocessor'])
    model = WholeTeacher(**teacher, preprocessor=preprocessor).to(get_device())
    known = model.class_names
    classes = names_in(
        Runner.build_dataloader(copy.deepcopy(dataloader)).dataset.metainfo)
    if known and classes and known != classes:
        raise UserInputError(
            f'teacher {teacher["checkpoint"]} was trained for other classes '
            f'({_few(known)}) than these data have '
            f'({_few(classes)}); its features can teach, but its head has no '
            'figure here')
    metrics = evaluate(model, dataloader, evaluator, num_images)
    value = main_metric(metrics)
    message = f'teacher: {value:.3f}'
    problems = []
    if expected is not None:
        message += f', expected {expected:.3f}'
        # of a part of the images it may well be another
        if value < expected - TOLERANCE and num_images is None:
            problems.append('is below what was expected')
    if student is not None:
        was_training = student.training
        other = main_metric(
            evaluate(student.eval(), dataloader, evaluator, num_images))
        student.train(was_training)
        message += f', student: {other:.3f}'
        if value < other:
            problems.append("is below the student's")
    if value < NEAR_ZERO:
        problems.append('is near zero')
    print_log(f'{message} ({num_images or "all"} validation images)',
              'current')
    if problems:
        print_log(
            f'The teacher\'s figure {" and ".join(problems)}. See whether its '
            'config and checkpoint belong together, and whether its '
            'data_preprocessor (mean, std, channel order) is the one it was '
            'trained with', 'current', logging.WARNING)
    return metrics


def _few(names) -> str:
    return ', '.join(
        names[:3]) + (f', ... {len(names)} in all' if len(names) > 3 else '')


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """:func:`check_teacher` before the first step of a run.

    Args:
        num_images (int, optional): Only so many validation images; None takes
            all.
        expected (float, optional): The figure known for the teacher, 0 to 1;
            compared where all images are taken.
    """

    def __init__(self,
                 num_images: Optional[int] = 100,
                 expected: Optional[float] = None) -> None:
        self.num_images, self.expected = num_images, expected

    def before_train(self, runner) -> None:
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
                num_images=self.num_images)
        except UserInputError as error:
            # the features can teach where the head has no figure
            runner.logger.warning(f'no teacher check: {error}')
