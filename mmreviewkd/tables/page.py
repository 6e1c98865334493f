"""The place in a Markdown page where a script writes its figures."""

from __future__ import annotations

import os.path as osp
import re
from typing import NamedTuple

from ..errors import UserInputError


class Place(NamedTuple):
    """A place in a page, between a line ``<!-- NAME -->`` and a line ``<!-- / -->``.

    Args:
        page (str): Path of the page.
        before (str): What stands before the place.
        after (str): What stands after it.
    """

    page: str
    before: str
    after: str

    def write(self, text: str) -> None:
        """Replace what is in the place."""
        with open(self.page, 'w', encoding='utf-8') as file:
            # Markdown wants empty lines around comments
            file.write(f'{self.before}\n{text}\n{self.after}')


def find_place(page: str, name: str) -> Place:
    """Find the place of this name in a page.

    Raises:
        UserInputError: There is no such page, or no such place in it.
    """
    if not osp.isfile(page):
        raise UserInputError(f'--page {page}: no such file')
    with open(page, encoding='utf-8') as file:
        text = file.read()
    begin, end = f'<!-- {name} -->\n', '\n<!-- / -->'
    found = re.search(f'{re.escape(begin)}.*?{re.escape(end)}', text, re.DOTALL)
    if not found:
        raise UserInputError(
            f'{page} has no line {begin.strip()} with a line {end.strip()} after it; '
            f'the table {name} is written between them'
        )
    return Place(page, text[: found.start()] + begin, end + text[found.end() :])
