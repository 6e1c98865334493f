from .at import AttentionTransfer
from .binary_kd import BinaryKDLoss
from .crd import CRD
from .dkd import DKDLoss
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .review import ABF, Review, hcl_loss
from .sp import SimilarityPreserving

__all__ = [
    'ABF',
    'CRD',
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
