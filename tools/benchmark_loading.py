#!/usr/bin/env python
"""The command ``mmreviewkd benchmark loading``, with the same flags."""

from mmreviewkd.commands import run

if __name__ == '__main__':
    run('benchmark loading')
