from .abf import ABF
from .hcl import hcl_loss
from .kd_losses import BinaryKDLoss, DKDLoss, KDLoss
from .review import Review
from .review_kd import ReviewKD
from .teacher import Teacher

__all__ = [
    'ABF',
    'BinaryKDLoss',
    'DKDLoss',
    'KDLoss',
    'Review',
    'ReviewKD',
    'Teacher',
    'hcl_loss',
]
