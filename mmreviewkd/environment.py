"""Checks that all required packages are there, in supported versions.

mmdet, mmengine and mmcv come from OpenMMLab or, under the same import names,
from OneDL, who maintain a fork of each.
"""

from __future__ import annotations  # older Pythons must parse this, to be refused

import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

OPENMMLAB = dict(
    mmengine=('mmengine', 'mmengine-lite'), mmcv=('mmcv', 'mmcv-lite'), mmdet=('mmdet',)
)
ONEDL = dict(
    mmengine=('onedl-mmengine',), mmcv=('onedl-mmcv',), mmdet=('onedl-mmdetection',)
)
"""Names of the distributions that contain each module."""

# the lowest supported version, and the first that is too new
_VERSIONS = dict(
    torch=('2.1', None),
    torchvision=('0.16', None),
    mmengine=('0.8', '1.0'),
    mmcv=('2.0', None),
    mmdet=('3.0', '4.0'),
)


def check_environment() -> None:
    """Report missing or unsupported packages before an import fails on them.

    Raises:
        ImportError: A package is missing, or of another version or stack; the
            message names it and what is needed.
        SystemExit: The same, while the ``mmreviewkd`` command or one of
            ``tools/`` starts, so that it ends with this one line.
    """
    problem = (
        _old_python()
        or _wrong_stack()
        or _wrong_version()
        or _too_new_mmcv()
        or _missing_pkg_resources()
        or _broken_torchvision()
    )
    if problem and _a_tool_starts():
        sys.exit(f'error: {problem}')
    if problem:
        raise ImportError(problem)


@contextmanager
def quiet_interruption() -> Iterator[None]:
    """Let Ctrl-C end a starting tool in one line; the imports take some seconds."""
    if (
        not _a_tool_starts()
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:
        print('interrupted', file=sys.stderr, flush=True)
        os._exit(130)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _installed(*names: str) -> str | None:
    """Return the version of the first installed distribution among the names."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            pass
    return None


def _found(stack: dict[str, tuple]) -> list[str]:
    return [
        f'{name} {found}'
        for names in stack.values()
        for name in names
        for found in [_installed(name)]
        if found
    ]


def _old_python() -> str | None:
    if sys.version_info < (3, 9):  # noqa: UP036, since pip may not have been used
        return 'mmreviewkd needs Python >= 3.9, found ' + sys.version.split()[0]
    return None


def _wrong_stack() -> str | None:
    """Report a missing package, or packages that lie over each other."""
    old = _installed('mmcv-full')
    if old:
        return (
            f'mmcv-full {old} is for mmdet 2, and mmreviewkd for mmdet 3: install it '
            'into an environment of its own, as "Installation" in README.md says'
        )
    openmmlab, onedl = _found(OPENMMLAB), _found(ONEDL)
    if openmmlab and onedl:
        return (
            'packages of OpenMMLab and of OneDL lie over each other under the '
            f'same import names: {", ".join(openmmlab)}; {", ".join(onedl)}. '
            'Remedy: pip uninstall all of them, then pip install '
            '"mmreviewkd[openmmlab]" or "mmreviewkd[onedl]"'
        )
    for name, distributions in (ONEDL if onedl else OPENMMLAB).items():
        found = _found({name: distributions})
        if len(found) > 1:
            return (
                f'{" and ".join(found)} lie over each other as {name}. Remedy: pip '
                'uninstall both, then pip install the one that you want'
            )
        if not _installed(*distributions):
            return (
                f'mmreviewkd needs {name}: pip install '
                '"mmreviewkd[openmmlab]" or "mmreviewkd[onedl]"; see '
                '"Installation" in README.md'
            )
    return None


def _wrong_version() -> str | None:
    from packaging.version import Version

    for name, (low, high) in _VERSIONS.items():
        names = (*OPENMMLAB.get(name, (name,)), *ONEDL.get(name, ()))
        found = _installed(*names)
        if found is None:
            return f'mmreviewkd needs {name}; see "Installation" in README.md'
        # a release candidate of the lowest version is accepted
        release = Version(Version(found).base_version)
        if release < Version(low) or (high and release >= Version(high)):
            return (
                f'mmreviewkd needs {name} >= {low}'
                + (f', < {high}' if high else '')
                + f', found {found}'
            )
    return None


def _too_new_mmcv() -> str | None:
    """Report an mmcv that mmdet refuses; the limit is only in mmdet's source."""
    from packaging.version import Version

    spec, found = find_spec('mmdet'), _installed(*OPENMMLAB['mmcv'])
    if not found or not spec or not spec.submodule_search_locations:
        return None
    source = Path(spec.submodule_search_locations[0], '__init__.py')
    limit = source.exists() and re.search(
        r"mmcv_maximum_version = '([\d.]+)'", source.read_text(encoding='utf-8')
    )
    if limit and Version(found) >= Version(limit.group(1)):
        return (
            f'mmdet {_installed("mmdet")} takes mmcv < {limit.group(1)}, found {found}'
        )
    return None


def _broken_torchvision() -> str | None:
    try:
        importlib.import_module('torchvision')
    except Exception as error:  # a build for another torch can raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f'torchvision {_installed("torchvision")} does not belong to '
            f'torch {_installed("torch")} ({reason}). '
            'Remedy: install the two together, as https://pytorch.org says'
        )
    return None


def _missing_pkg_resources() -> str | None:
    """Report missing pkg_resources; mmengine up to 0.10.7 imports it during a run."""
    spec = find_spec('mmengine')
    if (
        find_spec('pkg_resources')
        or not spec
        or not any(
            'pkg_resources' in path.read_text(encoding='utf-8')
            for folder in spec.submodule_search_locations or ()
            for path in Path(folder).rglob('*.py')
        )
    ):
        return None
    setuptools = _installed('setuptools')
    names = (*OPENMMLAB['mmengine'], *ONEDL['mmengine'])
    return (
        f'mmengine {_installed(*names)} needs pkg_resources, which '
        'setuptools has before 82; found '
        + (f'setuptools {setuptools}' if setuptools else 'no setuptools')
        + '. Remedy: pip install "setuptools<81"'
    )


def _a_tool_starts() -> bool:
    """Whether the program is the ``mmreviewkd`` command or one of ``tools/``."""
    main = sys.modules['__main__']
    if (main.__doc__ or '').startswith('The command ``mmreviewkd '):
        return True  # also a tool of another copy of the repository
    program = getattr(main, '__file__', None)
    if program is None:
        # "python -m mmreviewkd", while Python is still looking for __main__.py
        return sys.argv[:1] == ['-m']
    path, package = Path(program).resolve(), Path(__file__).resolve().parent
    ours = (package.parent / 'tools', package / '.mim' / 'tools')
    return path.stem == 'mmreviewkd' or not set(path.parents).isdisjoint(ours)
