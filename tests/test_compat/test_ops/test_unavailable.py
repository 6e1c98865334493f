"""What is said of an operator that nothing serves."""

from importlib.metadata import PackageNotFoundError

from mmreviewkd.compat.ops import unavailable as module

import pytest


@pytest.mark.parametrize(
    'installed, command',
    [
        ('mmcv', "pip install -U openmim && mim install 'mmcv>=2.0.0,<2.2.0'"),
        (
            'onedl-mmcv',
            "pip install -U onedl-mim && mim install 'onedl-mmcv>=2.3,<3.0'",
        ),
    ],
)
def test_the_mmcv_of_the_stack_in_use(installed, command, monkeypatch):
    def version(name):
        if name != installed:
            raise PackageNotFoundError(name)
        return '2'

    monkeypatch.setattr(module, 'version', version)
    with pytest.raises(NotImplementedError) as error:
        module.unavailable('ball_query')
    assert str(error.value).startswith('mmcv operator "ball_query" is not available')
    assert f'"{command}"' in str(error.value)
