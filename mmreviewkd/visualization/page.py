"""A folder of pictures with an HTML page that shows them."""

import html
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from ..errors import UserInputError

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; max-width: 100em }}
img {{ max-width: 100%; display: block; margin: 1em 0 }}
dt {{ font-weight: bold }}
</style>
</head>
<body>
<h1>{title}</h1>
<dl>
{facts}
</dl>
{sections}
</body>
</html>
"""


def check_new(folder: str) -> None:
    """Raise UserInputError unless ``folder`` is empty or does not exist."""
    if osp.exists(folder) and not osp.isdir(folder):
        raise UserInputError(f'{folder} is a file; choose another --out-dir')
    if osp.isdir(folder) and os.listdir(folder):
        raise UserInputError(
            f'{folder} exists and is not empty; choose another --out-dir'
        )


def make_folder(folder: str) -> None:
    """Make ``folder``, or raise UserInputError if that fails."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserInputError(f'cannot write to {folder}: {error}') from None


def write_page(
    out_file: str,
    title: str,
    facts: dict[str, str],
    sections: Mapping[str, Sequence[str]],
) -> None:
    """Write an HTML page with pictures.

    Args:
        out_file (str): File to write.
        title (str): Title of the page.
        facts (dict[str, str]): Values to show at its top, by name.
        sections (Mapping[str, Sequence[str]]): For each heading, the picture files,
            relative to the page's folder.
    """
    with open(out_file, 'w', encoding='utf-8') as file:
        file.write(
            _PAGE.format(
                title=html.escape(title),
                facts='\n'.join(
                    f'<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>'
                    for name, text in facts.items()
                ),
                sections='\n'.join(
                    f'<h2>{html.escape(heading)}</h2>\n'
                    + '\n'.join(
                        f'<a href="{quote(picture)}">'
                        f'<img src="{quote(picture)}" '
                        f'alt="{html.escape(picture)}"></a>'
                        for picture in pictures
                    )
                    for heading, pictures in sections.items()
                ),
            )
        )
