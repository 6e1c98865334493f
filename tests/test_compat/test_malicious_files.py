"""Whatever a file holds, it is refused by name, and nothing happens.

Each file is opened in a process of its own, since some attacks would end it.
"""

import faulthandler
import os
import runpy
import sys
import zipfile

from mmreviewkd.compat import load_from_local
from mmreviewkd.engine.random_state import random_state
from mmreviewkd.engine.resume_hook import _check_resumable
from mmreviewkd.errors import UserInputError
from tests.malicious import FILES, HARM
from tests.test_tools.test_entry_points import ROOT

import pytest
import torch


def outcome_of(function, output):
    """Exit status of a forked process, negative for a signal."""
    process = os.fork()
    if not process:
        faulthandler.disable()
        sys.stdout = sys.stderr = stream = open(output, 'w')  # noqa: SIM115
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            function()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            print(stop.code)
        except BaseException as error:
            code = 99
            print(f'{type(error).__name__}: {error}')
        stream.flush()
        os._exit(code)
    _, status = os.waitpid(process, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def tool(name, *args):

    def run():
        sys.argv = [name, *map(str, args)]
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')

    return run


WAYS = dict(
    export=lambda path: tool('export_student', path, 'out.pth'),
    teacher=lambda path: tool(
        'train',
        'distil.py',
        '--work-dir',
        'run',
        '--cfg-options',
        f'model.teacher.checkpoint={path}',
    ),
    load_from=lambda path: tool(
        'train', 'plain.py', '--work-dir', 'run', '--cfg-options', f'load_from={path}'
    ),
    resume=lambda path: tool(
        'train', 'plain.py', '--work-dir', 'run', '--resume', path
    ),
)


def attack(project, monkeypatch, way, kind):
    monkeypatch.chdir(project)
    named, write = FILES[kind]
    path = project / f'{kind}.pth'
    write(path)
    before = set(project.iterdir())
    code = outcome_of(WAYS[way](path), 'output')
    said = (project / 'output').read_text().splitlines()[-1]
    assert code == 1, (code, said)
    assert said.startswith(f'error: checkpoint {path} ') and named in said
    assert set(project.iterdir()) - before <= {project / 'output', project / 'run'}
    assert not list(project.glob('run/**/*.pth'))
    assert not (project / HARM).exists()


@pytest.mark.parametrize('kind', FILES)
def test_export_refuses(project, monkeypatch, kind):
    attack(project, monkeypatch, 'export', kind)


@pytest.mark.slow
@pytest.mark.parametrize('way', ['teacher', 'load_from', 'resume'])
@pytest.mark.parametrize('kind', FILES)
def test_training_refuses(project, monkeypatch, way, kind):
    attack(project, monkeypatch, way, kind)


def test_there_are_enough():
    assert len(FILES) >= 30


def test_the_worst_would_do_harm(tmp_path, monkeypatch):
    # or the tests above would show nothing
    monkeypatch.chdir(tmp_path)
    import pickle

    FILES['system'][1](tmp_path / 'system.pth')
    content = zipfile.ZipFile('system.pth').read('archive/data.pkl')
    assert outcome_of(lambda: pickle.loads(content), 'output') == 0
    assert (tmp_path / HARM).exists()
    FILES['array_called'][1](tmp_path / 'array.pth')
    content = zipfile.ZipFile('array.pth').read('archive/data.pkl')
    assert outcome_of(lambda: print(pickle.loads(content)), 'output') < 0


def test_a_config_in_a_checkpoint_is_not_run(project, monkeypatch):
    # mmengine's resume runs what mmdet 2.x kept in meta.config
    monkeypatch.chdir(project)
    train = tool(
        'train',
        'plain.py',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    assert outcome_of(train, 'output') == 0
    content = load_from_local('run/epoch_1.pth')
    content['meta']['config'] = f'open("{HARM}", "w").close()'
    torch.save(content, 'evil.pth')
    resume = tool('train', 'plain.py', '--work-dir', 'run', '--resume', 'evil.pth')
    assert outcome_of(resume, 'output') == 0
    assert 'resumed epoch: 1' in (project / 'output').read_text()
    assert (project / 'run' / 'epoch_2.pth').exists()
    assert not (project / HARM).exists()


def resumed_with(project, monkeypatch, change, *options):
    """Exit code and last line of a resume from a run's changed checkpoint."""
    monkeypatch.chdir(project)
    train = tool(
        'train',
        'plain.py',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    if not (project / 'run').exists():
        assert outcome_of(train, 'output') == 0
    content = load_from_local('run/epoch_1.pth')
    change(content)
    torch.save(content, 'evil.pth')
    code = outcome_of(
        tool(
            'train', 'plain.py', '--work-dir', 'run', '--resume', 'evil.pth', *options
        ),
        'output',
    )
    return code, (project / 'output').read_text()


def test_a_resumed_run_removes_nothing_but_its_own(project, monkeypatch):
    # mmengine removes the file or folder that the checkpoint calls the best
    victim = project / 'victim'
    (victim / 'sub').mkdir(parents=True)

    def change(content):
        hub = content['message_hub']
        hub['runtime_info'].update(best_ckpt=str(victim), best_score=-5.0)
        hub['resumed_keys'].update(best_ckpt=True, best_score=True)

    code, said = resumed_with(
        project,
        monkeypatch,
        change,
        '--cfg-options',
        'default_hooks.checkpoint.save_best=coco/bbox_mAP',
    )
    assert code == 0 and (victim / 'sub').exists()
    assert "has a best_ckpt that is none of this run's" in said
    assert list((project / 'run').glob('best_*.pth'))


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda c: c['random_states'][0].update(
                numpy=('MT19937', list(range(624)), 10**8, 0, 0.0)
            ),
            'state of numpy',
        ),
        (
            lambda c: c['random_states'][0].update(
                torch=torch.full((5056,), 255, dtype=torch.uint8)
            ),
            'state of torch',
        ),
        (
            lambda c: c['random_states'][0].update(python=(3, (1,), None)),
            'state of python',
        ),
        (lambda c: c.update(random_states=7), 'its random_states is not what'),
        (lambda c: c['meta'].update(epoch='x'), 'its meta.epoch is not what'),
        (lambda c: c['meta'].update(seed=-1), 'its meta.seed is not what'),
        (lambda c: c['meta'].update(data=3), 'its meta.data is not what'),
        (lambda c: c.update(message_hub=3), 'its message_hub is not what'),
        (lambda c: c.update(optimizer=3), 'its optimizer is not what'),
    ],
)
def test_what_a_run_would_not_save_is_not_resumed(change, message):
    content = dict(
        optimizer={},
        message_hub={},
        random_states=[random_state()],
        meta=dict(epoch=1, iter=2, seed=0),
    )
    _check_resumable(content, content['meta'])
    change(content)
    with pytest.raises(UserInputError, match=message):
        _check_resumable(content, content['meta'])


def test_nothing_is_changed_by_a_refused_file(tmp_path):
    from mmengine.logging import HistoryBuffer

    HistoryBuffer()  # which registers its statistics
    statistics = dict(HistoryBuffer._statistics_methods)
    for kind in ('history_with_methods', 'history_class_changed'):
        FILES[kind][1](tmp_path / 'evil.pth')
        with pytest.raises(UserInputError):
            load_from_local(str(tmp_path / 'evil.pth'))
    assert HistoryBuffer._statistics_methods == statistics
    assert HistoryBuffer([1.0], [1]).statistics('mean') == 1
