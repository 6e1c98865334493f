from .abf import ABF
from .hcl import hcl_loss
from .review import Review
from .standardize import Standardize

__all__ = ['ABF', 'Review', 'Standardize', 'hcl_loss']
