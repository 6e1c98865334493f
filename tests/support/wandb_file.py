"""Reads the file of an offline W&B run, for which wandb 0.31 has no reader in Python.

The file is LevelDB's log format (google/leveldb, doc/log_format.md) after a header of
seven bytes: blocks of 32 KiB, in which a record has a checksum (4 bytes), its length
(2), its kind (1) and its content. A record that does not fit is cut into pieces.
"""

import json
from pathlib import Path

HEADER, BLOCK = 7, 2**15
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    content, place, pieces = Path(path).read_bytes(), HEADER, []
    assert content.startswith(b':W&B')
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        size, kind = content[place + 4] + 256 * content[place + 5], content[place + 6]
        assert kind in (FULL, FIRST, MIDDLE, LAST), kind
        place += HEADER
        pieces.append(content[place : place + size])
        place += size
        if kind in (FULL, LAST):
            yield b''.join(pieces)
            pieces = []


def history(path):
    """What was logged together, a dict for each call of ``wandb.log``."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for each in records(path):
        record = Record()
        record.ParseFromString(each)
        if record.WhichOneof('record_type') == 'history':
            found.append(
                {
                    item.key or '.'.join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
            )
    return found
