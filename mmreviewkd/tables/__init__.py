"""Tables of many runs: which they are, what is kept of each, and what is reported."""

from .command import commit_of_now, last_line, run_command
from .record import Record, read_record, record_run
from .report import report_table
from .summary import Gain, gain, percent, score
from .table import Row, Table, read_table

__all__ = [
    'Gain',
    'Record',
    'Row',
    'Table',
    'commit_of_now',
    'gain',
    'last_line',
    'percent',
    'read_record',
    'read_table',
    'record_run',
    'report_table',
    'run_command',
    'score',
]
