"""Review-KD for MMDetection.

A config only needs ``custom_imports = dict(imports=['mmreviewkd'])``. The import
provides missing mmcv operators, makes checkpoints load safely and registers the
models, hooks and datasets.
"""

import sys
import warnings
from contextlib import redirect_stdout

from .environment import check_environment, quiet_interruption
from .version import __version__

# mmengine 0.10.7 imports it, and warns of that five times; a user can do nothing
warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)

# what packages print while they are imported is not what a command puts out
with quiet_interruption(), redirect_stdout(sys.stderr):
    check_environment()

    from .compat import (
        allow_gloo_without_gpu,
        answer_for_the_student,
        ensure_mmcv_ops,
        keep_checkpoints_whole,
        keep_what_is_not_the_runs_own,
        mend_loggers,
        register_safe_loaders,
        serve_config_names,
    )

    ensure_mmcv_ops()
    register_safe_loaders()
    keep_checkpoints_whole()
    keep_what_is_not_the_runs_own()
    allow_gloo_without_gpu()
    serve_config_names()
    answer_for_the_student()
    mend_loggers()

    from . import classification, engine, models  # noqa: F401

__all__ = ['__version__']
