"""Fixtures that all tests share, and the mark of those in docs/robustness.md."""

import os

# two threads on small maps only get in each other's way
os.environ.setdefault('OMP_NUM_THREADS', '1')

import mmreviewkd  # noqa: F401
from tests.support.coco import write_coco
from tests.support.detectors import BASES, save_weights, tiny_detector
from tests.support.project import write_project
from tests.support.remembered import remember
from tests.support.robustness_page import named_tests

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.visualization import DetLocalVisualizer
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Mark the tests that docs/robustness.md names."""
    named = set(named_tests())
    for item in items:
        function = getattr(item, 'originalname', None)
        if {(item.path, function), (item.path, None)} & named:
            item.add_marker('faults')


@pytest.fixture(scope='session', autouse=True)
def remembered():
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmdet')
    # a visualizer of an earlier test's run would be taken for this one's
    for kind in (Visualizer, DetLocalVisualizer):
        kind._instance_dict.clear()
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def teachers(tmp_path_factory):
    """``{family: dict(config, checkpoint)}`` of tiny trained teachers."""
    init_default_scope('mmdet')
    folder = tmp_path_factory.mktemp('teachers')
    return {
        family: dict(config=cfg, checkpoint=save_weights(cfg, folder / f'{family}.pth'))
        for family in BASES
        for cfg in [tiny_detector(family, 6, 12)]
    }


@pytest.fixture
def distiller(teachers):
    """Builds a ReviewKD of tiny detectors; arguments replace parts of it."""

    def build(family='faster_rcnn', teacher_family=None, **replaced):
        cfg = dict(
            type='ReviewKD',
            student=tiny_detector(family),
            teacher=teachers[teacher_family or family],
            review=dict(weight=1.0),
        )
        cfg.update(replaced)
        return MODELS.build(cfg)

    return build


@pytest.fixture(scope='session')
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('coco'))


@pytest.fixture
def project(tmp_path, coco, teachers):
    """The folder of a user, see :func:`write_project`."""
    return write_project(tmp_path, coco, teachers)
