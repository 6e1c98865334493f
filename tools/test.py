#!/usr/bin/env python
"""The command ``mmreviewkd test``, with the same flags."""

from mmreviewkd.commands import run

if __name__ == '__main__':
    run('test')
