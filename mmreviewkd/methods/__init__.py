from .at import AttentionTransfer
from .binary_kd import BinaryKDLoss
from .cwd import CWD
from .dkd import DKDLoss
from .fgd import FGD
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .mgd import MGD
from .mimic import Mimic
from .pkd import PKD
from .review import ABF, Review, hcl_loss
from .sp import SimilarityPreserving

__all__ = [
    'ABF',
    'CWD',
    'FGD',
    'MGD',
    'PKD',
    'AttentionTransfer',
    'BinaryKDLoss',
    'DKDLoss',
    'KDLoss',
    'Method',
    'Mimic',
    'Pair',
    'Review',
    'SimilarityPreserving',
    'TrainedMethod',
    'View',
    'hcl_loss',
]
