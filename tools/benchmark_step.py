#!/usr/bin/env python
"""The command ``mmreviewkd benchmark step``, with the same flags."""

from mmreviewkd.commands import run

if __name__ == '__main__':
    run('benchmark step')
