import os.path as osp
import sys
import sysconfig

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def requirements(name):
    return [
        line
        for line in read(f'requirements/{name}.txt').splitlines()
        if line and not line.startswith('#')
    ]


# relative to the prefix, which is where setuptools puts data files
site_packages = osp.relpath(sysconfig.get_path('purelib'), sys.prefix)


class BuildPy(build_py):
    """Editable installs leave data files out unless asked."""

    def run(self):
        super().run()
        if self.editable_mode:
            self.run_command('install_data')


version = {}
exec(read('mmreviewkd/version.py'), version)

setup(
    name='mmreviewkd',
    version=version['__version__'],
    description='Review-KD (CVPR 2021) for MMDetection 3.x',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['mmreviewkd', 'mmreviewkd.*']),
    data_files=[]
    if site_packages.startswith('..')
    else [(site_packages, ['mmreviewkd_mmcv_ops.pth'])],
    cmdclass=dict(build_py=BuildPy),
    python_requires='>=3.9',
    install_requires=requirements('runtime'),
    # never one stack over the other: a stack comes on demand alone
    extras_require={
        name: requirements(name) for name in ('openmmlab', 'onedl', 'tests', 'optional')
    },
)
