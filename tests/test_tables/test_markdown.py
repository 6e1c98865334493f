"""Tables as Markdown."""

from mmreviewkd.tables.markdown import markdown_table


def test_markdown_table():
    assert markdown_table(
        [dict(model='teacher', AP='50.1'), dict(model='student', AP='9.0')]
    ).splitlines() == [
        '| model   |   AP |',
        '|---------|-----:|',
        '| teacher | 50.1 |',
        '| student |  9.0 |',
    ]
