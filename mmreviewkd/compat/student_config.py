"""A distillation's config answers for its student's, as the distilled model does.

mmdet 3.3.0 and OneDL's 3.5.1 read ``config.model.backbone`` in ``init_detector``, and
other parts of the model in some of their tools, whereas a distillation has the
student's parts in ``config.model.student``. The function reads the config itself, so
there is no place outside of it at which to hand it the student's.
"""

import functools
from typing import Any

from mmengine.config import ConfigDict


def answer_for_the_student() -> None:
    """Let a ReviewKD config's missing attributes be its student's."""
    attribute = ConfigDict.__getattr__

    @functools.wraps(attribute)
    def own_or_students(self: ConfigDict, name: str) -> Any:
        try:
            return attribute(self, name)
        except AttributeError:
            # copies and pickles ask for names that begin so of half-made configs
            if name.startswith('__') or not _is_distillation(self):
                raise
            return getattr(self['student'], name)

    ConfigDict.__getattr__ = own_or_students


def _is_distillation(config: ConfigDict) -> bool:
    kind = config.get('type')
    name = getattr(kind, '__name__', kind)
    return name == 'ReviewKD' and isinstance(config.get('student'), ConfigDict)
