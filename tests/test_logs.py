"""What is read from the logs of runs."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.logs import epoch_means, read_scalars, read_test_metrics
from tests.support.logs import run_log, write_log

import pytest


def test_epoch_means(tmp_path):
    entries = read_scalars(write_log(tmp_path, run_log()))
    assert epoch_means(entries, 'loss') == ([1, 2], [3.0, (4 / 3 + 1) / 2])
    assert epoch_means(entries, 'coco/bbox_mAP') == ([1, 2], [0.25, 0.5])
    assert epoch_means(entries, 'loss_review') == ([], [])


def test_resumed_run(tmp_path):
    log = list(run_log())
    # killed while writing its third line; resumed from the second step
    odd = ['{"loss": 1.', '3', '"loss"', '[]', '{"loss": 1.0}', '']
    write_log(tmp_path, [*log[:2], dict(loss=9.0, epoch=2, step=3), *odd])
    write_log(tmp_path, log[2:], start='20260101_000500')
    whole = write_log(tmp_path / 'whole', log)
    assert read_scalars(str(tmp_path)) == read_scalars(whole)


def test_a_shorter_run_in_the_folder_of_a_longer_one(tmp_path):
    log = list(run_log())
    anew = [dict(loss=7.0, epoch=1, step=1), {'coco/bbox_mAP': 0.1, 'step': 1}]
    write_log(tmp_path, log)
    # killed before its first line
    write_log(tmp_path, [], start='20260101_000400')
    assert len(read_scalars(str(tmp_path))) == 6
    folder = write_log(tmp_path, anew, start='20260101_000500')
    assert sorted(read_scalars(folder), key=len) == sorted(anew, key=len)
    # one that logs for the first time at a later step of that epoch
    later = [dict(loss=6.0, epoch=1, step=2)]
    assert read_scalars(write_log(tmp_path, later, start='20260101_000600')) == later


def test_an_earlier_epoch_resumed_and_stopped_sooner(tmp_path):
    work_dir = tmp_path / 'a [b]'
    log = [dict(loss=1.0, epoch=n, step=10 * n) for n in range(1, 5)]
    log += [{'coco/bbox_mAP': 0.1 * n, 'step': n} for n in range(1, 5)]
    write_log(work_dir, log)
    again = [dict(loss=2.0, epoch=2, step=20), {'coco/bbox_mAP': 0.9, 'step': 2}]
    entries = read_scalars(write_log(work_dir, again, start='20260101_000500'))
    assert [entry for entry in entries if 'loss' in entry] == [log[0], again[0]]
    assert [entry for entry in entries if 'loss' not in entry] == [log[4], again[1]]


def test_validations_of_an_iteration_based_run(tmp_path):
    write_log(tmp_path, [dict(loss=1.0, step=n) for n in (10, 20, 30)])
    scores = [{'coco/bbox_mAP': 0.1, 'step': n} for n in (15, 30)]
    write_log(tmp_path, scores, start='20260101_000001')
    again = [dict(loss=2.0, step=20)]
    entries = read_scalars(write_log(tmp_path, again, start='20260101_000500'))
    assert entries == [scores[0], dict(loss=1.0, step=10), *again]


def test_the_last_test_that_is_whole(tmp_path):
    for day, text in enumerate(['{"a/b": 1}', '{"a/b": 2}', '{"a/b": ', '', '[1]']):
        folder = tmp_path / f'2026010{day}'
        folder.mkdir()
        (folder / f'{folder.name}.json').write_text(text)
        # what else lies there counts as little
        (folder / 'results.json').write_text('{"a/b": 3}')
    assert read_test_metrics(str(tmp_path)) == {'a/b': 2}
    assert read_test_metrics(str(tmp_path / '20260100')) == {}


def test_no_log(tmp_path):
    with pytest.raises(UserInputError, match='no training log'):
        read_scalars(str(tmp_path))
