#!/usr/bin/env python
"""Are the losses of two commits the same, to the last bit or nearly?

Ten steps of five distillations (``ten_steps.py``) with the package as it is in
one commit and in another: each logged loss of each step, the names of
parameters and of the checkpoint's tensors, and all weights after the last step.

Example:
    python tests/support/compare_commits.py 4eaced8          # and the working tree
    python tests/support/compare_commits.py 4eaced8 HEAD
    python tests/support/compare_commits.py 93111f9 --rtol 1e-5  # first losses
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name('ten_steps.py')


def ten_steps(package: Path, out: Path) -> dict:
    subprocess.run(
        [sys.executable, SCRIPT, out],
        cwd=out.parent,
        env=dict(os.environ, PYTHONPATH=str(package), PYTHONWARNINGS='ignore'),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(out.read_text())


def results_of(commit: str, folder: Path) -> dict:
    if not commit:
        return ten_steps(ROOT, folder / 'tree.json')
    tree = folder / 'tree'
    git = ['git', '-C', str(ROOT), 'worktree']
    subprocess.run([*git, 'add', '-q', '--detach', str(tree), commit], check=True)
    try:
        return ten_steps(tree, folder / f'{commit.replace("/", "_")}.json')
    finally:
        subprocess.run([*git, 'remove', '--force', str(tree)], check=True)


def largest_difference(before: list[dict], after: list[dict]) -> float:
    """Largest relative difference of a logged loss, over all steps."""
    if [step.keys() for step in before] != [step.keys() for step in after]:
        return float('inf')
    pairs = [
        (float.fromhex(value), float.fromhex(other[key]))
        for step, other in zip(before, after)
        for key, value in step.items()
    ]
    return max(abs(a - b) / max(abs(a), 1e-12) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('before', help='a commit')
    parser.add_argument('after', nargs='?', default='', help='the working tree')
    parser.add_argument(
        '--rtol',
        type=float,
        default=0.0,
        help='relative difference that losses of the first step may have',
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            results_of(commit, Path(folder)) for commit in (args.before, args.after)
        )
    different = 0
    for name, expected in before.items():
        found = after[name]
        parts = {
            'losses': [expected['steps'], found['steps']],
            'weights': [expected['state'], found['state']],
            'names of tensors': [expected['keys'], found['keys']],
            'names of parameters': [expected['parameters'], found['parameters']],
        }
        unequal = [part for part, (one, other) in parts.items() if one != other]
        first = largest_difference(*(steps[:1] for steps in parts['losses']))
        largest = largest_difference(*parts['losses'])
        if args.rtol and first <= args.rtol:
            # later steps of a detector may differ by more: anchors and proposals are
            # chosen by values that differ in the last bit
            unequal = [part for part in unequal if part not in ('losses', 'weights')]
        different += len(unequal)
        last = {
            key: float.fromhex(value) for key, value in expected['steps'][-1].items()
        }
        print(
            f'{name}: '
            + (f'DIFFERENT {", ".join(unequal)}' if unequal else 'equal')
            + f'; largest relative difference of a loss {first:.1e} in the first step, '
            f'{largest:.1e} in all'
            + f'; {len(expected["steps"])} steps, {len(expected["keys"])} tensors, '
            f'loss in the last {last["loss"]:.6f}, loss_review '
            f'{last["loss_review"]:.6f}'
        )
    sys.exit(1 if different else 0)


if __name__ == '__main__':
    main()
