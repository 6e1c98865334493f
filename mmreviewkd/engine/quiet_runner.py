"""mmengine's Runner, whose long preliminaries go to the log file alone."""

import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

_FOR_THE_FILE = (
    # of the run, some hundred lines each
    '\n------------------------------------------------------------\nSystem env',
    'Config:\n',
    'Hooks will be executed in the following order',
    # of mmengine's and mmdet's own inner workings
    'Distributed training is not used, all SyncBatchNorm',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    '`save_param_scheduler` is True but',
)
"""How messages begin that a person at the console has no use for (mmengine 0.10.7,
OneDL's 0.10.12)."""


class QuietRunner(Runner):
    """The Runner of the commands; all that it keeps from the console is in the file."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_for_the_console)
        return logger


def _is_for_the_console(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_FOR_THE_FILE)
