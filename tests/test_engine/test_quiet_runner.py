"""What the Runner keeps from the console, and writes into the file."""

import logging

from mmreviewkd.engine.quiet_runner import QuietRunner

import pytest


@pytest.fixture
def log(tmp_path, capsys):
    """Log as a runner does, and return what is on the console and in the file."""
    runner = QuietRunner.__new__(QuietRunner)
    runner._experiment_name = str(tmp_path)

    def call(*messages):
        logger = runner.build_logger(log_file=str(tmp_path / 'a.log'))
        capsys.readouterr()
        for message in messages:
            logger.info(message)
        for handler in logger.handlers:
            handler.flush()
        out = capsys.readouterr()
        return out.out + out.err, (tmp_path / 'a.log').read_text()

    yield call
    logging.getLogger(str(tmp_path)).handlers.clear()


@pytest.mark.parametrize(
    'message',
    [
        f'\n{"-" * 60}\nSystem environment:\n    sys.platform: linux',
        'Config:\nmodel = dict()',
        'Hooks will be executed in the following order:\nbefore_run:',
        '"FileClient" will be deprecated in future. Please use io functions',
    ],
)
def test_kept_from_the_console(log, message):
    console, file = log(message, 'a teacher')
    assert 'a teacher' in console and message not in console
    assert 'a teacher' in file and message in file


def test_everything_else_is_shown(log):
    console, file = log('The Config: is elsewhere', 'Epoch(train) [1][1/2]')
    assert console.count('\n') == file.count('\n') == 2
