"""Which validation images ``visualize`` draws, and what it says of the others."""

from mmreviewkd.commands import visualize

import pytest
import torch
from mmengine.structures import InstanceData


def found(*labels):
    """Boxes at one place, of these classes."""
    return InstanceData(
        bboxes=torch.tensor([[0.0, 0, 10, 10]] * len(labels)).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.ones(len(labels)),
    )


@pytest.fixture
def choose(monkeypatch):
    """Chooses among images whose distilled student finds these labels, others [0]."""

    def call(students_labels, titles=('teacher', 'student alone', 'distilled')):
        monkeypatch.setattr(
            visualize,
            'predict',
            lambda title, item, threshold: found(
                *(students_labels[item['number']] if title == 'distilled' else [0])
            ),
        )
        images = [dict(number=i) for i in range(len(students_labels))]
        chosen = visualize.most_telling(
            {title: title for title in titles}, images, dict, 0.3
        )
        return [info['number'] for info in chosen]

    return call


def test_those_on_which_the_models_differ(choose):
    same, one, two = [0], [], [1]  # 0, 1 and 2 boxes that only one model has
    labels = [same, same, one, same, two, same, two, same, one, same]
    assert choose(labels) == [2, 4, 6, 8]
    assert choose(labels, ('teacher', 'distilled')) == [2, 4, 6, 8]
    # of equal ones the first
    assert choose([same] * 6) == [0, 1, 2, 3]


def test_where_there_is_nothing_to_choose(choose, capsys):
    assert choose([[1]] * 3) == [0, 1, 2]
    assert choose([[1]] * 9, ('distilled',)) == [0, 1, 2, 3]
    assert capsys.readouterr().out == ''
