#!/usr/bin/env python
"""The command ``mmreviewkd convert``, with the same flags."""

from mmreviewkd.commands import run

if __name__ == '__main__':
    run('convert')
