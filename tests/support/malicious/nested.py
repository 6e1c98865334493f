"""Files within files, each of which a reader would open in turn."""

import io
import tarfile

from tests.support.malicious.containers import legacy, zipped
from tests.support.malicious.pickles import (
    HISTORY,
    NONE,
    SYSTEM,
    TRUE,
    call,
    items,
    name,
    raw,
    text,
)

import torch


class Script(torch.nn.Module):
    """A TorchScript program that writes a file when it is loaded."""

    @torch.jit.export
    def __getstate__(self):
        return torch.ones(1)

    @torch.jit.export
    def __setstate__(self, state: torch.Tensor):
        torch.save(state, 'harm')
        self.training = False

    def forward(self, x: torch.Tensor):
        return x


def script(path):
    torch.jit.save(torch.jit.script(Script()), str(path))


def tar(path):
    with tarfile.open(path, 'w') as archive:
        for record in ('storages', 'tensors', 'pickle'):
            content = (
                b'\x80\x02K\x00.' if record != 'pickle' else b'\x80\x02' + SYSTEM + b'.'
            )
            entry = tarfile.TarInfo(record)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


FILES = dict(
    load_from_bytes=(
        'torch.storage._load_from_bytes',
        zipped(call(name('torch.storage', '_load_from_bytes'), raw(b'x'))),
    ),
    torch_load=(
        'torch.serialization.load',
        zipped(call(name('torch.serialization', 'load'), text('x'))),
    ),
    jit_load=(
        'torch.jit._serialization.load',
        zipped(call(name('torch.jit._serialization', 'load'), text('x'))),
    ),
    numpy_load=(
        'numpy.load',
        zipped(call(name('numpy', 'load'), text('x'), NONE, TRUE)),
    ),
    torchscript=('TorchScript', script),
    tar=('cannot be read', tar),
    source_patch=(
        'a persistent id',
        legacy(items(text('module'), HISTORY, text('a.py'), text('source')) + b'Q'),
    ),
)
