"""Features that upstream packages lack on some machines, added once at import."""

from .checkpoint import load_from_local, register_safe_loaders
from .config_names import serve_config_names
from .distributed import allow_gloo_without_gpu
from .kept_checkpoints import keep_what_is_not_the_runs_own
from .loggers import mend_loggers
from .mmcv_ext import ensure_mmcv_ops
from .saving import keep_checkpoints_whole
from .student_config import answer_for_the_student

__all__ = [
    'allow_gloo_without_gpu',
    'answer_for_the_student',
    'ensure_mmcv_ops',
    'keep_checkpoints_whole',
    'keep_what_is_not_the_runs_own',
    'load_from_local',
    'mend_loggers',
    'register_safe_loaders',
    'serve_config_names',
]
