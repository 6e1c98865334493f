"""NumPy arrays whose bytes would be taken for pointers, or for more than there are."""

from tests.support.malicious.containers import zipped
from tests.support.malicious.pickles import (
    FALSE,
    NDARRAY,
    NONE,
    OBJECT_POINTERS,
    array,
    call,
    dtype,
    items,
    mapping,
    name,
    number,
    raw,
    text,
)

FILES = dict(
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
)
