"""mmreviewkd_mmcv_ops, in Pythons that start with nothing else installed."""

import os
import shutil
import subprocess
import sys

import mmreviewkd_mmcv_ops
from tests.support.commands import process
from tests.support.paths import ROOT

import pytest

# what mmreviewkd does when it is imported
SERVES = """
import importlib.abc, importlib.machinery, sys, types

class Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return sys.modules['mmcv._ext']
    def exec_module(self, module):
        pass

sys.modules['mmcv._ext'] = served = types.ModuleType('mmcv._ext')
served.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', Loader())
served.nms = 'served'
"""


@pytest.fixture
def site_packages(tmp_path):
    """The finder, an mmcv without operators and an mmreviewkd that serves them."""
    for suffix in ('py', 'pth'):
        shutil.copy(ROOT / f'mmreviewkd_mmcv_ops.{suffix}', tmp_path)
    for name, source in (('mmcv', ''), ('mmreviewkd', SERVES)):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(source)
    return tmp_path


def start(site_packages, code, finder='1'):
    """What ``code`` prints in a new Python; the .pth runs as it does there."""
    # what reading a .pth imports of the standard library does not count
    other = site_packages / 'other'
    other.mkdir(exist_ok=True)
    (other / 'other.pth').write_text('import sys')
    code = f"""
import site, sys
site.addsitedir({str(other)!r})
before = set(sys.modules)
site.addsitedir({str(site_packages)!r})
started = sorted(set(sys.modules) - before)
{code}
"""
    result = subprocess.run(
        [sys.executable, '-I', '-S', '-c', code],
        env=dict(os.environ, MMREVIEWKD_FINDER=finder),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    return result.stdout.strip()


IMPORT = """
try:
    import mmcv._ext
except ImportError as error:
    print(type(error).__name__, error.name, error, repr(error.__cause__), sep='|')
else:
    print(mmcv._ext.nms, 'mmreviewkd' in sys.modules)
"""
ABSENT = "ModuleNotFoundError|mmcv._ext|No module named 'mmcv._ext'"


def test_operators_are_served_to_who_imports_mmcv_first(site_packages):
    assert start(site_packages, IMPORT) == 'served True'


def test_a_compiled_mmcv_is_never_replaced(site_packages):
    (site_packages / 'mmcv' / '_ext.py').write_text("nms = 'compiled'")
    assert start(site_packages, IMPORT) == 'compiled False'


def test_a_start_of_python_imports_the_finder_alone(site_packages):
    assert start(site_packages, 'print(started)') == "['mmreviewkd_mmcv_ops']"


@pytest.mark.parametrize(
    'value, answer', [('0', f'{ABSENT}|None'), ('1', 'served True')]
)
def test_opt_out(site_packages, value, answer):
    assert start(site_packages, IMPORT, value) == answer


@pytest.mark.parametrize(
    'error',
    ["ImportError('mmreviewkd needs mmdet >= 3.0')", "RuntimeError('of torch')"],
)
def test_an_mmreviewkd_that_cannot_be_imported(site_packages, error):
    (site_packages / 'mmreviewkd' / '__init__.py').write_text(f'raise {error}')
    reason = error.split("'")[1]
    assert start(site_packages, IMPORT) == (
        f'{ABSENT} (mmreviewkd cannot serve it: {reason})|{error}'
    )


def test_an_mmreviewkd_that_is_gone(site_packages):
    shutil.rmtree(site_packages / 'mmreviewkd')
    assert start(site_packages, IMPORT).startswith(
        f"{ABSENT} (mmreviewkd cannot serve it: No module named 'mmreviewkd')|"
    )


@pytest.mark.parametrize('stop', ['SystemExit', 'KeyboardInterrupt'])
def test_what_ends_a_program_is_let_through(site_packages, stop):
    (site_packages / 'mmreviewkd' / '__init__.py').write_text(f'raise {stop}')
    code = f'try: import mmcv._ext\nexcept {stop}: print("ended")'
    assert start(site_packages, code) == 'ended'


def test_a_pth_file_left_alone_is_silent(site_packages):
    (site_packages / 'mmreviewkd_mmcv_ops.py').unlink()
    assert start(site_packages, 'print(started)') == '[]'
    assert start(site_packages, IMPORT) == f'{ABSENT}|None'


def test_a_second_installation_changes_nothing(monkeypatch):
    monkeypatch.delenv('MMREVIEWKD_FINDER', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [])
    mmreviewkd_mmcv_ops.install()
    mmreviewkd_mmcv_ops.install()
    assert sys.meta_path == [mmreviewkd_mmcv_ops.ServedOperators]


def test_mmcv_imports_its_operators_before_mmreviewkd():
    # the packages that are installed here
    code = """
import sys
import mmreviewkd_mmcv_ops
mmreviewkd_mmcv_ops.install()
import torch
from mmcv.ops import nms
boxes = torch.tensor([[0., 0., 9., 9.], [0., 0., 9., 8.]])
print(nms(boxes, torch.tensor([0.1, 0.2]), 0.5)[1].tolist())
"""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        env=dict(os.environ, PYTHONPATH=str(ROOT), MMREVIEWKD_FINDER='1'),
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert result.stdout.splitlines()[-1:] == ['[1]'], result.stderr


def test_programs_that_import_mmdet_first_find_the_operators(tmp_path):
    code = (
        f'import site, sys; site.addsitedir({str(ROOT)!r});'
        'before = "mmreviewkd" in sys.modules;'
        'import mmcv.ops, mmdet.evaluation, mmcv._ext as ops;'
        'print(before, sys.modules["mmcv._ext"] is ops, ops.nms.__name__)'
    )
    (tmp_path / 'program.py').write_text(code)
    result = process('program.py', cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == 'False True nms'


def test_a_folder_that_hides_the_package(tmp_path):
    (tmp_path / 'mmreviewkd').mkdir()
    code = f"""
import runpy, sys
sys.path.insert(0, {str(tmp_path)!r})
finder = runpy.run_path({str(ROOT / 'mmreviewkd_mmcv_ops.py')!r})['ServedOperators']
finder.find_spec('mmcv._ext', None)
"""
    # without site-packages, so that nothing else is found
    done = subprocess.run(
        [sys.executable, '-I', '-S', '-c', code], capture_output=True, text=True
    )
    assert done.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: No module named 'mmcv._ext' (mmreviewkd cannot serve it: "
        f'{tmp_path / "mmreviewkd"} hides the package: run Python elsewhere)'
    )
