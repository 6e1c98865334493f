"""What upstream lacks on some machines, applied once at import."""
from .checkpoint import load_local, register_safe_loaders
from .ops import ensure_mmcv_ops

__all__ = ['ensure_mmcv_ops', 'load_local', 'register_safe_loaders']
