"""A run, for the commands that take its checkpoints."""

from tests.support.commands import call
from tests.support.project import write_project

import pytest


@pytest.fixture(scope='session')
def run(tmp_path_factory, coco, teachers):
    """A user's folder, and in it the work dir of a distillation of two epochs."""
    project = write_project(tmp_path_factory.mktemp('run'), coco, teachers)
    work_dir = project / 'run'
    # a visualizer of this name is no earlier run's
    options = ('--cfg-options', 'visualizer.name=run')
    assert (
        call('train', project / 'distil.py', '--work-dir', work_dir, *options) is None
    )
    return project, work_dir
