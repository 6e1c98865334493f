"""The runs of a table have one teacher."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import report_table
from tests.support.tables import TABLE, rows, write_record, write_table

import pytest


def learnt_from(folder, row, seed, sha256):
    teacher = dict(file='teacher.pth', sha256=sha256)
    write_record(folder, row, seed, 54.0, teacher=teacher)


@pytest.fixture
def folder(tmp_path):
    folder = write_table(tmp_path / 'mine')
    learnt_from(folder, 'kd', 0, '1')
    return folder


def test_two_files_are_two_teachers(folder):
    learnt_from(folder, 'kd', 1, '2')
    with pytest.raises(UserInputError, match='teachers: kd_0.json, kd_1.json'):
        report_table(str(folder))


def test_files_with_the_same_weights_are_one(tmp_path):
    text = TABLE.replace('title: teacher', 'title: teacher, sha256: ["1", "2"]')
    folder = write_table(tmp_path / 'mine', text)
    for seed, sha256 in enumerate('121'):
        learnt_from(folder, 'kd', seed, sha256)
    learnt_from(folder, 'pkd', 0, '2')
    assert rows(report_table(str(folder)))['KD']['mean'] == '54.0'
    learnt_from(folder, 'kd', 2, '3')
    with pytest.raises(UserInputError, match='teachers: kd_0.json, kd_2.json'):
        report_table(str(folder))


def test_rows_whose_options_name_another(tmp_path):
    strong = 'config: kd.py, options: [model.teacher.checkpoint=strong.pth]'
    folder = write_table(tmp_path / 'mine', TABLE.replace('config: kd.py', strong))
    write_record(folder, 'teacher', 0, 60.0, teacher=None)
    write_record(folder, 'head', 0, 70.0, teacher=None)
    learnt_from(folder, 'kd', 0, '2')
    learnt_from(folder, 'pkd', 0, '1')
    table = rows(report_table(str(folder)))
    # what was trained before and has a score is shown
    assert (table['teacher']['mean'], table['head']['mean']) == ('60.0', '70.0')
    learnt_from(folder, 'kd', 1, '1')
    with pytest.raises(UserInputError, match='teachers: kd_0.json, kd_1.json'):
        report_table(str(folder))
