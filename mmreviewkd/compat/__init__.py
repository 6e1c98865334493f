"""What upstream lacks on some machines, applied once at import."""
from .checkpoint import load_local, register_safe_loaders
from .mmcv_ext import ensure_mmcv_ops
from .saving import keep_checkpoints_whole

__all__ = [
    'ensure_mmcv_ops', 'keep_checkpoints_whole', 'load_local',
    'register_safe_loaders'
]
