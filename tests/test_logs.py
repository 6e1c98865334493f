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
