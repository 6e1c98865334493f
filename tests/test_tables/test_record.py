"""What is kept of a run, and how it is read again."""

import json
import math

from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import read_record
from mmreviewkd.tables.record import epochs_done, read_run_settings, record_run
from tests.support.paths import ROOT

import pytest
import torch

LOG = [
    dict(lr=0.1, loss=3.0, loss_cls=2.0, time=0.5, data_time=0.1, epoch=1, step=10),
    dict(lr=0.1, loss=1.0, loss_cls=1.5, time=0.1, data_time=0.1, epoch=1, step=20),
    {'accuracy/top1': 20.0, 'time': 9.0, 'data_time': 0.0, 'step': 1},
    dict(lr=0.1, loss=1.23456789, loss_cls=1, loss_kd=0.2, time=0.2, epoch=2, step=30),
    {'accuracy/top1': math.nan, 'accuracy/top5': 0.0, 'time': 9.0, 'step': 2},
]


@pytest.fixture
def work_dir(tmp_path):
    def write(log, folder='run'):
        logs = tmp_path / folder / 'now' / 'vis_data'
        logs.mkdir(parents=True)
        (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, log)))
        return str(tmp_path / folder)

    return write


def test_means_of_each_epoch_and_every_validation(work_dir, tmp_path):
    path = str(tmp_path / 'results' / 'kd_0.json')
    facts = dict(row='kd', memory_mb=300.0, stopped='')
    record = record_run(path, work_dir(LOG), facts, epochs=2)
    assert record.content == dict(
        facts,
        step_seconds=0.2,
        training=dict(
            epoch=[1, 2], loss=[2.0, 1.2346], loss_cls=[1.75, 1.0], loss_kd=[None, 0.2]
        ),
        validation={
            'epoch': [1, 2],
            'accuracy/top1': [20.0, None],
            'accuracy/top5': [None, 0.0],
        },
    )
    assert math.isnan(record.scores.pop('accuracy/top1'))
    assert record.scores == {'accuracy/top5': 0.0}
    assert record.stopped == ''
    lines = (tmp_path / 'results' / 'kd_0.json').read_text().splitlines()
    assert '  "loss": [ 2.0, 1.2346 ],' in lines


def test_memory_of_the_gpu_where_there_is_one(work_dir, tmp_path):
    log = [dict(entry, memory=1000 + i) for i, entry in enumerate(LOG)]
    facts = dict(memory_mb=300.0, stopped='')
    record = record_run(str(tmp_path / 'kd_0.json'), work_dir(log), facts, epochs=2)
    assert record.content['memory_mb'] == 1003  # of a step


@pytest.mark.parametrize('entries', [0, 1])
def test_a_run_that_stopped_before_its_first_validation(work_dir, tmp_path, entries):
    path = str(tmp_path / 'kd_0.json')
    facts = dict(memory_mb=1.0, stopped='loss_kd is nan')
    record = record_run(path, work_dir(LOG[:entries]), facts, epochs=2)
    assert record.scores == {} and record.stopped == 'loss_kd is nan'
    assert record.content['training']['epoch'] == [1] * entries
    assert record.content['step_seconds'] == (0.5 if entries else None)
    assert read_record(str(tmp_path / 'kd_1.json')) is None


def test_a_run_without_logs_or_without_its_last_score_is_not_kept(work_dir, tmp_path):
    path, facts = tmp_path / 'kd_0.json', dict(memory_mb=1.0, stopped='')
    with pytest.raises(UserInputError, match='no training log matches'):
        record_run(str(path), work_dir([], 'empty'), facts, epochs=2)
    with pytest.raises(UserInputError, match='run has no score of its last epoch, 2;'):
        record_run(str(path), work_dir(LOG[:4]), facts, epochs=2)
    assert not path.exists()
    # what is trained without being tested has none at all
    assert record_run(str(path), work_dir(LOG[:2], 'head'), facts, epochs=1)


@pytest.mark.parametrize('text', ['{', '[]', '{}', '{"validation": {"epoch": 1}}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / 'kd_0.json').write_text(text)
    with pytest.raises(
        UserInputError, match='kd_0.json is not what run_table.py keeps'
    ):
        read_record(str(tmp_path / 'kd_0.json'))


def test_epochs_of_the_last_checkpoint(tmp_path):
    assert epochs_done(str(tmp_path / 'none')) == 0
    torch.save(dict(state_dict={}), tmp_path / 'epoch_12.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_12.pth'))
    assert epochs_done(str(tmp_path)) == 12


def test_settings_of_a_config():
    configs = ROOT / 'configs' / 'cifar20'
    student, seed = str(configs / 'resnet8.py'), ['randomness.seed=0']
    alone = read_run_settings(student, seed)
    assert (alone.epochs, alone.teacher) == (10, None)
    kd = read_run_settings(str(configs / 'kd_resnet20_resnet8.py'), seed)
    assert kd.teacher == 'work_dirs/cifar20_resnet20/epoch_10.pth'
    strong = read_run_settings(
        str(configs / 'kd_resnet20_resnet8.py'), ['model.teacher.checkpoint=a.pth']
    )
    assert strong.teacher == 'a.pth'
    other = read_run_settings(student, ['train_cfg.max_epochs=3'])
    assert other.epochs == 3
    assert len({alone.hash, kd.hash, other.hash}) == 3
    assert alone == read_run_settings(student, seed)


def test_the_hash_of_a_weight_that_follows_gradients_has_its_numbers(monkeypatch):
    configs = ROOT / 'configs/cifar20/weights'
    auto, fixed = (
        lambda options, name=name: read_run_settings(str(configs / name), options).hash
        for name in ('auto_resnet20_resnet8.py', 'fixed_resnet20_resnet8.py')
    )
    share = ['model.review.share=1']
    before = auto([]), auto(share), fixed([])
    monkeypatch.setattr('mmreviewkd.tables.record.SHARE', 123.0)
    assert auto([]) != before[0]
    # where a share is given, the other one is nothing
    assert (auto(share), fixed([])) == before[1:]
    monkeypatch.setattr('mmreviewkd.tables.record.INTERVAL', 123)
    assert auto(share) != before[1] and fixed([]) == before[2]
