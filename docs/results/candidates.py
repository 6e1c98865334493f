"""Ways to a weight that stand beside ``weight='auto'``, see docs/weights.md.

They are methods like those of users; configs import ``docs.results.candidates``.
"""

from mmreviewkd.methods.auto_weight import EARLY
from mmreviewkd.methods.review import Review
from mmreviewkd.methods.review.standardize import Standardize

import torch
import torch.nn as nn
from mmdet.registry import MODELS


@MODELS.register_module()
class NormalizedReview(Review):
    """The teacher's features normalised as by ``'auto'``, and a number as weight."""

    def __init__(self, in_channels, out_channels, **settings):
        super().__init__(in_channels, out_channels, **settings)
        self.standardize = nn.ModuleList(map(Standardize, out_channels))

    def targets(self, features):
        if self.training and self.standardize[0].batches < EARLY:
            for standardize, feature in zip(self.standardize, features):
                standardize.update(feature)
        return [each(x) for each, x in zip(self.standardize, features)]


@MODELS.register_module()
class BalancedReview(Review):
    """``'auto'``, each level's distance divided by its mean in the first 100 steps."""

    def __init__(self, in_channels, out_channels, **settings):
        super().__init__(in_channels, out_channels, weight='auto', **settings)
        self.register_buffer('means', torch.zeros(len(out_channels)))
        self.register_buffer('steps', torch.tensor(0.0))

    def losses(self, student, teacher):
        levels = self.loss(student.features, self.targets(teacher.features))
        if self.training and self.steps < EARLY:
            self.steps += 1
            self.means += (levels.detach() - self.means) / self.steps
        return dict(loss=(levels / self.means).sum())


@MODELS.register_module()
class UncertainReview(Review):
    """The weight is learned as an uncertainty, arXiv 1705.07115, from 1 on."""

    def __init__(self, in_channels, out_channels, **settings):
        super().__init__(in_channels, out_channels, **settings)
        self.log_variance = nn.Parameter(torch.zeros(()))

    def losses(self, student, teacher):
        losses = super().losses(student, teacher)
        weighted = (-self.log_variance).exp() * losses['loss'] + self.log_variance
        return {**losses, 'loss': weighted, 'variance': self.log_variance.exp()}
