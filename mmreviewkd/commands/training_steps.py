"""The steps that ``mmreviewkd benchmark step`` measures, on one batch of random images.

The distilled student and the student alone are built from the config, with equal random
weights, and are trained by their own ``train_step`` and the config's ``optim_wrapper``.
"""

import argparse
import copy
import logging
import os.path as osp
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any, Callable

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper

from ..compat.compiling import notice_hooks
from ..methods import Review, View
from ..methods.auto_weight import EARLY, INTERVAL
from ..models.configs import distiller_config, model_config, student_config
from ..models.settings import read_settings
from .measuring import Step

TRAININGS = ('student', 'distilled')


def build_models(cfg: Config, device: str) -> dict[str, BaseModel]:
    """Build the distilled student and the student alone, with equal random weights.

    Raises:
        UserInputError: The config is not that of a distillation.
    """
    torch.manual_seed(0)
    distilled = distiller_config(cfg)
    teacher = read_settings(
        *(distilled.get(key) for key in ('teacher', 'review', 'logits', 'methods'))
    ).teacher
    config = model_config(teacher.config)
    student = copy.deepcopy(student_config(cfg))
    # rotated copies are a method's, and not what the student alone is trained with
    student.get('data_preprocessor', {}).pop('rotations', None)
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'teacher.pth')
        weights = MODELS.build(copy.deepcopy(config)).state_dict()
        torch.save(dict(state_dict=weights), path)
        distilled.teacher.update(config=config, checkpoint=path, weights=None)
        models = dict(
            student=MODELS.build(student),
            distilled=MODELS.build(distilled),
        )
    models['student'].load_state_dict(models['distilled'].state_dict(), strict=False)
    if device == 'cpu':  # where torch has no SyncBatchNorm
        models = {name: revert_sync_batchnorm(each) for name, each in models.items()}
    return {name: model.to(device).train() for name, model in models.items()}


def build_steps(
    cfg: Config, args: argparse.Namespace, models: dict[str, BaseModel], batch: dict
) -> tuple[dict[str, Step], Step]:
    """Build the steps that are measured.

    Returns:
        tuple[dict[str, Callable], Callable]: The steps by name, and what is called
        before each.
    """
    optimizers = {
        name: build_optimizer(cfg, args, model) for name, model in models.items()
    }
    fresh: dict[str, Any] = {}

    def prepare() -> None:
        # a detector's preprocessor writes into its batch
        fresh.update(copy.deepcopy(batch))

    # what is done in some iterations only looks at mmengine's counter
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 0)

    def train(name: str, iteration: int = EARLY) -> Step:
        model, optimizer = models[name], optimizers[name]
        # the first step of a run sets weights; it is one to warm up
        iterations = chain([0], repeat(iteration))

        def step() -> None:
            hub.update_info('iter', next(iterations))
            model.train_step(dict(fresh), optimizer)

        return step

    distilled = models['distilled']
    prepare()
    data = distilled.data_preprocessor(dict(fresh), True)
    views = record_views(distilled, optimizers['distilled'], data)

    def teach() -> None:
        with optimizers['distilled'].optim_context(distilled):
            distilled.distillation.teacher(data['inputs'], data['data_samples'])

    def compare() -> None:
        with optimizers['distilled'].optim_context(distilled):
            losses = []
            for name, pair in views.items():
                method = getattr(distilled, name)
                losses.append(method.weight * method.losses(*pair)['loss'])
        torch.stack(losses).sum().backward()
        distilled.zero_grad()

    steps = dict(
        student=train('student'),
        teacher=teach,
        methods=compare,
        distilled=train('distilled'),
    )
    if not views:  # all weights are 0
        del steps['methods']
    methods = [getattr(distilled, name) for name in distilled.distillation.methods]
    if any(method.auto for method in methods):
        steps['distilled, measuring'] = train('distilled', INTERVAL)
    steps.update({name: train(name) for name in models if name not in TRAININGS})
    return steps, prepare


def compile_parts(models: dict[str, BaseModel], mode: str) -> None:
    """Compile what most of the time is spent in, as far as it has a fixed shape.

    These are the backbones and necks of student and teacher, and the review. The heads
    of detectors stay as they are, since the number of their boxes is always another.

    Args:
        models (dict[str, BaseModel]): Student and distilled student.
        mode (str): Mode of torch.compile for backbones and necks.
    """
    notice_hooks()
    distilled = models['distilled']
    for model in (*models.values(), distilled.distillation.teacher.model):
        for part in (getattr(model, name, None) for name in ('backbone', 'neck')):
            if part is not None:
                part.forward = torch.compile(part.forward, mode=mode)
    if isinstance(getattr(distilled, 'review', None), Review):
        distilled.review.compiled = True


def build_optimizer(
    cfg: Config, args: argparse.Namespace, model: BaseModel
) -> OptimWrapper:
    """Build the config's optimizer for a model, at learning rate 0.

    So the weights stay as they are, and the losses finite, however many steps are run.
    """
    settings = copy.deepcopy(cfg.optim_wrapper)
    settings.optimizer.lr = 0.0
    settings.pop('accumulative_counts', None)
    if args.amp and args.device == 'cpu':
        kept = ('optimizer', 'paramwise_cfg', 'constructor', 'clip_grad')
        settings = {key: settings[key] for key in kept if key in settings}
        settings['type'] = 'CPUAmp'
    elif args.amp:
        # as mmreviewkd train --amp does it
        settings.update(type='AmpOptimWrapper', loss_scale='dynamic')
    with quiet():
        return build_optim_wrapper(model, settings)


@contextmanager
def quiet() -> Iterator[None]:
    """Let mmengine log errors alone: it has a line for each parameter not trained."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def record_views(
    distilled: BaseModel, optimizer: OptimWrapper, data: dict
) -> dict[str, tuple[View, View]]:
    """Run one forward pass, and return what each method compares in it."""
    views: dict[str, tuple[View, View]] = {}

    def recording(name: str) -> Callable[[View, View], dict]:
        losses = getattr(distilled, name).losses

        def record(student: View, teacher: View) -> dict:
            views[name] = _leaves(student), teacher
            return losses(student, teacher)

        return record

    methods = distilled.distillation.methods
    for name in methods:
        getattr(distilled, name).losses = recording(name)
    with optimizer.optim_context(distilled):
        distilled(**data, mode='loss')
    for name in methods:
        del getattr(distilled, name).losses
    return views


def _leaves(view: View) -> View:
    """Detach a student's view from its graph; gradients end at it."""
    return view._replace(
        features=[each.detach().requires_grad_() for each in view.features],
        logits=view.logits.detach().requires_grad_(),
    )
