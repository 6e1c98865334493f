"""The place in a Markdown page where a script writes its figures."""

from __future__ import annotations

import os.path as osp
import re
from typing import NamedTuple

from ..compat.saving import write_whole
from ..errors import UserInputError


class Place(NamedTuple):
    """A place in a page, between a line ``<!-- NAME -->`` and a line ``<!-- / -->``.

    Args:
        page (str): Path of the page.
        name (str): Name of the place.
    """

    page: str
    name: str

    def write(self, text: str) -> None:
        """Replace what is in the place, and leave the rest of the page as it is now.

        Raises:
            UserInputError: There is no such page any more, or no such place in it.
        """
        before, after = self.around()
        # Markdown wants empty lines around comments
        write_whole(self.page, f'{before}\n{text}\n{after}')

    def around(self) -> tuple[str, str]:
        """Read what stands before the place and after it.

        Raises:
            UserInputError: There is no such page, or no such place in it.
        """
        if not osp.isfile(self.page):
            raise UserInputError(f'--page {self.page}: no such file')
        with open(self.page, encoding='utf-8') as file:
            text = file.read()
        begin, end = f'<!-- {self.name} -->', '<!-- / -->'
        # never up to the end of another place
        between = '(?:(?!<!-- ).*\n)*'
        found = re.search(
            f'^{re.escape(begin)}\n{between}{re.escape(end)}$', text, re.MULTILINE
        )
        if not found:
            raise UserInputError(
                f'{self.page} has no line {begin} with a line {end} '
                f'after it; the table {self.name} is written between them'
            )
        return f'{text[: found.start()]}{begin}\n', f'\n{end}{text[found.end() :]}'


def find_place(page: str, name: str) -> Place:
    """Find the place of this name in a page.

    Raises:
        UserInputError: There is no such page, or no such place in it.
    """
    place = Place(page, name)
    place.around()
    return place
