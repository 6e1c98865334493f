from .at import AttentionTransfer
from .auto_weight import AutoWeight
from .binary_kd import BinaryKDLoss
from .cc import CC
from .correlation_congruence import CorrelationCongruence
from .crd import CRD
from .cwd import CWD
from .dist import DIST
from .dkd import DKDLoss
from .fgd import FGD
from .fitnet import FitNet
from .kd import KDLoss
from .method import Method, Pair, TrainedMethod, View
from .mgd import MGD
from .mimic import Mimic
from .ofd import OFD
from .pkd import PKD
from .pkt import PKT
from .review import ABF, Review, Standardize, hcl_loss
from .rkd import RKD
from .sp import SimilarityPreserving
from .sskd import SSKD
from .vid import VID

__all__ = [
    'ABF',
    'CC',
    'CRD',
    'CWD',
    'DIST',
    'FGD',
    'MGD',
    'OFD',
    'PKD',
    'PKT',
    'RKD',
    'SSKD',
    'VID',
    'AttentionTransfer',
    'AutoWeight',
    'BinaryKDLoss',
    'CorrelationCongruence',
    'DKDLoss',
    'FitNet',
    'KDLoss',
    'Method',
    'Mimic',
    'Pair',
    'Review',
    'SimilarityPreserving',
    'Standardize',
    'TrainedMethod',
    'View',
    'hcl_loss',
]
