"""How mistakes of the user read."""

from mmreviewkd.errors import (
    MissingFileError,
    UnreadableImageError,
    UserInputError,
    few,
    in_one_line,
)

import pytest
from torch._utils import ExceptionWrapper


@pytest.mark.parametrize(
    'kind', [UserInputError, MissingFileError, UnreadableImageError]
)
@pytest.mark.parametrize('lines', [1, 2])
def test_errors_of_workers_read_as_they_were_raised(kind, lines):
    # what another package says, here in the end, may have several lines
    message = 'image a  b.png: cannot be read' + (lines - 1) * ': a\n\n  b: c'
    line = 'image a  b.png: cannot be read' + (lines - 1) * ': a b: c'
    try:
        try:
            raise ZeroDivisionError('the cause')
        except ZeroDivisionError as cause:
            raise kind(message) from cause
    except kind:
        passed_on = ExceptionWrapper(where='in DataLoader worker process 0')
    with pytest.raises(kind) as error:
        passed_on.reraise()
    assert 'the cause' in str(error.value)
    assert in_one_line(error.value) == line
    assert in_one_line(kind(message)) == line


def test_few():
    assert few([]) == ''
    assert few(('a', 2, 'c')) == 'a, 2, c'
    assert few(list('abcd')) == 'a, b, c, ... 4 in all'
    assert few(list('abcd'), limit=4) == 'a, b, c, d'
