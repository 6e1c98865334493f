from .abf import ABF
from .hcl import hcl_loss
from .review import Review

__all__ = ['ABF', 'Review', 'hcl_loss']
