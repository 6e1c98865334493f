"""Is all there that the package needs, in versions that it knows?"""
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

_MMENGINE = ('mmengine', 'mmengine-lite', 'onedl-mmengine')
# names of the distribution, the least version, and the first that is too new
_NEEDED = (
    (('torch', ), (2, 1), None),
    (('torchvision', ), (0, 16), None),
    (_MMENGINE, (0, 8), (1, 0)),
    (('mmcv', 'mmcv-lite'), (2, 0), (2, 2)),
    (('mmdet', ), (3, 0), (3, 4)),
)


def check_environment() -> None:
    """Say what is missing before an import fails further down.

    Raises:
        ImportError: A package is missing or of another version; the message
            names it and what is needed.
        SystemExit: The same while one of ``tools/`` starts, which ends in
            this one line.
    """
    problem = _wrong_package() or _missing_pkg_resources()
    if problem and _a_tool_starts():
        sys.exit(f'error: {problem}')
    if problem:
        raise ImportError(problem)


def _installed(*names: str) -> Optional[str]:
    """The version of the first of the distributions that is there."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            pass


def _wrong_package() -> Optional[str]:
    for names, low, high in _NEEDED:
        found = _installed(*names)
        if found is None:
            return (f'mmreviewkd needs {names[0]}; see "Installation" in '
                    'README.md')
        digits = tuple(map(int, found.split('+')[0].split('.')[:2]))
        if digits < low or high and digits >= high:
            return (f'mmreviewkd needs {names[0]} >= {low[0]}.{low[1]}' +
                    (f', < {high[0]}.{high[1]}' if high else '') +
                    f', found {found}')


def _missing_pkg_resources() -> Optional[str]:
    """mmengine up to 0.10.7 imports it inside of functions, in mid-run."""
    spec = find_spec('mmengine')
    if find_spec('pkg_resources') or not spec or not any(
            'pkg_resources' in path.read_text(encoding='utf-8')
            for folder in spec.submodule_search_locations
            for path in Path(folder).rglob('*.py')):
        return
    setuptools = _installed('setuptools')
    return (f'mmengine {_installed(*_MMENGINE)} needs pkg_resources, which '
            'setuptools has before 82; found ' +
            (f'setuptools {setuptools}' if setuptools else 'no setuptools') +
            '. Remedy: pip install "setuptools<81"')


def _a_tool_starts() -> bool:
    """Whether the program is a script in ``tools/``, beside the package."""
    program = getattr(sys.modules['__main__'], '__file__', None)
    if program is None:
        return False
    return any(
        folder.name == 'tools' and (folder.parent / 'mmreviewkd').is_dir()
        for folder in Path(program).resolve().parents)
