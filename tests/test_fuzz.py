"""Checkpoints changed at random: each loads or is refused, and that is all.

``make test-fuzz`` takes 10,000 of them, the fast suite a few. Number N of a
run is made by seed N alone, so that a failure can be made again.
"""

import faulthandler
import io
import os
import random
import resource
import signal
import struct
import traceback
import zipfile

from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from tests.support.commands import call
from tests.support.malicious import FILES

import pytest
import torch

SECONDS = 20
"""After which a file counts as one that hangs."""
BATCH = 250
"""Files that one process opens."""

NAMES = [
    name.encode().replace(b'.', b' ', 1).replace(b' ', b'\n', 1)
    for name in (
        'numpy.ndarray',
        'numpy.dtype',
        'builtins.getattr',
        'torch.Tensor',
        'torch.FloatStorage',
        'torch.DoubleStorage',
        'torch.Size',
        'collections.OrderedDict',
        'posix.system',
    )
]
NUMBERS = [-1, 0, 1, 3, 127, 2**15, 2**31 - 1, -(2**31), 2**30]


def change_bytes(rng, content):
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def move_piece(rng, content):
    start = rng.randrange(len(content))
    piece = content[start : start + rng.choice([1, 4, 20, 300])]
    to = rng.randrange(len(content))
    kept = content if rng.random() < 0.5 else content.replace(piece, b'', 1)
    return kept[:to] + piece * rng.choice([0, 1, 1, 2]) + kept[to:]


def change_number(rng, content):
    """Another value after one of the opcodes that push a number."""
    places = [i for i in range(len(content) - 5) if content[i : i + 1] in b'KMJ']
    i = rng.choice(places)
    width = dict(K=1, M=2, J=4)[content[i : i + 1].decode()]
    return (
        content[:i]
        + b'J'
        + struct.pack('<i', rng.choice(NUMBERS))
        + content[i + 1 + width :]
    )


def change_name(rng, content):
    starts = [i for i in range(len(content)) if content[i : i + 1] == b'c']
    i = rng.choice(starts)
    end = content.find(b'\n', content.find(b'\n', i) + 1)
    return content[: i + 1] + rng.choice(NAMES) + content[max(end, i + 1) :]


def change_pickle(rng, content):
    """The pickle in the archive alone, with all check sums made anew."""
    change = rng.choice([change_bytes, move_piece, change_number, change_name])
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(target, 'w') as new,
    ):
        for record in old.infolist():
            data = old.read(record)
            if record.filename.endswith('data.pkl'):
                data = change(rng, data)
            new.writestr(record.filename, data)
    return target.getvalue()


def change_headers(rng, content):
    """Where the archive says what lies where."""
    directory = content.rfind(b'PK\x05\x06')
    (start,) = struct.unpack_from('<I', content, directory + 16)
    return content[:start] + change_bytes(rng, content[start:])


def cut(rng, content):
    return content[: rng.randrange(len(content))]


def mutated(seed, zipped, legacy):
    rng = random.Random(seed)
    if rng.random() < 0.25:
        return rng.choice([change_bytes, move_piece, change_number, cut])(rng, legacy)
    return rng.choice(
        [
            change_pickle,
            change_pickle,
            change_pickle,
            change_bytes,
            move_piece,
            change_headers,
            cut,
        ]
    )(rng, zipped)


def touch(value):
    """Read every tensor, which would fail beyond its memory."""
    if isinstance(value, torch.Tensor):
        if value.numel() < 1 << 24 and not value.is_complex():
            value.double().sum()
    elif isinstance(value, dict):
        for each in value.values():
            touch(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            touch(each)


def open_batch(seeds, zipped, legacy, folder):
    """Outcomes of some files, in a process that may die of them."""
    path, report = folder / 'mutated.pth', folder / 'report'
    process = os.fork()
    if not process:
        faulthandler.disable()
        # a file must not take the machine's memory either
        resource.setrlimit(resource.RLIMIT_DATA, (6 << 30,) * 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with open(report, 'w') as out:
            for seed in seeds:
                path.write_bytes(mutated(seed, zipped, legacy))
                signal.alarm(SECONDS)
                try:
                    touch(load_from_local(str(path)))
                    outcome = 'loaded'
                except UserInputError:
                    outcome = 'refused'
                except BaseException:
                    outcome = traceback.format_exc().replace('\n', ' | ')
                signal.alarm(0)
                out.write(f'{outcome}\n')
                out.flush()
        os._exit(0)
    _, status = os.waitpid(process, 0)
    outcomes = report.read_text().splitlines()
    if os.WIFSIGNALED(status):
        outcomes.append(f'signal {os.WTERMSIG(status)}')
    return outcomes


def fuzz(project, monkeypatch, count):
    """Numbers of files that loaded and were refused; others by their seed."""
    monkeypatch.chdir(project)
    assert (
        call(
            'train',
            'distil.py',
            '--work-dir',
            'run',
            '--cfg-options',
            'train_cfg.max_epochs=1',
        )
        is None
    )
    path = project / 'run' / 'epoch_1.pth'
    zipped, legacy = path.read_bytes(), io.BytesIO()
    torch.save(load_from_local(str(path)), legacy, _use_new_zipfile_serialization=False)
    seen, seed = dict(loaded=0, refused=0), 0
    while seed < count:
        seeds = range(seed, min(count, seed + BATCH))
        for outcome in open_batch(seeds, zipped, legacy.getvalue(), project):
            if outcome in seen:
                seen[outcome] += 1
            else:
                seen[f'seed {seed}'] = outcome
            seed += 1
    return seen


def test_a_few(project, monkeypatch):
    seen = fuzz(project, monkeypatch, 80)
    assert set(seen) == {'loaded', 'refused'}, seen
    assert seen['refused'] > 30 and seen['loaded'] > 5


@pytest.mark.fuzz
def test_ten_thousand(project, monkeypatch, capsys):
    count = int(os.environ.get('FUZZ_COUNT', 10000))
    seen = fuzz(project, monkeypatch, count)
    with capsys.disabled():
        print(f'\nseeds 0 to {count - 1}, torch {torch.__version__}: {seen}')
    assert set(seen) == {'loaded', 'refused'}, seen


def test_a_process_that_dies_is_seen(tmp_path, monkeypatch):
    # or the tests above would show nothing
    monkeypatch.setattr(
        f'{__name__}.load_from_local',
        lambda path: os.kill(os.getpid(), signal.SIGSEGV),
    )
    FILES['system'][1](tmp_path / 'file.pth')
    content = (tmp_path / 'file.pth').read_bytes()
    assert open_batch([0], content, content, tmp_path) == ['signal 11']
