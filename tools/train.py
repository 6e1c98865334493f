#!/usr/bin/env python
"""Train a detector, distilled or plain; mmdet's flags."""

import argparse

import mmreviewkd  # noqa: F401
from mmreviewkd.engine.launch import add_train_arguments, read_config, train
from mmreviewkd.engine.one_line_errors import one_line_errors


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or mmdet::folder/name.py')
    add_train_arguments(parser)
    args = parser.parse_args()
    with one_line_errors(args.debug):
        train(read_config(args.config, args), args)


if __name__ == '__main__':
    main()
