"""The teacher's own figure, from the command line."""

from tests.support.commands import call, refused
from tests.support.detectors import save_weights, tiny_detector

import pytest


def test_student_beside_the_teacher(project, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.engine.teacher_check.print_log',
        lambda message, *_: said.append(message),
    )
    student = save_weights(tiny_detector(), project / 'student.pth')
    assert (
        call(
            'check_teacher',
            project / 'distil.py',
            '--expected',
            0.4,
            '--num-images',
            2,
            '--student-checkpoint',
            student,
        )
        is None
    )
    assert 'expected 0.400, student: ' in said[0]
    assert said[0].endswith('(2 validation images)')


@pytest.mark.parametrize(
    'options, problem',
    [
        (['val_dataloader=None'], '{} has no val_dataloader'),
        (['val_evaluator=None'], '{} has no val_evaluator'),
        (
            ['val_dataloader.batch_size=x'],
            "val_dataloader.batch_size='x': must be a whole number >= 1",
        ),
    ],
)
def test_a_config_without_validation(project, options, problem):
    config = project / 'distil.py'
    error = refused('check_teacher', config, '--cfg-options', *options)
    assert error == problem.format(config)


def test_a_config_that_distils_nothing(project):
    assert 'distils nothing: its model is a FasterRCNN' in refused(
        'check_teacher', project / 'plain.py'
    )
