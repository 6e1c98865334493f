from .abf import ABF
from .hcl import hcl_loss
from .review import Review
from .review_kd import ReviewKD
from .teacher import Teacher

__all__ = ['ABF', 'Review', 'ReviewKD', 'Teacher', 'hcl_loss']
