"""Markdown tables that commands print."""


def read_table(text):
    """Cells of each row by the row's first cell, without the header.

    Args:
        text (str): Text that contains one table.
    """
    lines = [
        line.strip('|').split('|') for line in text.splitlines() if line[:1] == '|'
    ]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines[2:]}
