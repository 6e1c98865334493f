"""The tutorial's commands, as they stand in its text, on the blood cells."""

import os
import re
import subprocess
import sys
from pathlib import Path

from mmreviewkd.commands import COMMANDS
from tests.support.paths import ROOT

import pytest

DATA = ROOT.parent / 'shared' / 'data' / 'cbc'
TEXT = (ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')


def test_files_that_it_names_are_there():
    links = re.findall(r'\]\(([^)#]+\.md)\)', TEXT)
    tools = re.findall(r'tools/\w+\.(?:py|sh)', TEXT)
    assert links and tools
    for path in [f'docs/{link}' for link in links] + tools:
        assert (ROOT / path).is_file(), path
    used = re.findall(r'^mmreviewkd ([\w-]+) ', TEXT, re.MULTILINE)
    assert {'train', 'test', 'distill', 'export'} <= set(used) <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason='no blood cells here')
def test_runs_from_its_text(tmp_path):
    # an epoch of a few images instead of twelve of all
    text = TEXT.replace('epoch_12', 'epoch_1').replace(
        'randomness.seed=0',
        'randomness.seed=0 train_cfg.max_epochs=1 '
        'train_cfg.val_interval=1 train_dataloader.dataset.indices=40',
    )
    assert text.count('max_epochs=1 ') == 3
    for name in ('configs', 'tools', 'mmreviewkd'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'cbc').symlink_to(DATA)
    script = 'set -eu\n' + '\n'.join(re.findall(r'```bash\n(.*?)```', text, re.DOTALL))
    env = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        PYTHONPATH=str(ROOT),
        PYTHONWARNINGS='ignore',
    )
    done = subprocess.run(
        ['bash', '-c', script],
        cwd=tmp_path,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    folder = tmp_path / 'work_dirs' / 'tutorial'
    assert (folder / 'looked' / 'index.html').is_file()
    assert (folder / 'compared' / 'curves.png').is_file()
    # the exported file tests as the run's own last validation did
    figures = re.findall(r'coco/bbox_mAP: ([\d.]+)', done.stdout)
    assert len(figures) == 5 and figures[-1] == figures[-2]
