from .review_visualization_hook import ReviewVisualizationHook
from .review_weight_hook import ReviewWeightHook
from .teacher_check import TeacherCheckHook, check_teacher

__all__ = [
    'ReviewVisualizationHook', 'ReviewWeightHook', 'TeacherCheckHook',
    'check_teacher'
]
