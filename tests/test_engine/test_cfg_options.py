"""Slips on the command line are usage errors."""

import argparse

from mmreviewkd.commands.arguments import add_cfg_options
from mmreviewkd.engine.launch import read_config
from mmreviewkd.errors import UserInputError

import pytest


def parse(*options):
    parser = argparse.ArgumentParser(prog='tool')
    parser.add_argument('config')
    add_cfg_options(parser)
    return parser.parse_args(['x.py', '--cfg-options', *options])


def test_values_are_read_as_before():
    assert parse(
        'a.b=1',
        'c=1e-3',
        'd=[a,(1,2)]',
        'e=1,2',
        'f=x=y',
        'g=None',
        'h=epoch_{}.pth',
        'i=True',
        'j=',
        'k={x}',
    ).cfg_options == {
        'a.b': 1,
        'c': 1e-3,
        'd': ['a', (1, 2)],
        'e': [1, 2],
        'f': 'x=y',
        'g': None,
        'h': 'epoch_{}.pth',
        'i': True,
        'j': '',
        'k': '{x}',
    }


DICTS = (
    'dicts and lists of dicts go into a config file that has _base_ = '
    "'CONFIG'; single values of one that is there are "
)


@pytest.mark.parametrize(
    'option, message',
    [
        ('a', 'must be KEY=VALUE, without spaces around "="'),
        ('=1', 'must be KEY=VALUE'),
        (
            "hooks=[dict(type='A',x=1)]",
            f'{DICTS}hooks.NAME=VALUE, in a list hooks.0.NAME=VALUE',
        ),
        ('hooks=[dict(type=A)]', DICTS),
        ("hooks=[{'type':'A'}]", DICTS),
        ('hook=dict(type=A)', DICTS),
        ('hook={type: A}', DICTS),
        ('"hooks=[1,dict(type=A,x=1)]"', DICTS),
        ('a=[1,(2]', 'its brackets are not balanced'),
        ('a=[1,2', 'its brackets are not balanced'),
    ],
)
def test_what_cannot_be_read(option, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse('fine=1', option)
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f'tool: error: --cfg-options {option}: ')
    assert message in error


@pytest.mark.parametrize(
    'option, message',
    [
        ('model.x=1', 'of type <class'),
        ('steps.5.x=1', 'Index 5 exceeds the length of list'),
        ('steps.0=1', 'of a list, single dicts can be changed, but no other'),
    ],
)
def test_what_does_not_fit_the_config(tmp_path, option, message):
    config = tmp_path / 'x.py'
    config.write_text("model = 'FasterRCNN'\nsteps = [dict(), 8]")
    assert read_config(str(config), parse('steps.0.x=1')).steps == [dict(x=1), 8]
    with pytest.raises(UserInputError) as error:
        read_config(str(config), parse(option))
    assert str(error.value).startswith(
        f'--cfg-options {option.split("=")[0]}: does not fit the config: '
    )
    assert message in str(error.value)
