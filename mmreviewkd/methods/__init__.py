from .at import AttentionTransfer
from .binary_kd import BinaryKDLoss
from .dkd import DKDLoss
from .fitnet import FitNet
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .review import ABF, Review, hcl_loss
from .sp import SimilarityPreserving

__all__ = [
    'ABF',
    'AttentionTransfer',
    'BinaryKDLoss',
    'DKDLoss',
    'FitNet',
    'KDLoss',
    'Method',
    'Pair',
    'Review',
    'SimilarityPreserving',
    'TrainedMethod',
    'View',
    'hcl_loss',
]
