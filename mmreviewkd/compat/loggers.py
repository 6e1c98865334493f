"""Lets MLflow's logger take any picture, and ClearML's leave a run's seed alone.

- mmengine's ``MLflowVisBackend`` (mmengine 0.10.7) hands a picture's name
  to MLflow as the name of its file. mmdet's names have no extension, and MLflow fails
  with "unknown file extension" (open-mmlab/mmengine, issue 1681).
- ClearML (2.1.12) sets every random seed to 1337 when its task starts, unless it is
  told otherwise (clearml/clearml, issue 1481). mmengine's ``ClearMLVisBackend`` starts
  it after the runner has set the seed of the config and before the model is built, so
  that runs of different seeds would be the same run.
"""

import functools
from contextlib import suppress
from typing import Any

import numpy as np
from mmengine.visualization import ClearMLVisBackend, MLflowVisBackend


def mend_loggers() -> None:
    """Replace how MLflow's logger takes a picture and how ClearML's starts, once."""
    _name_pictures()
    _keep_the_seed()


def _name_pictures() -> None:
    add_image = MLflowVisBackend.add_image
    if hasattr(add_image, 'names_a_file'):
        return

    @functools.wraps(add_image)
    def named(
        self: MLflowVisBackend, name: str, image: np.ndarray, step: int = 0, **kw: Any
    ) -> None:
        if not name.lower().endswith(('.png', '.jpg', '.jpeg')):
            # as LocalVisBackend names its files
            name = f'{name}_{step}.png'
        add_image(self, name, image, step, **kw)

    named.names_a_file = True  # type: ignore[attr-defined]
    MLflowVisBackend.add_image = named


def _keep_the_seed() -> None:
    init_env = ClearMLVisBackend._init_env
    if hasattr(init_env, '__wrapped__'):
        return

    @functools.wraps(init_env)
    def seeded(self: ClearMLVisBackend) -> None:
        # without ClearML, mmengine's own message follows
        with suppress(ImportError):
            from clearml import Task

            Task.set_random_seed(None)
        init_env(self)

    ClearMLVisBackend._init_env = seeded
