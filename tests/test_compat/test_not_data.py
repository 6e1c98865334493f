"""What is said of a value, and which values may be keys or sizes."""

from mmreviewkd.compat.not_data import (
    Name,
    NotData,
    are_keys,
    expect,
    is_size,
    printable,
    short,
)

import pytest


def test_a_refusal_has_a_name_and_a_reason():
    expect(True, 'os.system', 'it is called')
    with pytest.raises(NotData, match='^os.system: it is called$') as error:
        expect(False, 'os.system', 'it is called')
    assert (error.value.name, error.value.reason) == ('os.system', 'it is called')
    assert str(NotData('os.system')) == 'os.system'


def test_a_text_is_one_line_and_short():
    assert printable('a\n\x1b[31mé') == 'a\\x0a\\x1b[31mé'
    assert printable('x' * 1000) == 'x' * 80


def test_a_value_is_shown_without_a_look_into_containers():
    endless = []
    endless.append(endless)
    assert short(endless) == 'list'
    assert short(Name('torch.Size')) == 'torch.Size'
    assert [short(value) for value in (None, 3, 'x\n')] == ['None', '3', "'x\\n'"]


@pytest.mark.parametrize(
    'value, is_key',
    [
        ('a', True),
        (None, True),
        (2**60 - 1, True),
        (2**60, False),  # 2**61 - 1 and its multiples have one hash
        (1.5, False),
        (('a', 1), True),
        ((1,) * 8, True),
        ((1,) * 9, False),
        ((('a',),), False),
        (b'a', False),
    ],
    ids=repr,
)
def test_keys(value, is_key):
    assert are_keys(['a', value]) == is_key


@pytest.mark.parametrize(
    'value, is_one',
    [
        ((), True),
        ((0, 2**63 - 1), True),
        ((2**63,), False),
        ((-1,), False),
        ((True,), False),
        ((1.0,), False),
        ([1], False),
        ((1,) * 65, False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_sizes(value, is_one):
    assert is_size(value) == is_one
