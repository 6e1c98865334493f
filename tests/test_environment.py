"""What is said where a package is missing or of another version."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

from mmreviewkd import environment

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = sorted((ROOT / 'tools').glob('**/*.py'))
ONEDL = dict(
    mmengine=None,
    mmcv=None,
    mmdet=None,
    onedl_mmengine='0.10.12',
    onedl_mmcv='2.3.6',
    onedl_mmdetection='3.5.1',
)
VERSIONS = dict(
    torch='2.1.2+cu121',
    torchvision='0.16.2',
    mmengine='0.10.7',
    mmcv='2.1.0',
    mmdet='3.3.0',
    setuptools='80.10.2',
)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes one with other versions; mmengine's source as of 0.10.7."""

    def make(has_pkg_resources=True, mentions='import pkg_resources', **versions):
        installed = {
            **VERSIONS,
            **{name.replace('_', '-'): found for name, found in versions.items()},
        }
        (tmp_path / 'utils').mkdir(exist_ok=True)
        (tmp_path / 'utils' / 'package_utils.py').write_text(mentions)
        # as mmdet 3.3.0; OneDL's says nothing of it
        (tmp_path / '__init__.py').write_text(
            "mmcv_maximum_version = '2.2.0'" if installed['mmdet'] else ''
        )

        def version(name):
            if installed.get(name) is None:
                raise PackageNotFoundError(name)
            return installed[name]

        def find_spec(name):
            if name == 'pkg_resources':
                return has_pkg_resources or None
            return SimpleNamespace(submodule_search_locations=[str(tmp_path)])

        monkeypatch.setattr(environment, 'version', version)
        monkeypatch.setattr(environment, 'find_spec', find_spec)

    return make


@pytest.mark.parametrize(
    'versions',
    [
        dict(),
        dict(mmcv=None, mmcv_lite='2.0.1'),
        dict(mmengine=None, mmengine_lite='0.10.7'),
        dict(
            ONEDL,
            has_pkg_resources=False,
            mentions='import importlib.metadata',
            setuptools=None,
        ),
        dict(torch='2.14.0', setuptools='81.0.0'),
        dict(torch='2.1.0rc1'),
        dict(mmcv='2.2.0rc1'),
    ],
)
def test_what_works(machine, versions):
    machine(**versions)
    environment.check_environment()


@pytest.mark.parametrize(
    'versions, message',
    [
        (
            dict(mmdet=None),
            'mmreviewkd needs mmdet: pip install "mmreviewkd[openmmlab]" or '
            '"mmreviewkd[onedl]"; see "Installation" in README.md',
        ),
        (
            dict(mmdet=None, mmcv=None, mmengine=None),
            'mmreviewkd needs mmengine: pip install "mmreviewkd[openmmlab]" or',
        ),
        (dict(ONEDL, onedl_mmcv=None), 'mmreviewkd needs mmcv: pip install'),
        # both stacks, and OneDL's mmdet with OpenMMLab's mmcv
        (
            dict(ONEDL, mmcv='2.1.0', mmengine='0.10.7', mmdet='3.3.0'),
            'lie over each other under the same import names: mmengine 0.10.7, mmcv '
            '2.1.0, mmdet 3.3.0; onedl-mmengine 0.10.12, onedl-mmcv 2.3.6, '
            'onedl-mmdetection 3.5.1. Remedy: pip uninstall all of them',
        ),
        (dict(ONEDL, onedl_mmcv=None, mmcv='2.1.0'), 'mmcv 2.1.0; onedl-mmengine'),
        (
            dict(ONEDL, onedl_mmdetection='4.0.0'),
            'mmreviewkd needs mmdet >= 3.0, < 4.0, found 4.0.0',
        ),
        (
            dict(mmcv_lite='2.1.0'),
            'mmcv 2.1.0 and mmcv-lite 2.1.0 lie over each other as mmcv. Remedy: pip',
        ),
        (
            dict(mmengine=None, mmcv=None, mmcv_full='1.7.2', mmdet='2.28.2'),
            'mmcv-full 1.7.2 is for mmdet 2, and mmreviewkd for mmdet 3: install it',
        ),
        (dict(torchvision=None), 'mmreviewkd needs torchvision'),
        (dict(torch='1.13.1'), 'mmreviewkd needs torch >= 2.1, found 1.13.1'),
        (dict(mmcv='2.2.0'), 'mmdet 3.3.0 takes mmcv < 2.2.0, found 2.2.0'),
        (
            dict(setuptools='82.0.0', has_pkg_resources=False),
            'mmengine 0.10.7 needs pkg_resources, which setuptools has before 82; '
            'found setuptools 82.0.0. Remedy: pip install "setuptools<81"',
        ),
        (dict(setuptools=None, has_pkg_resources=False), 'found no setuptools.'),
    ],
)
def test_what_does_not(machine, versions, message):
    machine(**versions)
    with pytest.raises(ImportError) as error:
        environment.check_environment()
    assert message in str(error.value)


