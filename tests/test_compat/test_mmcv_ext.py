"""The module that stands in for mmcv's extension, in processes of its own."""

import json
import subprocess
import sys

import pytest


def run_python(code):
    """Last line that ``code`` prints, as JSON, and what it prints before."""
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    *log, last = result.stdout.splitlines()
    return json.loads(last), '\n'.join(log) + result.stderr


@pytest.fixture(scope='module')
def without_extension():
    """What happens in a process where mmcv has no compiled operators."""
    return run_python("""
import sys
sys.modules['mmcv._ext'] = None  # makes its import fail
from mmreviewkd.compat import ensure_mmcv_ops
first = ensure_mmcv_ops()
extension = sys.modules['mmcv._ext']
again = ensure_mmcv_ops()

import mmdet.models
import mmcv.ops
import torch
from mmcv.utils import ext_loader
ext_loader.load_ext('_ext', ['nms', 'carafe_forward', 'no_such_operator'])

errors = {}
for name, call in dict(
        ball_query=lambda: mmcv.ops.ball_query(
            0, 1, 2, torch.zeros(1, 3, 3), torch.zeros(1, 2, 3)),
        border_align=lambda: mmcv.ops.border_align(
            torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 4), 1),
        info=mmcv.ops.get_compiler_version).items():
    try:
        errors[name] = call()
    except NotImplementedError as error:
        errors[name] = str(error)

import json
print(json.dumps(dict(
    first=first, again=again,
    same=sys.modules['mmcv._ext'] is extension,
    attribute=mmcv._ext is extension,
    exists=ext_loader.check_ops_exist(),
    dunder=hasattr(extension, '__path__'),
    kept=mmcv.ops.nms(torch.tensor([[0., 0., 9., 9.], [0., 0., 9., 8.]]),
                      torch.tensor([0.1, 0.2]), 0.5)[1].tolist(),
    errors=errors)))
""")


def test_mmdet_imports_and_operators_work(without_extension):
    result, _ = without_extension
    assert result['first'] == 'torchvision'
    assert result['kept'] == [1]
    # mmcv's own checks find the module and any operator in it
    assert result['exists'] and result['attribute']
    # but the import system must not take it for a package
    assert not result['dunder']


def test_a_second_call_changes_nothing(without_extension):
    result, log = without_extension
    assert result['again'] == 'torchvision' and result['same']
    assert log.count('mmcv operators: torchvision kernels') == 1


def test_the_log_says_what_serves_and_why(without_extension):
    _, log = without_extension
    (line,) = (line for line in log.splitlines() if 'mmcv operators' in line)
    assert 'torchvision kernels (' in line
    assert 'mmcv._ext' in line  # the import error
    assert 'raises when called' in line


@pytest.mark.parametrize('name', ['ball_query', 'border_align'])
def test_an_operator_that_is_not_served(without_extension, name):
    message = without_extension[0]['errors'][name]
    assert f'mmcv operator "{name}_forward" is not available' in message
    assert 'no compiled operators' in message
    assert 'mim install' in message


def test_compiler_versions_say_that_there_is_none(without_extension):
    assert without_extension[0]['errors']['info'].startswith('none')


def test_a_working_extension_is_left_untouched():
    result, log = run_python("""
import json, sys, types
fake = sys.modules['mmcv._ext'] = types.ModuleType('mmcv._ext')
from mmreviewkd.compat import ensure_mmcv_ops
served = ensure_mmcv_ops()
print(json.dumps([served, sys.modules['mmcv._ext'] is fake, vars(fake).keys()
                  == vars(types.ModuleType('mmcv._ext')).keys()]))
""")
    assert result == ['mmcv', True, True]
    assert "mmcv operators: mmcv's own compiled ones" in log


def test_an_extension_of_another_torch_is_replaced():
    # such a library exists, and fails to load
    result, log = run_python("""
import json, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'mmcv._ext':
            raise ImportError('_ext.so: undefined symbol: _ZN2at4_ops')

sys.meta_path.insert(0, Finder)
from mmreviewkd.compat import ensure_mmcv_ops
served = ensure_mmcv_ops()
import mmcv.ops
print(json.dumps(served))
""")
    assert result == 'torchvision'
    assert '(_ext.so: undefined symbol: _ZN2at4_ops)' in log
