"""The library that reads annotation files, which may not be there."""

import sys

from mmreviewkd.conversion.supervision import reader_of
from mmreviewkd.errors import UserInputError

import pytest

NEEDED = 'pip install "supervision>=0.31"'


def test_its_functions():
    pytest.importorskip('supervision')
    assert callable(reader_of('yolo', 'yolo_annotations_to_detections'))
    with pytest.raises(UserInputError, match=NEEDED):
        reader_of('yolo', 'a_function_of_another_version')


def test_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    monkeypatch.setitem(sys.modules, 'supervision.dataset.formats.yolo', None)
    with pytest.raises(UserInputError, match=NEEDED) as error:
        reader_of('yolo', 'yolo_annotations_to_detections')
    assert '\n' not in str(error.value)
