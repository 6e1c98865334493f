"""Small files that would take all of the time or the memory, or overflow the stack."""

import struct

from tests.support.malicious.containers import legacy, zipped
from tests.support.malicious.pickles import (
    DTYPE,
    ENDLESS,
    FALSE,
    NONE,
    REBUILD,
    again,
    call,
    items,
    mapping,
    name,
    number,
    storage,
    tensor,
    text,
)


def deep_key(path):
    # Python's hash of a deeply nested tuple overflows the stack
    key = b')' + 300000 * b'\x85'
    zipped(b'}' + key + NONE + b's')(path)


FILES = dict(
    deep_key=('dict', deep_key),
    huge_number=('LONG4', zipped(b'\x8b' + struct.pack('<i', 9) + 9 * b'\1')),
    huge_buffer=('cannot be read', zipped(b'\x96' + struct.pack('<Q', 1 << 62))),
    # the same large value, handed over again and again
    encode_bomb=(
        'more of its bytes',
        zipped(
            again(
                name('_codecs', 'encode'),
                items(text('x' * 250000), text('latin1')),
                100000,
            )
        ),
    ),
    set_bomb=(
        'more of its bytes',
        zipped(
            again(
                name('builtins', 'set'),
                items(b'](' + b''.join(map(number, range(65536))) + b'e'),
                80000,
            )
        ),
    ),
    size_bomb=(
        'torch.Size',
        zipped(again(name('torch', 'Size'), items(items(*250000 * [b'K\1'])), 100000)),
    ),
    product_bomb=(
        'torch._utils._rebuild_tensor',
        zipped(
            call(
                REBUILD,
                storage(4),
                number(0),
                items(*100000 * [b'\x8a\x08' + struct.pack('<q', 1 << 62)]),
                items(*100000 * [b'K\0']),
                FALSE,
                NONE,
            )
        ),
    ),
    same_hashes=(
        'dict',
        zipped(
            b'}('
            + b''.join(
                b'\x8a\x0a' + (i * (2**61 - 1)).to_bytes(10, 'little') + b'N'
                for i in range(40000)
            )
            + b'u'
        ),
    ),
    many_tuple_keys=(
        'dict',
        zipped(items(*400000 * [NONE]) + b'q\1' + b'}(' + 20000 * b'h\1N' + b'u'),
    ),
    endless_walk=('hold each other too often', zipped(ENDLESS)),
    deep=('lie in each other', zipped(b')' + 300000 * b'\x85')),
    holds_itself=('lie in each other', zipped(b']q\1h\1a')),
    stack_global_of_tuples=('a global name', zipped(ENDLESS + text('x') + b'\x93')),
    far_larger_than_its_storage=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), size=(1 << 29,), stride=(0,))),
    ),
    versions_that_torch_obeys=(
        'collections.OrderedDict',
        zipped(
            call(name('collections', 'OrderedDict'))
            + mapping(_metadata=mapping(a=mapping(version=text('x'))))
            + b'b'
        ),
    ),
    legacy_deep_key=(
        'lie in each other',
        legacy(b'}', b'](' + b')' + 300000 * b'\x85' + b'e'),
    ),
    legacy_without_its_storage=(
        'other storages',
        legacy(
            mapping(
                a=call(
                    REBUILD,
                    items(
                        text('storage'),
                        name('torch', 'FloatStorage'),
                        text('0'),
                        text('cpu'),
                        number(4),
                        NONE,
                    )
                    + b'Q',
                    number(0),
                    items(number(4)),
                    items(number(1)),
                    FALSE,
                    NONE,
                )
            )
        ),
    ),
    one_storage_of_two_types=(
        'two sizes or types',
        zipped(items(tensor(storage(4)), tensor(storage(4, kind='IntStorage')))),
    ),
    sixteen_bits=(
        'torch._utils._rebuild_tensor',
        zipped(
            call(
                name('torch._utils', '_rebuild_tensor_v3'),
                storage(4),
                number(0),
                items(number(4)),
                items(number(1)),
                FALSE,
                NONE,
                name('torch', 'bits16'),
            )
        ),
    ),
    escapes=('\\x1b[31m', zipped(name('posix\x1b[31m', 'system'))),
    endless_message=('tuple', zipped(ENDLESS + b')R')),
    endless_argument=('numpy.dtype', zipped(DTYPE + b'(' + ENDLESS + b'tR')),
)