@pytest.mark.parametrize(
    'error, reason',
    [
        (
            RuntimeError('operator torchvision::nms does not exist\n...'),
            'operator torchvision::nms does not exist',
        ),
        (OSError('libcudart.so.12: cannot open'), 'libcudart.so.12: cannot open'),
        (AttributeError(), 'AttributeError'),
    ],
)
def test_a_torchvision_of_another_torch(error, reason, machine, monkeypatch):
    machine()

    def import_module(name):
        raise error

    monkeypatch.setattr(environment.importlib, 'import_module', import_module)
    with pytest.raises(ImportError) as raised:
        environment.check_environment()
    assert str(raised.value).startswith(
        'torchvision 0.16.2 does not belong to torch 2.1.2+cu121 '
        f'({reason}). Remedy: install the two together'
    )


def test_ctrl_c_while_a_tool_imports(tmp_path):
    """As it is typed while torch is imported."""
    (tmp_path / 'torchvision.py').write_text(
        'import os, signal; os.kill(os.getpid(), signal.SIGINT)'
    )
    result = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'train.py', 'x.py'],
        text=True,
        env=dict(PYTHONPATH=f'{tmp_path}:{ROOT}'),
        capture_output=True,
    )
    assert (result.returncode, result.stderr) == (130, 'interrupted\n')


def test_an_old_python(machine, monkeypatch):
    machine()
    monkeypatch.setattr(environment.sys, 'version_info', (3, 8, 18))
    with pytest.raises(ImportError, match='needs Python >= 3.9, found 3'):
        environment.check_environment()


# OneDL's mmengine asks for no pkg_resources
needs_setuptools = pytest.mark.skipif(
    environment._installed('mmengine') is None,
    reason='this mmengine asks for no pkg_resources',
)

# in one process: none of them gets as far as to import torch
ALL_TOOLS = """
import importlib.metadata, runpy, sys
{fault}
for tool in sys.argv[1:]:
    try:
        runpy.run_path(tool, run_name='__main__')
    except SystemExit as stop:
        print(stop.code)
assert 'torch' not in sys.modules
import mmreviewkd
"""
NO_SETUPTOOLS = "sys.modules['pkg_resources'] = None"
NO_MMDET = """
version = importlib.metadata.version
def fake(name):
    if name in ('mmdet', 'onedl-mmdetection'):
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = fake
"""


@pytest.mark.parametrize(
    'fault, message, tools',
    [
        pytest.param(
            NO_SETUPTOOLS, 'needs pkg_resources', TOOLS, marks=needs_setuptools
        ),
        (NO_MMDET, 'mmreviewkd needs mmdet', TOOLS[-2:]),
    ],
)
def test_tools_end_in_one_line_and_python_gets_an_import_error(
    fault, message, tools, tmp_path
):
    (tmp_path / 'all.py').write_text(ALL_TOOLS.format(fault=fault))
    result = subprocess.run(
        [sys.executable, 'all.py', *map(str, tools)],
        cwd=tmp_path,
        text=True,
        env=dict(PYTHONPATH=f'{ROOT}:{ROOT / "tools"}'),
        capture_output=True,
    )
    lines = result.stdout.splitlines()
    assert len(lines) == len(tools) > 1
    for line in lines:
        assert line.startswith('error: ') and message in line
    # the last line of the program, as any user's
    assert result.returncode == 1
    assert f'ImportError: {lines[0][7:]}' in result.stderr


@needs_setuptools
@pytest.mark.parametrize(
    'program', [[ROOT / 'tools' / 'train.py'], ['-m', 'mmreviewkd', 'train']]
)
def test_exit_code(program, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(f'import sys; {NO_SETUPTOOLS}')
    result = subprocess.run(
        [sys.executable, *program, 'x.py'],
        text=True,
        env=dict(PYTHONPATH=f'{tmp_path}:{ROOT}'),
        capture_output=True,
    )
    assert result.returncode == 1 and result.stdout == ''
    assert result.stderr.startswith('error: mmengine ')
    assert result.stderr.count('\n') == 1
