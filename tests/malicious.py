"""Checkpoint files that would do harm where they are not read as data.

:data:`FILES` has, for each, what its refusal must name and how it is made.
"""

import io
import struct
import tarfile
import zipfile

import torch

HARM = 'harm'
"""Name of the file that a successful attack leaves in the current folder."""


# ------------------------------------------- an assembler of pickle opcodes
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


# ---------------------------------------------------------------- the files
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


def deep_key(path):
    # Python's hash of a deeply nested tuple overflows the stack
    key = b')' + 300000 * b'\x85'
    zipped(b'}' + key + NONE + b's')(path)


def twice(path):
    # zip readers differ in which of two records of one name they take
    zipped(tensor(storage(4)), (('data/0', bytes(16)), ('data/0', bytes(8))))(path)


SYSTEM = call(name('posix', 'system'), text(f'touch {HARM}'))
OPEN = call(name('__builtin__', 'open'), text(HARM), text('w'))

FILES = dict(
    # code
    system=('posix.system', zipped(SYSTEM)),
    system_legacy=('posix.system', legacy(SYSTEM)),
    system_bare=('posix.system', bare(b'\x80\x02' + SYSTEM + b'.')),
    system_protocol_0=('posix.system', bare(b'cposix\nsystem\n(S"touch harm"\ntR.')),
    system_protocol_4=(
        'posix.system',
        zipped(b'\x8c\x05posix\x8c\x06system\x93' + items(text('touch harm')) + b'R'),
    ),
    system_as_instance=(
        'INST',
        zipped(b'(' + text('touch harm') + b'iposix\nsystem\n'),
    ),
    system_as_object=(
        'posix.system',
        zipped(b'(' + name('posix', 'system') + text('touch harm') + b'o'),
    ),
    system_by_extension=('EXT1', zipped(b'\x82\x01' + items(text('x')) + b'R')),
    open=('builtins.open', zipped(OPEN)),
    exec=(
        'builtins.exec',
        zipped(call(name('__builtin__', 'exec'), text('open("harm", "w")'))),
    ),
    eval=(
        'builtins.eval',
        zipped(call(name('builtins', 'eval'), text('open("harm", "w")'))),
    ),
    import_=(
        'builtins.__import__',
        zipped(call(name('builtins', '__import__'), text('antigravity'))),
    ),
    popen=(
        'subprocess.Popen',
        zipped(call(name('subprocess', 'Popen'), items(text('touch'), text(HARM)))),
    ),
    rmtree=('shutil.rmtree', zipped(call(name('shutil', 'rmtree'), text('run')))),
    cdll=('ctypes.CDLL', zipped(call(name('ctypes', 'CDLL'), text('x.so')))),
    run_code=(
        'runpy._run_code',
        zipped(call(name('runpy', '_run_code'), text('1'), b'}')),
    ),
    partial=(
        'functools.partial',
        zipped(call(name('functools', 'partial'), name('posix', 'system'))),
    ),
    attrgetter=(
        'operator.attrgetter',
        zipped(call(name('operator', 'attrgetter'), text('__globals__'))),
    ),
    own_class=(
        'mmengine.config.config.Config',
        zipped(made(name('mmengine.config.config', 'Config'), b'}')),
    ),
    # files within files
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
    # memory, through numpy
    array_called=(
        'numpy.ndarray',
        zipped(call(NDARRAY, items(number(1)), text('O'), OBJECT_POINTERS)),
    ),
    array_of_objects=('numpy.dtype', zipped(array((1,), dtype('O8'), OBJECT_POINTERS))),
    array_of_named_objects=(
        'numpy.dtype',
        zipped(
            array(
                (1,),
                dtype(
                    'V8',
                    items(
                        number(3),
                        text('|'),
                        NONE,
                        items(text('a')),
                        mapping(a=items(dtype('O8'), number(0))),
                        number(8),
                        number(1),
                        number(63),
                    ),
                ),
                OBJECT_POINTERS,
            )
        ),
    ),
    dtype_turned_into_objects=(
        'numpy.dtype',
        zipped(
            array(
                (1,),
                dtype(
                    'f8',
                    items(
                        number(3),
                        text('|'),
                        NONE,
                        NONE,
                        NONE,
                        number(-1),
                        number(-1),
                        number(63),
                    ),
                ),
                OBJECT_POINTERS,
            )
        ),
    ),
    array_turned_into_objects=(
        'numpy.ndarray',
        zipped(array((1,), text('O'), OBJECT_POINTERS)),
    ),
    array_larger_than_its_bytes=(
        'numpy.ndarray',
        zipped(array((1 << 28,), dtype('f8'), raw(bytes(8)))),
    ),
    array_of_negative_size=(
        'numpy.ndarray',
        zipped(array((-1,), dtype('f8'), raw(bytes(8)))),
    ),
    array_filled_twice=(
        'ndarray',
        zipped(
            array((1,), dtype('f8'), raw(bytes(8)))
            + items(number(1), items(number(0)), dtype('f8'), FALSE, raw(b''))
            + b'b'
        ),
    ),
    array_class_changed=('numpy.ndarray', zipped(NDARRAY + mapping(shape=NONE) + b'b')),
    scalar_of_objects=(
        'numpy.dtype',
        zipped(
            call(name('numpy.core.multiarray', 'scalar'), dtype('O8'), OBJECT_POINTERS)
        ),
    ),
    scalar_of_few_bytes=(
        'numpy.scalar',
        zipped(call(name('numpy._core.multiarray', 'scalar'), dtype('f8'), raw(b'x'))),
    ),
    array_with_a_function=(
        'numpy._core.multiarray.frombuffer',
        zipped(call(name('numpy._core.multiarray', 'frombuffer'), raw(b'x'))),
    ),
    # memory, through torch
    beyond_its_storage=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), size=(1 << 20,))),
    ),
    before_its_storage=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), offset=-1000000)),
    ),
    backwards=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), stride=(-1000000,))),
    ),
    larger_than_its_record=(
        'larger than the file',
        zipped(tensor(storage(1 << 29), size=(1 << 29,))),
    ),
    record_of_another_size=(
        'storage 0 has 16 bytes',
        zipped(tensor(storage(8), size=(8,))),
    ),
    no_storage=('torch._utils._rebuild_tensor', zipped(tensor(number(140000000)))),
    tensor_called=(
        'torch.Tensor',
        zipped(call(name('torch', 'Tensor'), number(1 << 30))),
    ),
    tensor_of_another_type=(
        'torch._utils._rebuild_wrapper_subclass',
        zipped(call(name('torch._utils', '_rebuild_wrapper_subclass'), HISTORY)),
    ),
    two_records_of_a_name=('not one of torch.save', twice),
    compressed=(
        'compressed',
        zipped(tensor(storage(4)), compression=zipfile.ZIP_DEFLATED),
    ),
    deep_key=('dict', deep_key),
    huge_number=('LONG4', zipped(b'\x8b' + struct.pack('<i', 9) + 9 * b'\1')),
    huge_buffer=('cannot be read', zipped(b'\x96' + struct.pack('<Q', 1 << 62))),
    # time and memory: the same large value, handed over again and again
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
    # objects and classes that are there already
    history_with_methods=(
        'posix.system',
        zipped(
            made(
                HISTORY,
                mapping(
                    max_length=number(1),
                    _log_history=NONE,
                    _count_history=NONE,
                    statistics_methods=mapping(mean=name('posix', 'system')),
                ),
            )
        ),
    ),
    history_of_something_else=(
        'HistoryBuffer',
        zipped(made(HISTORY, mapping(_statistics_methods=b'}'))),
    ),
    history_class_changed=(
        'HistoryBuffer',
        zipped(HISTORY + items(NONE, mapping(mean=NONE)) + b'b'),
    ),
    history_called=('HistoryBuffer', zipped(call(HISTORY, b']', b']'))),
    getattr_globals=(
        'getattr',
        zipped(call(name('builtins', 'getattr'), HISTORY, text('__init__'))),
    ),
    getattr_of_another=(
        'getattr',
        zipped(
            call(
                name('builtins', 'getattr'),
                name('collections', 'OrderedDict'),
                text('mean'),
            )
        ),
    ),
    attributes=(
        'collections.OrderedDict',
        zipped(
            call(name('collections', 'OrderedDict')) + mapping(__class__=NONE) + b'b'
        ),
    ),
    class_changed=(
        'collections.OrderedDict',
        zipped(
            name('collections', 'OrderedDict') + items(NONE, mapping(get=NONE)) + b'b'
        ),
    ),
)
