"""``--cfg-options`` with usage errors for mistakes, in place of tracebacks."""

import argparse
import re
from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import Optional

from mmengine.config import Config, DictAction

from ..errors import UserInputError, near

# matches dict(...) or {key: ...}, alone or in a list
_DICT = re.compile(r"""(^|[\[(,])\s*(dict\(|\{\s*['"\w]+\s*:)""")


class CfgOptionsAction(DictAction):
    """mmengine's ``DictAction``, for values that are numbers, strings or lists.

    Anything else is a usage error with exit code 2: an option without ``=``,
    unbalanced brackets, and dicts, which ``DictAction`` would take for strings or
    for lists that never end.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Optional[str] = None,
    ) -> None:
        for option in values:
            key, equals, value = option.partition('=')
            if not key or not equals:
                parser.error(
                    f'{option_string} {option}: must be KEY=VALUE, '
                    'without spaces around "="'
                )
            if _DICT.search(value.strip('\'"')):
                parser.error(
                    f'{option_string} {option}: dicts and lists of dicts go '
                    "into a config file that has _base_ = 'CONFIG'; single "
                    f'values of one that is there are {key}.NAME=VALUE, in a '
                    f'list {key}.0.NAME=VALUE'
                )
            try:
                super().__call__(parser, namespace, [option], option_string)
            except (AssertionError, RecursionError):
                parser.error(f'{option_string} {option}: its brackets are not balanced')


def merge_options(
    cfg: Config,
    options: dict,
    flag: str = '--cfg-options',
    known: Optional[Iterable[str]] = None,
) -> None:
    """Merge the options that :class:`CfgOptionsAction` has read into a config.

    Args:
        cfg (Config): The config, which is changed in place.
        options (dict): Values by the path of their setting.
        flag (str): The flag that they were given by; for messages.
        known (Iterable[str], optional): The first parts that a path may have besides
            those that the config has; by default any will do.

    Raises:
        UserInputError: A path begins with an unknown name, or an option sets an entry
            of a value that has no entries.
    """
    firsts = {*(known or ()), *cfg}
    for path in options if known is not None else ():
        first = path.partition('.')[0]
        if first not in firsts:
            raise UserInputError(
                f'{flag} {path}: the config has no {first}{near(first, firsts)}'
            )
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        reason = shorten(str(error.args[0]), 200)
    except AttributeError:
        reason = 'of a list, single dicts can be changed, but no other values'
    else:
        return
    raise UserInputError(
        f'{flag} {" ".join(options)}: does not fit the config: {reason}'
    )
