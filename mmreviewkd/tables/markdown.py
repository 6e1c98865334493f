"""Tables as Markdown."""

from collections.abc import Sequence


def markdown_table(rows: Sequence[dict]) -> str:
    """Format rows with the same keys as a Markdown table; the keys are the header.

    The first column is aligned to the left, the others to the right.

    Examples:
        >>> print(markdown_table([dict(model='student', AP=37.9)]))
        | model   |   AP |
        |---------|-----:|
        | student | 37.9 |
    """
    cells = [list(rows[0])]
    cells += [[str(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        '| '
        + ' | '.join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths))
        )
        + ' |'
        for line in cells
    ]
    rule = (
        '|'
        + '|'.join(
            '-' * (width + 1) + ('-:'[place > 0]) for place, width in enumerate(widths)
        )
        + '|'
    )
    return '\n'.join([lines[0], rule, *lines[1:]])
