from .at import AttentionTransfer
from .binary_kd import BinaryKDLoss
from .cc import CC
from .correlation_congruence import CorrelationCongruence
from .crd import CRD
from .dist import DIST
from .dkd import DKDLoss
from .fitnet import FitNet
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .ofd import OFD
from .pkt import PKT
from .review import ABF, Review, hcl_loss
from .rkd import RKD
from .sp import SimilarityPreserving
from .sskd import SSKD
from .vid import VID

__all__ = [
    'ABF',
    'CC',
    'CRD',
    'DIST',
    'OFD',
    'PKT',
    'RKD',
    'SSKD',
    'VID',
    'AttentionTransfer',
    'BinaryKDLoss',
    'CorrelationCongruence',
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
