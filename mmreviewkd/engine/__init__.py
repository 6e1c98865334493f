from .review_weight_hook import ReviewWeightHook
from .teacher_check import TeacherCheckHook, check_teacher

__all__ = ['ReviewWeightHook', 'TeacherCheckHook', 'check_teacher']
