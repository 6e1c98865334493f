"""Only the place of that name in a page is written."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.tables.page import find_place

import pytest

OTHER = '## Other\n\n<!-- other -->\n\nfigures\n\n<!-- / -->\n'


@pytest.mark.parametrize('content', ['', '\n', '\nold\n\n', 'old\n'])
def test_what_stands_around_stays(tmp_path, content):
    page = tmp_path / 'page.md'
    page.write_text(f'above\n<!-- mine -->\n{content}<!-- / -->\n\n{OTHER}')
    find_place(str(page), 'mine').write('new')
    once = page.read_text()
    assert once == f'above\n<!-- mine -->\n\nnew\n\n<!-- / -->\n\n{OTHER}'
    find_place(str(page), 'mine').write('new')
    assert page.read_text() == once


@pytest.mark.parametrize('text', ['<!-- mine -->\n', 'a <!-- mine -->\n\n<!-- / -->\n'])
def test_a_place_without_an_end_never_takes_that_of_another(tmp_path, text):
    page = tmp_path / 'page.md'
    page.write_text(text + OTHER)
    with pytest.raises(UserInputError, match='has no line <!-- mine --> with a line'):
        find_place(str(page), 'mine')
    assert page.read_text() == text + OTHER
