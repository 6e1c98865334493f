"""The tests that docs/robustness.md names: ``pytest -m faults``."""

import re

from tests.support.paths import ROOT

_TOKEN = re.compile(r'`((?:[\w/]+/)?test_\w+\.py)?(?:::)?(test_\w+)?`')


def named_tests():
    """Pairs of a test file's path and a function in it, or None for all.

    A function stands behind its file, or behind another one of that file; a
    table's head may name the files of all rows.
    """
    files = list(ROOT.glob('tests/**/test_*.py'))
    named, here = [], []
    for line in (ROOT / 'docs' / 'robustness.md').read_text().splitlines():
        if not line.startswith('|'):
            here = []
            continue
        for number, (file, function) in enumerate(_TOKEN.findall(line)):
            if file:
                found = [path for path in files if str(path).endswith(f'/{file}')]
                assert len(found) == 1, (file, found)
                (path,) = found
                in_head = line.startswith(('| fault', '| feature'))
                here = [*here, path] if in_head and number else [path]
                if not function and not in_head:
                    named.append((path, None))
            if function:
                found = [
                    path for path in here if f'def {function}(' in path.read_text()
                ]
                assert found, f'{function} is in none of {here}'
                named.append((found[0], function))
    return named
