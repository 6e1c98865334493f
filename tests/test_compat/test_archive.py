"""The two formats of torch.save, read without torch.load."""

import io
import struct
import zipfile

from mmreviewkd.compat.archive import read_archive
from mmreviewkd.compat.not_data import NotData

import pytest
import torch

FORMATS = pytest.mark.parametrize('zipped', [True, False])


def saved(content, zipped):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file


def keep(storage, location):
    return storage


@FORMATS
def test_each_storage_is_placed_once(zipped):
    base = torch.arange(6.0)
    places = []

    def place(storage, location):
        places.append((storage.nbytes(), location))
        return storage

    loaded = read_archive(
        saved(dict(a=base, b=base[2:], c=torch.ones(2)), zipped), place
    )
    assert sorted(places) == [(8, 'cpu'), (24, 'cpu')]
    assert torch.equal(loaded['a'], base) and torch.equal(loaded['b'], base[2:])
    loaded['a'][2] = 9
    assert loaded['b'][0] == 9


@FORMATS
def test_a_storage_that_is_placed_elsewhere(zipped):
    other = torch.UntypedStorage(12)
    loaded = read_archive(saved(torch.arange(3.0), zipped), lambda *_: other)
    if zipped:  # filled before it is placed, so that this one stays as it is
        assert loaded.untyped_storage().data_ptr() == other.data_ptr()
    else:
        assert loaded.tolist() == [0, 1, 2]


@FORMATS
@pytest.mark.parametrize('view', [torch.Tensor.conj, lambda each: each.conj().imag])
def test_a_view_with_other_signs_than_its_storage(view, zipped):
    made = view(torch.tensor([1 + 1j]))
    with pytest.raises(NotData, match='a conjugate or a negative that is not resolved'):
        read_archive(saved(made, zipped), keep)
    resolved = made.resolve_conj().resolve_neg()
    assert torch.equal(read_archive(saved(resolved, zipped), keep), made)


@FORMATS
def test_a_file_that_ends_early(zipped):
    whole = saved(dict(a=torch.arange(100.0)), zipped).getvalue()
    for length in (0, 3, len(whole) // 2, len(whole) - 1):
        with pytest.raises(Exception):  # noqa: B017 (nearly anything, it says)
            read_archive(io.BytesIO(whole[:length]), keep)


def test_a_file_without_checksums():
    """What torch saves after torch.serialization.set_crc32_options(False)."""
    file = saved(dict(a=torch.arange(3.0)), True)
    content = file.getvalue()
    with zipfile.ZipFile(file) as archive:
        for record in archive.infolist():
            content = content.replace(struct.pack('<I', record.CRC), bytes(4))
    assert read_archive(io.BytesIO(content), keep)['a'].tolist() == [0, 1, 2]
    damaged = file.getvalue().replace(struct.pack('<f', 2), bytes(4))
    with pytest.raises(zipfile.BadZipFile, match='Bad CRC-32'):
        read_archive(io.BytesIO(damaged), keep)


def test_a_file_of_another_byte_order():
    file = saved(torch.arange(3.0), True)
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    other = io.BytesIO()
    with zipfile.ZipFile(other, 'w') as archive:
        for name, content in records.items():
            archive.writestr(name, b'big' if name.endswith('/byteorder') else content)
    if any(name.endswith('/byteorder') for name in records):  # from torch 2.1 on
        with pytest.raises(ValueError, match='of another byte order'):
            read_archive(other, keep)
