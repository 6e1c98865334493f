"""Files that hold a pickle, as torch.save writes them or otherwise."""

import io
import zipfile

from tests.support.malicious.pickles import mapping

import torch


def zipped(evil, records=(('data/0', bytes(16)),), **kwargs):
    """A file as torch.save writes it, with ``evil`` among its weights."""

    def write(path):
        content = (
            b'\x80\x02' + mapping(state_dict=mapping(weight=evil), meta=b'}') + b'.'
        )
        with zipfile.ZipFile(path, 'w', **kwargs) as archive:
            for record, data in (('data.pkl', content), ('version', b'3\n'), *records):
                archive.writestr(f'archive/{record}', data)

    return write


def legacy(evil, keys=b']'):
    """The same in the format before torch 1.6."""

    def write(path):
        whole = io.BytesIO()
        torch.save(dict(a=1), whole, _use_new_zipfile_serialization=False)
        head = whole.getvalue()
        head = head[: head.index(b'\x80\x02}q\x00X\x01\x00\x00\x00a')]
        path.write_bytes(
            head + b'\x80\x02' + mapping(state_dict=evil) + b'.\x80\x02' + keys + b'.'
        )

    return write


def bare(content):
    return lambda path: path.write_bytes(content)
