"""One line for the user, the traceback in the log; faults of ours pass."""

import errno
import os
import signal
from collections import OrderedDict
from email.message import Message
from urllib.error import HTTPError

from mmreviewkd.engine.one_line_errors import one_line_errors, resumable
from mmreviewkd.errors import UserInputError
from tests.support.commands import call

import pytest
import torch
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader, Dataset


def end(error, debug=False):
    """What the program ends with."""
    with pytest.raises(SystemExit) as stop, one_line_errors(debug):
        raise error
    return stop.value.code


class Failing(Dataset):
    def __init__(self, error=None):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise self.error


def load(dataset):
    iterator = iter(DataLoader(dataset, num_workers=1))
    try:
        next(iterator)
    finally:  # the garbage collector would wait 5 seconds for the worker
        iterator._shutdown_workers()


@pytest.mark.parametrize(
    'error, expected',
    [
        (UserInputError('no such key: a'), 'error: no such key: a'),
        (FloatingPointError('nan at stride 8'), 'error: nan at stride 8'),
        (
            OSError(errno.ENOSPC, 'No space left on device', 'a.pth'),
            "error: [Errno 28] No space left on device: 'a.pth'; whatever checkpoint "
            'is there is whole',
        ),
        (
            OSError(errno.EROFS, 'Read-only file system', 'a.pth'),
            "error: [Errno 30] Read-only file system: 'a.pth'; whatever checkpoint "
            'is there is whole',
        ),
        (
            OSError(errno.ENOSPC, 'No space left on device', 'train.json'),
            "error: [Errno 28] No space left on device: 'train.json'",
        ),
        (
            FileExistsError(errno.EEXIST, 'File exists', 'a'),
            "error: [Errno 17] File exists: 'a'",
        ),
        (
            PermissionError(errno.EACCES, 'Permission denied', 'a.pth'),
            "error: [Errno 13] Permission denied: 'a.pth'",
        ),
        (
            RuntimeError(
                '[gloo/transport/tcp/pair.cc:545] Read error [::1]:7360: '
                'Connection reset by peer'
            ),
            'error: another process of this run has ended, and this one cannot go on '
            "without it; the other's own last line says why",
        ),
        (
            torch.cuda.OutOfMemoryError(
                'CUDA out of memory. Tried to allocate 2.00 '
                'GiB. GPU 0 has a total capacity of 79 GiB.'
            ),
            'error: CUDA out of memory. Tried to allocate 2.00 GiB. Smaller batches '
            '(--cfg-options train_dataloader.batch_size=...), --amp or fewer levels '
            '(model.strides=...) need less',
        ),
    ],
)
def test_one_line(error, expected):
    assert end(error) == expected


def test_ctrl_c(capsys):
    assert end(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == 'interrupted\n'
    assert end(KeyboardInterrupt('go on by --resume')) == 130
    assert capsys.readouterr().err == 'interrupted; go on by --resume\n'


def test_ctrl_c_that_another_error_hides(capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors(), resumable():
        try:
            raise KeyboardInterrupt
        except:  # noqa: E722, as mmengine does
            raise SyntaxError('Failed to format the config file')  # noqa: B904
    assert stop.value.code == 130
    assert capsys.readouterr().err == (
        'interrupted; the same command with --resume goes on from the last checkpoint\n'
    )


@pytest.mark.parametrize(
    'error',
    [
        ValueError('a fault'),
        FileNotFoundError('a message that may not name the file'),
        # with an id of its own: pytest asks it for a name, and Python 3.9 raises then
        pytest.param(
            HTTPError('https://a', 404, 'Not Found', Message(), None), id='404'
        ),
        RuntimeError(
            'DataLoader worker (pid 7) is killed by signal: Segmentation fault. '
        ),
    ],
)
def test_other_errors_pass(error):
    with pytest.raises(type(error)), one_line_errors():
        raise error


def test_a_workers_error_is_its_own_line():
    with pytest.raises(SystemExit) as stop, one_line_errors():
        load(Failing(UserInputError('a.png: is no image')))
    assert stop.value.code == 'error: a.png: is no image'


@pytest.mark.parametrize(
    'end',
    [
        'is killed by signal: Killed',
        'is killed by signal: Bus error',
        'exited unexpectedly',
        None,
    ],
)
def test_a_worker_that_was_killed(end):
    with pytest.raises(SystemExit) as stop, one_line_errors():
        if end:  # torch's words
            raise RuntimeError(f'DataLoader worker (pid(s) 7, 8) {end}. ')
        load(Failing())
    message = stop.value.code
    assert message.startswith('error: DataLoader worker (pid')
    assert end is None or end in message
    assert message.endswith(
        ': the machine has probably run out of memory, or its /dev/shm is too '
        'small. Fewer workers or smaller batches need less: --cfg-options '
        'train_dataloader.num_workers=... train_dataloader.batch_size=...'
    )


def fail():
    try:
        os.stat('missing')
    except FileNotFoundError:
        raise UserInputError('missing is not there') from None


def test_the_log_has_the_traceback_with_its_cause(tmp_path, monkeypatch, capsys):
    log = tmp_path / 'run.log'
    # a logger of this test alone: its stdout ends with it
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
    logger = MMLogger.get_instance('with_file', log_file=str(log))
    with pytest.raises(SystemExit), one_line_errors():
        fail()
    for handler in logger.handlers:
        handler.flush()
    text = log.read_text()
    assert "os.stat('missing')" in text and 'FileNotFoundError' in text
    assert text.rstrip().endswith('UserInputError: missing is not there')
    output = capsys.readouterr()
    assert 'Traceback' not in output.out + output.err
    with pytest.raises(SystemExit) as stop, one_line_errors(debug=True):
        fail()
    assert stop.value.code == 'error: missing is not there'
    assert "os.stat('missing')" in capsys.readouterr().err


@pytest.mark.parametrize(
    'tool, arguments',
    [
        ('train', ['none.py']),
        ('test', ['none.py', 'none.pth']),
        (
            'distill',
            ['none.py', '--teacher', 'none.py', '--teacher-checkpoint', 'none.pth'],
        ),
        ('check_teacher', ['none.py']),
        ('visualize_review', ['none.py', 'none.pth']),
        ('compare_runs', ['none']),
        ('export_student', ['none.pth', 'out.pth']),
        ('convert', ['none', 'out.json', '--classes', 'a']),
    ],
)
def test_every_tool_shows_the_traceback_when_asked(
    tmp_path, monkeypatch, capsys, tool, arguments
):
    monkeypatch.chdir(tmp_path)
    # a logger of this test alone: that of another test writes to its closed stdout
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
    for flags in ([], ['--debug']):
        assert call(tool, *arguments, *flags).startswith('error: ')
        assert ('Traceback' in capsys.readouterr().err) == bool(flags)
    assert not list(tmp_path.glob('out*'))
