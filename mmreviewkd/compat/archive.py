"""Reads files written by ``torch.save`` without ``torch.load``.

Before torch 2.6, ``torch.load`` runs TorchScript archives and unpacks tar
files, even if only weights are requested, and it trusts the file about how many
bytes belong to a tensor. The two formats themselves are simple: a zip archive with
a pickle and a record for each storage or, before torch 1.6, several pickles
followed by the storages.
"""

import io
import os
import struct
import sys
import zipfile
from typing import Any, BinaryIO, Callable

import torch

from .not_data import Name, NotData, expect
from .plain_tensors import STORAGE_DTYPES, Storage
from .unpickling import unpickle

_ZIP_MAGIC = b'PK\x03\x04'
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

Place = Callable[[torch.UntypedStorage, str], torch.UntypedStorage]
"""Function that moves a storage from the CPU to the device of a location string."""


def read_archive(file: BinaryIO, place: Place) -> Any:
    """Return the object in a file written by ``torch.save``.

    Args:
        file (BinaryIO): The file, at its beginning and seekable.
        place (Callable): Moves each storage to its device, given its location.

    Raises:
        NotData: The file contains something other than data.
        Exception: The file is damaged or was not written by torch. Nearly any type
            of error may be raised.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    file.seek(0)
    if not is_zip:
        return _read_legacy(file, _Storages(length, place))
    with zipfile.ZipFile(file) as archive:
        return _read_zip(archive, _Storages(length, place))


class _Storages:
    """The storages that a file's pickle refers to.

    Args:
        length (int): Size of the file in bytes; all storages together cannot be
            larger.
        place (Callable): Moves each storage to its device, see
            :func:`read_archive`.
    """

    def __init__(self, length: int, place: Place) -> None:
        self.left, self.place = length, place
        self.read: dict[str, torch.UntypedStorage] = {}
        """Storages on the CPU, as read from the file."""
        self.placed: dict[str, torch.UntypedStorage] = {}
        self.dtypes: dict[str, torch.dtype] = {}

    def new(self, key: str, bytes_: int) -> torch.UntypedStorage:
        self.left -= bytes_
        if self.left < 0:
            raise ValueError('its tensors are larger than the file')
        self.read[key] = torch.UntypedStorage(bytes_)
        return self.read[key]

    def find(self, reference: Any, fill: Callable[[str], None]) -> Storage:
        """Return the storage of a persistent id; a new one is read with ``fill``."""
        expect(
            type(reference) is tuple
            and len(reference) in (5, 6)
            and reference[0] == 'storage'
            and reference[5:] in ((), (None,)),
            'a persistent id',
            'it is no storage',
        )
        _, kind, key, location, count = reference[:5]
        expect(
            isinstance(kind, Name)
            and kind.path in STORAGE_DTYPES
            and type(key) is str
            and type(location) is str
            and type(count) is int
            and count >= 0,
            'a persistent id',
            'it is no storage of plain numbers',
        )
        dtype = STORAGE_DTYPES[kind.path]
        bytes_ = count * torch.empty(0, dtype=dtype).element_size()
        if key not in self.read:
            storage = self.new(key, bytes_)
            fill(key)
            self.placed[key] = self.place(storage, location)
            self.dtypes[key] = dtype
        if self.read[key].nbytes() != bytes_ or self.dtypes[key] != dtype:
            raise ValueError(f'storage {key} is of two sizes or types')
        return Storage(self.placed[key], dtype)


def _read_zip(archive: zipfile.ZipFile, storages: _Storages) -> Any:
    records = {record.filename: record for record in archive.infolist()}
    roots = [name[: -len('data.pkl')] for name in records if name.endswith('/data.pkl')]
    if len(roots) != 1 or len(records) != len(archive.infolist()):
        raise ValueError('the zip archive is not one of torch.save')
    (root,) = roots
    if f'{root}constants.pkl' in records:
        raise NotData('TorchScript', 'the file is a program, not weights')
    if any(
        record.compress_type != zipfile.ZIP_STORED or record.file_size > storages.left
        for record in records.values()
    ):
        raise ValueError('the zip archive is compressed; torch does not compress')
    if not any(record.CRC for record in records.values()):
        # saved without checksums: torch.serialization.set_crc32_options(False)
        for record in records.values():
            del record.CRC  # zipfile reads what has none as it is
    if f'{root}byteorder' in records:
        _check_byte_order(archive.read(f'{root}byteorder') == b'little')

    def fill(key: str) -> None:
        record = records[f'{root}data/{key}']
        storage = storages.read[key]
        if record.file_size != storage.nbytes():
            raise ValueError(
                f'storage {key} has {record.file_size} bytes, not {storage.nbytes()}'
            )
        with archive.open(record) as stored:
            _read_into(storage, stored)

    pickle = io.BytesIO(archive.read(records[f'{root}data.pkl']))
    return unpickle(pickle, lambda id_: storages.find(id_, fill))


def _read_legacy(file: BinaryIO, storages: _Storages) -> Any:
    if unpickle(file) != _LEGACY_MAGIC:
        raise ValueError('it does not begin as a file of torch.save')
    unpickle(file)  # the version of the format, which has never changed
    _check_byte_order(unpickle(file)['little_endian'])
    result = unpickle(file, lambda id_: storages.find(id_, lambda key: None))
    # the storages follow the pickle that refers to them
    keys = unpickle(file)
    if (
        type(keys) is not list
        or any(type(key) is not str for key in keys)
        or sorted(keys) != sorted(storages.read)
    ):
        raise ValueError('it has other storages than its tensors')
    for key in keys:
        storage, placed = storages.read[key], storages.placed[key]
        (elements,) = struct.unpack('<q', file.read(8))
        # the file gives the number of elements, the pickle the number of bytes
        if storage.nbytes() % max(elements, 1):
            raise ValueError(
                f'storage {key} has {storage.nbytes()} bytes for {elements} elements'
            )
        _read_into(storage, file)
        if placed is not storage and placed.device.type != 'meta':
            placed.copy_(storage)
    return result


def _read_into(storage: torch.UntypedStorage, file: Any) -> None:
    if not storage.nbytes():
        return
    data = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    if file.readinto(memoryview(data)) != storage.nbytes():
        raise EOFError('the file ends within a tensor')


def _check_byte_order(little: bool) -> None:
    if little != (sys.byteorder == 'little'):
        raise ValueError('it was written on a machine of another byte order')
