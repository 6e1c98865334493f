"""A logger that cannot log is named in one line."""

import sys

from mmreviewkd.engine.loggers import check_loggers, logger_error
from mmreviewkd.errors import UserInputError
from tests.support.commands import call

import pytest
from mmengine.config import Config
from mmengine.visualization import WandbVisBackend


def config(*backends):
    return Config(dict(visualizer=dict(vis_backends=[*backends])))


@pytest.mark.parametrize(
    'name, package',
    [
        ('TensorboardVisBackend', 'tensorboard'),
        ('mmengine.MLflowVisBackend', 'mlflow'),
        ('ClearMLVisBackend', 'clearml'),
        ('AimVisBackend', 'aim'),
        (WandbVisBackend, 'wandb'),
    ],
)
def test_a_package_that_is_not_installed(name, package, monkeypatch):
    # how a package is hidden from Python's import
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserInputError) as error:
        check_loggers(config(dict(type='LocalVisBackend'), dict(type=name)))
    kind = name if isinstance(name, str) else name.__name__
    assert str(error.value) == (
        f'the logger {kind.rpartition(".")[2]} in visualizer.vis_backends needs the '
        f'package {package}, which is not installed: pip install {package}'
    )


def test_others_are_left_alone():
    check_loggers(Config(dict()))
    for visualizer in (None, 'mine', dict(), dict(vis_backends='mine')):
        check_loggers(Config(dict(visualizer=visualizer)))
    check_loggers(config('WandbVisBackend'))
    check_loggers(config())
    check_loggers(config(dict(type='LocalVisBackend'), dict(type='MyVisBackend')))


def test_in_a_run_before_it_starts(project, monkeypatch):
    monkeypatch.setitem(sys.modules, 'wandb', None)
    for name, message in (
        ('WandbVisBackend', 'which is not installed: pip install wandb'),
        ('WandVisBackend', 'near names: WandbVisBackend'),
    ):
        line = call(
            'train',
            project / 'distil.py',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            f'visualizer.vis_backends.0.type={name}',
        )
        assert line.startswith('error: ') and message in line
        assert '\n' not in line
    assert not list(project.glob('run/*.pth'))


def error_of(package, message):
    kind = type('ItsError', (Exception,), dict(__module__=f'{package}.errors'))
    return kind(message)


def test_what_a_loggers_package_says():
    assert logger_error(error_of('wandb', 'No API key\nconfigured.')) == (
        'logger wandb: No API key configured.; to log into files, without account or '
        'network: WANDB_MODE=offline in the environment'
    )
    assert logger_error(error_of('mlflow', 'set X=true')) == 'logger mlflow: set X=true'
    assert logger_error(error_of('wandbery', 'no')) is None
    assert logger_error(ValueError('no')) is None
