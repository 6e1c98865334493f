"""Tables of many runs: which they are, what is kept of each, and what is reported."""

from .command import commit_of_now, run_command
from .record import Record, read_record
from .report import report_table
from .run import Run
from .summary import Gain, gain, percent, score
from .table import Row, Table, read_table

__all__ = [
    'Gain',
    'Record',
    'Row',
    'Run',
    'Table',
    'commit_of_now',
    'gain',
    'percent',
    'read_record',
    'read_table',
    'report_table',
    'run_command',
    'score',
]
