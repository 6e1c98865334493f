#!/usr/bin/env python
"""The command ``mmreviewkd export``, with the same flags."""

from mmreviewkd.commands import run

if __name__ == '__main__':
    run('export')
