"""A folder of pictures with a page that shows them."""

from html.parser import HTMLParser

from mmreviewkd.errors import UserInputError
from mmreviewkd.visualization import check_new, make_folder, write_page

import pytest


def test_a_folder_is_new_if_nothing_is_in_it(tmp_path):
    check_new(str(tmp_path / 'none'))
    check_new(str(tmp_path))
    (tmp_path / 'file').touch()
    with pytest.raises(UserInputError, match='is not empty; choose another --out-dir'):
        check_new(str(tmp_path))
    with pytest.raises(UserInputError, match='file is a file; choose another'):
        check_new(str(tmp_path / 'file'))


def test_a_folder_that_cannot_be_made(tmp_path):
    make_folder(str(tmp_path / 'a' / 'b'))
    make_folder(str(tmp_path / 'a' / 'b'))
    assert (tmp_path / 'a' / 'b').is_dir()
    (tmp_path / 'file').touch()
    with pytest.raises(UserInputError, match='cannot write to .*file/a: '):
        make_folder(str(tmp_path / 'file' / 'a'))


class Elements(HTMLParser):
    """What a browser reads: texts by tag, and sources of images."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found = None, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.open = tag
        if tag in ('a', 'img'):
            self.found.append((tag, dict(attrs).get('href') or dict(attrs)['src']))

    def handle_data(self, data):
        if data.strip() and self.open in ('h1', 'h2', 'dt', 'dd'):
            self.found.append((self.open, data))
        self.open = None


def test_names_are_texts_and_links_whatever_is_in_them(tmp_path):
    path = tmp_path / 'index.html'
    write_page(
        str(path),
        'a <b> & c',
        {'classes': '"x" < y'},
        {'first <i>': ['1 a#b.png'], 'second': ['2.png', '3.png']},
    )
    assert Elements(path.read_text(encoding='utf-8')).found == [
        ('h1', 'a <b> & c'),
        ('dt', 'classes'),
        ('dd', '"x" < y'),
        ('h2', 'first <i>'),
        ('a', '1%20a%23b.png'),
        ('img', '1%20a%23b.png'),
        ('h2', 'second'),
        ('a', '2.png'),
        ('img', '2.png'),
        ('a', '3.png'),
        ('img', '3.png'),
    ]
