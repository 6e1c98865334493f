"""Flags that several commands share."""

from tests.support.commands import call


def test_usage_errors(project, capsys):
    hooks = 'custom_hooks=[dict(type=A,b=1)]'
    for option, message in (
        (hooks, 'lists of dicts go into a config file'),
        ('a', 'must be KEY=VALUE'),
    ):
        for tool, *files in (
            ['train', 'x.py'],
            ['test', 'x.py', 'x.pth'],
            ['check_teacher', 'x.py'],
        ):
            assert call(tool, *files, '--cfg-options', option) == 2
            assert message in capsys.readouterr().err.splitlines()[-1]
