"""Whatever a file holds, it is refused by name, and nothing happens.

Each file is opened in a process of its own, since some attacks would end it.
"""

import zipfile

from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from tests.support.forked import outcome_of, tool
from tests.support.malicious import FILES
from tests.support.malicious.pickles import HARM

import pytest
import torch

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


def attack(folder, monkeypatch, way, kind):
    monkeypatch.chdir(folder)
    named, write = FILES[kind]
    path = folder / f'{kind}.pth'
    write(path)
    before = set(folder.iterdir())
    code = outcome_of(WAYS[way](path), 'output')
    said = (folder / 'output').read_text().splitlines()[-1]
    assert code == 1, (code, said)
    assert said.startswith(f'error: checkpoint {path} ') and named in said
    assert set(folder.iterdir()) - before <= {folder / 'output', folder / 'run'}
    assert not list(folder.glob('run/**/*.pth'))
    assert not (folder / HARM).exists()


@pytest.mark.parametrize('kind', FILES)
def test_export_refuses(tmp_path, monkeypatch, kind):
    attack(tmp_path, monkeypatch, 'export', kind)


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
