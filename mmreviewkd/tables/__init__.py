"""Tables of many runs: which they are, what is kept of each, and what is reported."""

from .record import Record, read_record, record_run
from .table import Row, Table, read_table

__all__ = ['Record', 'Row', 'Table', 'read_record', 'read_table', 'record_run']
