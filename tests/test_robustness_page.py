"""Every row of docs/robustness.md has its test."""

from tests.support.paths import ROOT
from tests.support.robustness_page import named_tests


def test_every_row_names_tests_that_are_there():
    rows = [
        line
        for line in (ROOT / 'docs' / 'robustness.md').read_text().splitlines()
        if line.startswith('| ')
        and not line.startswith('| fault')
        and not line.startswith('| feature')
    ]
    assert len(rows) > 80
    for row in rows:
        assert '`test_' in row or 'test_' in row.split('|')[-2], row
    assert len(named_tests()) > 150


def test_they_are_what_the_target_runs(request):
    marked = {
        item.originalname
        for item in request.session.items
        if item.get_closest_marker('faults')
    }
    names = {function for _, function in named_tests() if function}
    chosen = {item.originalname for item in request.session.items}
    assert names & chosen <= marked
