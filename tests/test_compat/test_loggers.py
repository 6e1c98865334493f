"""Pictures of any name reach MLflow, and ClearML leaves the seed alone."""

import sys
from types import SimpleNamespace

from mmreviewkd.compat import mend_loggers

import numpy as np
import pytest
from mmengine.visualization import ClearMLVisBackend, MLflowVisBackend


@pytest.mark.parametrize(
    'name, file',
    [
        ('review_0', 'review_0_3.png'),
        # names of images have dots, which begin no extension
        ('review_a_jpg.rf.9b3c', 'review_a_jpg.rf.9b3c_3.png'),
        ('img.png', 'img.png'),
        ('img.JPG', 'img.JPG'),
    ],
)
def test_a_picture_is_a_file_that_pillow_can_write(name, file):
    mend_loggers()
    mend_loggers()
    logged = []
    backend = MLflowVisBackend('unused')
    backend._env_initialized = True
    backend._mlflow = SimpleNamespace(log_image=lambda *args: logged.append(args))
    image = np.zeros((2, 2, 3), np.uint8)
    backend.add_image(name, image, 3)
    ((given, path),) = logged
    assert given is image and path == file


def test_clearml_sets_no_seed(monkeypatch):
    mend_loggers()
    calls = []
    task = SimpleNamespace(
        set_random_seed=lambda seed: calls.append(seed),
        init=lambda **kwargs: calls.append('init') or task,
        get_logger=lambda: None,
    )
    monkeypatch.setitem(sys.modules, 'clearml', SimpleNamespace(Task=task))
    ClearMLVisBackend()._init_env()
    assert calls == [None, 'init']
    monkeypatch.setitem(sys.modules, 'clearml', None)
    with pytest.raises(ImportError, match='pip install clearml'):
        ClearMLVisBackend()._init_env()
