"""Makes a distillation's config answer for its student's, like the model.

mmdet 3.3.0 and OneDL's 3.5.1 read ``config.model.backbone`` in ``init_detector``,
and other parts of the model in some of their tools. In a distillation, these parts
are in ``config.model.student``. ``init_detector`` reads the config itself, so the
student's config cannot be passed to it from outside.
"""

import functools
from typing import Any

from mmengine.config import ConfigDict

from .type_name import type_name


def answer_for_the_student() -> None:
    """Look up a ReviewKD config's missing attributes in its student's config."""
    attribute = ConfigDict.__getattr__

    @functools.wraps(attribute)
    def own_or_students(self: ConfigDict, name: str) -> Any:
        try:
            return attribute(self, name)
        except AttributeError:
            # copy and pickle look up such names on configs that are not filled yet
            if name.startswith('__') or not _is_distillation(self):
                raise
            return getattr(self['student'], name)

    ConfigDict.__getattr__ = own_or_students


def _is_distillation(config: ConfigDict) -> bool:
    return type_name(config) == 'ReviewKD' and isinstance(
        config.get('student'), ConfigDict
    )
