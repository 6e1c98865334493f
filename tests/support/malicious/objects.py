"""Changes to objects and classes that are there already."""

from tests.support.malicious.containers import zipped
from tests.support.malicious.pickles import (
    HISTORY,
    NONE,
    call,
    items,
    made,
    mapping,
    name,
    number,
    text,
)

FILES = dict(
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
