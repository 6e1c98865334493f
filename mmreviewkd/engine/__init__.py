from .broadcast_buffers_hook import BroadcastBuffersHook
from .cpu_amp import CPUAmp
from .resume_hook import ResumeHook
from .review_gradient_hook import ReviewGradientHook
from .review_visualization_hook import ReviewVisualizationHook
from .review_weight_hook import ReviewWeightHook
from .strict_load_hook import StrictLoadHook
from .teacher_check import TeacherCheckHook, check_teacher

__all__ = [
    'BroadcastBuffersHook',
    'CPUAmp',
    'ResumeHook',
    'ReviewGradientHook',
    'ReviewVisualizationHook',
    'ReviewWeightHook',
    'StrictLoadHook',
    'TeacherCheckHook',
    'check_teacher',
]
