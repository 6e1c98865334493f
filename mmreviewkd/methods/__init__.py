from .at import AttentionTransfer
from .binary_kd import BinaryKDLoss
from .crd import CRD
from .dkd import DKDLoss
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .review import ABF, Review, hcl_loss
from .sp import SimilarityPreserving
from .sskd import SSKD

__all__ = [
    'ABF',
    'CRD',
    'SSKD',
    'AttentionTransfer',
    'BinaryKDLoss',
    'DKDLoss',
    'KDLoss',
    'Method',
    'Pair',
    'Review',
    'SimilarityPreserving',
    'TrainedMethod',
    'View',
    'hcl_loss',
]
