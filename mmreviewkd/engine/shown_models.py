"""The models that are looked at: teacher, student alone and distilled student."""

from textwrap import shorten
from typing import Optional

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel

from ..errors import UserInputError
from ..models import Distilled, Teacher
from ..models.adapters import adapter_of
from ..models.configs import distiller_config, student_config
from ..models.weights import load_file, methods_in, weights_of
from .teacher_check import ShownTeacher


def load_models(
    cfg: Config, checkpoint: str, alone: Optional[str] = None
) -> tuple[dict[str, BaseModel], dict]:
    """Build and load the models that are shown side by side.

    Args:
        cfg (Config): Config of a distillation.
        checkpoint (str): Checkpoint of a run of that config.
        alone (str, optional): Checkpoint of the student trained alone.

    Returns:
        tuple[dict[str, BaseModel], dict]: Models by the title of their column, in
        eval mode and on the device; and the metainfo of the data, ``classes`` and
        ``palette``. A teacher of other classes is left out, and the user is told.

    Raises:
        UserInputError: The config has no review, its model has no boxes, or a
            checkpoint does not fit.
    """
    distilled = MODELS.build(distiller_config(cfg))
    if not hasattr(distilled, 'review'):
        raise UserInputError(f'{cfg.filename} has no review, which is what is drawn')
    adapter = adapter_of(distilled)
    if not adapter.has_boxes:
        raise UserInputError(
            f'{cfg.filename} distils a {adapter.kind}, which has no boxes to draw; '
            "custom_hooks=[dict(type='ReviewVisualizationHook')] draws its "
            'review during training'
        )
    meta = load(distilled, checkpoint, cfg.filename, distilled=True)
    models = dict(teacher=load_teacher(distilled, meta))
    if alone:
        models['student alone'] = MODELS.build(student_config(cfg))
        load(models['student alone'], alone, cfg.filename, distilled=False)
    models['distilled student'] = distilled
    return {
        title: model.to(get_device()).eval()
        for title, model in models.items()
        if model is not None
    }, meta


def load(model: BaseModel, filename: str, config: str, distilled: bool) -> dict:
    """Fill a model from a run's checkpoint.

    Returns:
        dict: Metainfo of the run's dataset, ``classes`` and ``palette``.

    Raises:
        UserInputError: The file is no checkpoint, is of the other kind of run, or
            does not fit the model.
    """
    checkpoint = load_file(filename, 'distilled' if distilled else 'student')
    meta = (checkpoint.get('meta') or {}).get('dataset_meta')
    if not meta or 'state_dict' not in checkpoint:
        raise UserInputError(
            f'{filename} is no checkpoint of a training run: '
            'it lacks weights or class names'
        )
    weights = weights_of(checkpoint)
    methods = methods_in(weights)
    if distilled and 'review' not in methods:
        raise UserInputError(
            f'{filename} has no review.* weights: it is of no distilled run, '
            'or was exported from one'
        )
    if methods and not distilled:
        raise UserInputError(
            f'{filename} has {min(methods)}.* weights: it is of a distilled run, not '
            'of the student alone'
        )
    try:
        # strictly, since levels that only the file's review has would shift the others
        model.load_state_dict(weights)
    except RuntimeError as error:
        first, *more = str(error).splitlines()[1:]
        raise UserInputError(
            f'{filename} does not fit {config}: {shorten(first, 200)}'
            + (f' (and {len(more)} more)' if more else '')
        ) from None
    return meta


def load_teacher(distilled: Distilled, meta: dict) -> Optional[BaseModel]:
    """The teacher with its heads, if its boxes compare with the student's."""
    blind = distilled.distillation.teacher
    model = ShownTeacher(
        Teacher(blind.settings, blind.renormalize.source, part=blind.part, heads='all')
    )
    known = blind.class_names
    if known and known != tuple(meta['classes']):
        print('no predictions of the teacher: it knows other classes')
        return None
    number = max(getattr(part, 'num_classes', 0) for part in model.modules())
    if number != len(meta['classes']):
        print(f'no predictions of the teacher: it has {number} classes')
        return None
    return model
