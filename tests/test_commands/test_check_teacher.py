"""The teacher's own figure, from the command line."""

from tests.support.commands import call, refused
from tests.support.detectors import save_weights, tiny_detector


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


def test_a_config_that_distils_nothing(project):
    assert 'distils nothing: its model is a FasterRCNN' in refused(
        'check_teacher', project / 'plain.py'
    )
