"""What a checkpoint says of a distillation whose methods have no parameters."""

from typing import Optional

import torch.nn as nn

from ..compat.unwrap import unwrap
from ..methods import TrainedMethod
from ..methods.method import as_json, warn_of_changes
from ..models import Distilled


def remember(model: nn.Module, meta: dict) -> None:
    """Write the settings of a distillation into a checkpoint's ``meta``.

    A method with parameters keeps them beside its weights, also where mmdet's own
    tools train; this is for a distillation without such a method.

    Args:
        model (nn.Module): Model of the run, in its wrappers.
        meta (dict): Metadata of the checkpoint, changed in place.
    """
    student = _without_trained_method(model)
    if student:
        meta['distillation'] = as_json(student.distillation.settings)


def warn_of_other_settings(model: nn.Module, meta: dict) -> None:
    """Log a warning if the checkpoint is of a distillation with other settings.

    Args:
        model (nn.Module): Model of the run, in its wrappers.
        meta (dict): Metadata of the checkpoint; one of earlier runs says nothing.
    """
    student = _without_trained_method(model)
    if student and 'distillation' in meta:
        settings = student.distillation.settings
        warn_of_changes('distillation', meta['distillation'], settings)


def _without_trained_method(model: nn.Module) -> Optional[Distilled]:
    student = unwrap(model)
    if not isinstance(student, Distilled):
        return None
    trained = any(isinstance(each, TrainedMethod) for each in student.children())
    return None if trained else student
