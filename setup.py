"""What pyproject.toml cannot say; everything else is there.

Two things lie elsewhere in an installation than in the repository:
``mmreviewkd_mmcv_ops.pth`` lies in site-packages itself, where Python looks for
such files when it starts, and configs and tools lie in ``mmreviewkd/.mim``,
where mmengine and mim look for them.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PTH = 'mmreviewkd_mmcv_ops.pth'
MIM = ('configs', 'tools', 'model-index.yml')


class BuildPy(build_py):
    def run(self):
        if not self.editable_mode:
            # modules that the repository has lost since an earlier build
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if self.editable_mode:
            # what lies here gets into the editable wheel, and is uninstalled
            # with it; the package stays in the repository
            site_packages = self.get_finalized_command('install').install_lib
            place_mim(Path('mmreviewkd', '.mim'), link)
        else:
            site_packages = self.build_lib
            place_mim(Path(self.build_lib, 'mmreviewkd', '.mim'), copy)
        shutil.copy(PTH, site_packages)


def place_mim(folder, place):
    # what an earlier build has left, and the repository may have lost since
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in MIM:
        place(name, folder / name)


def copy(source, target):
    if os.path.isdir(source):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy2(source, target)


def link(source, target):
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except OSError:  # Windows asks for a privilege
        copy(source, target)


setup(cmdclass=dict(build_py=BuildPy))
