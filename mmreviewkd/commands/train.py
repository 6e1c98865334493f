"""Train a detector or classifier, with the flags of mmdet's tools/train.py."""

import argparse

from ..engine.launch import read_config, train
from .arguments import CONFIG, add_path, add_train_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help=CONFIG)
    add_train_arguments(parser)


def run(args: argparse.Namespace) -> None:
    train(read_config(args.config, args), args)
