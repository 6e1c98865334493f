"""Each logger of docs/logging.md, from the page's own block to its files."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.logs import scalars
from tests.support.paths import ROOT
from tests.support.project import write_project
from tests.support.wandb_file import history

import pytest

TEXT = (ROOT / 'docs' / 'logging.md').read_text(encoding='utf-8')
LOGGERS = ('TensorBoard', 'Weights and Biases', 'MLflow', 'ClearML')
PICTURES = ('review_0', 'review_1')


def blocks(logger):
    """The page's block of the config, and its commands, such as exports."""
    (section,) = re.findall(rf'^## {logger}\n(.*?)(?=^## |\Z)', TEXT, re.DOTALL | re.M)
    (config,) = re.findall(r'```python\n(.*?)```', section, re.DOTALL)
    return config, ''.join(re.findall(r'```bash\n(.*?)```', section, re.DOTALL))


def train(project, config, commands='', name='logged'):
    """One epoch by ``mmreviewkd train``, in the shell as a reader has it."""
    (project / f'{name}.py').write_text(f"_base_ = './distil.py'\n{config}")
    done = subprocess.run(
        [
            'bash',
            '-euc',
            f'{commands}\nexec "$0" -m mmreviewkd train {name}.py --work-dir {name} '
            '--cfg-options train_cfg.max_epochs=1',
            sys.executable,
        ],
        cwd=project,
        env=dict(os.environ, PYTHONPATH=str(ROOT), HOME=str(project)),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return project / name, done.stdout


def losses(work_dir):
    """``loss_review`` at each step, as the run's own file has it."""
    values = [line['loss_review'] for line in scalars(work_dir) if 'loss' in line]
    assert len(values) == 2
    return pytest.approx(values)


@pytest.fixture(scope='module')
def alone(tmp_path_factory, coco, teachers):
    """The losses of the same run without any logger."""
    project = write_project(tmp_path_factory.mktemp('alone'), coco, teachers)
    return losses(train(project, '')[0])


def run(project, logger, alone, change=lambda text: text, strip=''):
    config, commands = blocks(logger)
    work_dir, output = train(
        project, change(config), '' if strip and strip in commands else commands
    )
    assert losses(work_dir) == alone.expected
    return work_dir, output


def test_the_page_has_a_block_for_each_and_installs_them():
    wanted = (ROOT / 'requirements' / 'optional.txt').read_text(encoding='utf-8')
    for logger in LOGGERS:
        config, _ = blocks(logger)
        assert 'ReviewVisualizationHook' in config
    packages = re.findall(r'`pip install (\w+)` \(', TEXT)
    assert len(packages) == 4
    for package in packages:
        assert re.search(rf'^{package}\b', wanted, re.MULTILINE), package


@pytest.mark.slow
def test_tensorboard(project, alone):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing import event_accumulator

    work_dir, _ = run(project, 'TensorBoard', alone)
    (folder,) = work_dir.glob('*/vis_data')
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    assert [event.value for event in events.Scalars('loss_review')] == losses(work_dir)
    assert sorted(events.Tags()['images']) == list(PICTURES)
    (picture,) = events.Images('review_0')
    assert picture.encoded_image_string.startswith(b'\x89PNG') and picture.step == 1


@pytest.mark.slow
def test_weights_and_biases(project, alone):
    pytest.importorskip('wandb')
    work_dir, output = run(project, 'Weights and Biases', alone)
    (folder,) = work_dir.glob('*/vis_data/wandb/offline-run-*')
    assert folder.name in output
    (path,) = folder.glob('*.wandb')
    logged = history(path)
    values = [line['loss_review'] for line in logged if 'loss_review' in line]
    assert values == losses(work_dir)
    for name in PICTURES:
        (image,) = [line for line in logged if f'{name}.path' in line]
        assert (folder / 'files' / image[f'{name}.path']).stat().st_size > 1000
        # drawn after the second step, and shown there
        assert image['iter'] == 2
    (scores,) = [line for line in logged if 'coco/bbox_mAP' in line]
    assert scores['iter'] == 2


@pytest.mark.slow
@pytest.mark.parametrize('store', ['files', 'database'])
def test_mlflow(project, alone, store, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    uri = "tracking_uri='file:work_dirs/mlflow'"
    if store == 'files':
        work_dir, _ = run(project, 'MLflow', alone)
        client = mlflow.MlflowClient(f'file:{project}/work_dirs/mlflow')
    else:
        monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE')
        (other,) = re.findall(r"tracking_uri='sqlite[^`]*", TEXT)
        work_dir, _ = run(
            project,
            'MLflow',
            alone,
            lambda config: config.replace(uri, other),
            strip='MLFLOW_ALLOW_FILE_STORE',
        )
        client = mlflow.MlflowClient(f'sqlite:///{project}/mlflow.db')
    experiment = client.get_experiment_by_name('review-kd')
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.run_name == 'my-student' and logged.info.status == 'FINISHED'
    assert logged.data.params['model.type'] == 'ReviewKD'
    steps = client.get_metric_history(logged.info.run_id, 'loss_review')
    assert [each.value for each in steps] == losses(work_dir)
    assert [each.step for each in steps] == [1, 2]
    names = [each.path for each in client.list_artifacts(logged.info.run_id)]
    for name in PICTURES:
        assert f'{name}_1.png' in names
    folder = Path(project, 'work_dirs', 'mlflow')
    (picture,) = folder.rglob('review_0_1.png')
    assert picture.read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_clearml(project, alone):
    pytest.importorskip('clearml')
    work_dir, output = run(project, 'ClearML', alone)
    (path,) = (project / 'work_dirs' / 'clearml' / 'offline').glob('*.zip')
    assert path.name in output
    with zipfile.ZipFile(path) as session:
        names = session.namelist()
        lines = session.read('metrics.jsonl').decode().splitlines()
    # a line is a list of what was reported together
    events = [each for line in lines for each in json.loads(line)]
    values = [
        (each['iter'], each['value'])
        for each in events
        if each.get('metric') == 'loss_review'
    ]
    assert [step for step, _ in values] == [1, 2]
    assert [value for _, value in values] == losses(work_dir)
    for name in PICTURES:
        assert any(re.search(rf'/{name}/.*\.jpe?g$', each) for each in names)
    assert not [each for each in names if each.endswith('.pth')]
