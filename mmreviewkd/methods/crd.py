"""Contrastive representation distillation (Tian et al., arXiv 1910.10699)."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.dist import all_gather
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError
from .checks import check_numbers
from .method import Pair, TrainedMethod, View


def contrastive_loss(scores: Tensor, log_normalizer: Tensor, images: int) -> Tensor:
    """Loss of telling one image from K others (arXiv 1910.10699, section 3.2).

    With ``o = exp(score) / Z`` and ``c = K / images`` it is, for each row,
    ``-log(o_0 / (o_0 + c)) - sum_j log(c / (o_j + c))``. The logarithms are taken of
    the scores themselves, so that nothing overflows. The benchmark's code has 1e-7
    more in both denominators, which changes the loss by K * 1e-7 / c.

    Args:
        scores (Tensor): Similarities divided by the temperature, (..., N, K + 1); the
            first column is that of the image itself.
        log_normalizer (Tensor): Logarithm of the constant Z, a scalar or (..., 1, 1).
        images (int): Number of images that the K others are drawn from.

    Returns:
        Tensor: The mean over N, (...).
    """
    others = scores.size(-1) - 1
    logits = scores - log_normalizer - math.log(others / images)
    itself, rest = F.logsigmoid(logits[..., 0]), F.logsigmoid(-logits[..., 1:])
    return -(itself + rest.sum(-1)).mean(-1)


@MODELS.register_module()
class CRD(TrainedMethod):
    """:func:`contrastive_loss` of both models' embeddings; published with weight 0.8.

    A linear layer and an L2 normalisation make an embedding of each model's pooled last
    level. Each embedding has to tell the other model's embedding of the same image from
    those of ``num_negatives`` images of other classes, as they were when these images
    were last seen; two memories keep them. After the loss, the rows of the batch
    move towards the new embeddings. The normalisation constant of each side is
    estimated from the first batch. All this is as in the authors' code, but that the
    negatives are drawn on the device, not in the data loader.

    The memories are saved in checkpoints, 2 * num_samples * feat_dim * 4 bytes: 51 MB
    for CIFAR-100. An exported student has none of them.

    Args:
        pair (Pair): The student and the teacher.
        num_samples (int): Number of images in the training set, 50000 for CIFAR-100.
        feat_dim (int): Length of an embedding.
        num_negatives (int): Number of images of other classes for each image.
        temperature (float): Divides the similarities.
        momentum (float): Share of the old embedding in a new row of a memory.
        weight (float): Weight of the loss.

    Raises:
        UserInputError: A setting cannot be used, or does not fit the data; the latter
            is found in the first two epochs.

    Examples:
        >>> crd = CRD(Pair(['a'], [8], [32]), num_samples=9, num_negatives=4)
        >>> known = dict(labels=torch.tensor([0, 1]), sample_idx=torch.tensor([3, 7]))
        >>> student = View(features=[torch.rand(2, 8, 1, 1)], **known)
        >>> teacher = View(features=[torch.rand(2, 32, 1, 1)], **known)
        >>> crd.losses(student, teacher)['loss'].shape
        torch.Size([])
        >>> crd.memories.shape, crd.classes.tolist()
        (torch.Size([2, 9, 128]), [-1, -1, -1, 0, -1, -1, -1, 1, -1])
    """

    reads = ('features', 'labels', 'sample_idx')
    memories: Tensor
    classes: Tensor
    log_normalizers: Tensor

    def __init__(
        self,
        pair: Pair,
        num_samples: int,
        feat_dim: int = 128,
        num_negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        check_numbers(
            'CRD',
            whole=True,
            num_samples=num_samples,
            feat_dim=feat_dim,
            num_negatives=num_negatives,
        )
        if num_negatives >= num_samples:
            raise UserInputError(
                f'CRD(num_negatives={num_negatives}): must be less than the number of '
                f'training images, num_samples={num_samples}'
            )
        check_numbers('CRD', temperature=temperature)
        check_numbers('CRD', above=False, momentum=momentum)
        if momentum >= 1:
            raise UserInputError(f'CRD(momentum={momentum}): must be less than 1')
        self.num_samples, self.num_negatives = num_samples, num_negatives
        self.temperature, self.momentum = temperature, momentum
        self.embed_student = nn.Linear(pair.student_channels[-1], feat_dim)
        self.embed_teacher = nn.Linear(pair.teacher_channels[-1], feat_dim)
        bound = math.sqrt(3 / feat_dim)
        self.register_buffer(
            'memories', torch.empty(2, num_samples, feat_dim).uniform_(-bound, bound)
        )
        # the class of an image is entered when the image is first seen
        self.register_buffer('classes', torch.full((num_samples,), -1))
        self.register_buffer('log_normalizers', torch.full((2, 1, 1), torch.nan))
        self._unchecked = 2 * num_samples

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        index, labels = student.sample_idx, student.labels
        if self._unchecked > 0:
            # this waits for the device, so it is done until all classes are known
            self._check(index, labels)
            self._unchecked -= len(index)
        with torch.autocast(index.device.type, enabled=False):
            ours = _embed(self.embed_student, student.pooled)
            theirs = _embed(self.embed_teacher, teacher.pooled.detach())
            embedded = torch.stack([ours, theirs])
            # All images are scored by one product, and the scores are gathered: the
            # rows of all negatives would be (2, N, K + 1, feat_dim), 1 GB as published.
            # An embedding is compared with the memory of the other model.
            scores = embedded.flip(0) @ self.memories.to(embedded).mT
            images = torch.cat([index[:, None], self._negatives(index, labels)], 1)
            scores = scores.gather(2, images.expand(2, -1, -1)) / self.temperature
            learns = self.training and torch.is_grad_enabled()
            normalizers = self._normalizers(scores.detach(), learns)
            loss = contrastive_loss(scores, normalizers, self.num_samples).sum()
        if learns:
            self.log_normalizers = normalizers.to(self.log_normalizers)
            self._remember(index, labels, embedded.detach())
        return dict(loss=loss)

    def _negatives(self, index: Tensor, labels: Tensor) -> Tensor:
        """Draw images of other classes without replacement, (N, num_negatives)."""
        # An image that was not seen yet is of class -1 here. It may be drawn for an
        # image of its own class, which does no harm: its memories are random still.
        alike = self.classes == labels[:, None]
        order = torch.rand(alike.shape, device=alike.device).masked_fill_(alike, -1)
        order.scatter_(1, index[:, None], -1)  # nor the image itself
        return order.topk(self.num_negatives, sorted=False).indices

    def _normalizers(self, scores: Tensor, learns: bool) -> Tensor:
        """Return log Z of both sides, estimated from these scores if it is not set.

        Z is the mean of ``exp(score)`` in the first batch, of all processes, times the
        number of images.
        """
        means = scores.logsumexp((1, 2), keepdim=True) - math.log(scores[0].numel())
        if learns:
            means = torch.stack(all_gather(means))
            means = means.logsumexp(0) - math.log(len(means))
        known = self.log_normalizers.to(means)
        return torch.where(known.isnan(), means + math.log(self.num_samples), known)

    def _remember(self, index: Tensor, labels: Tensor, embedded: Tensor) -> None:
        """Move the batch's rows of the memories towards the embeddings, (2, N, C)."""
        # the batches of all processes, so that their memories agree
        index, labels = torch.cat(all_gather(index)), torch.cat(all_gather(labels))
        embedded = torch.cat(all_gather(embedded), 1)
        old = self.memories[:, index].to(embedded)
        new = F.normalize(self.momentum * old + (1 - self.momentum) * embedded, dim=-1)
        # a step that a GradScaler will skip must leave nothing behind
        new = torch.where(new.isfinite().all(-1, keepdim=True), new, old)
        # not in place: the backward pass still needs what the loss was computed from
        self.memories = self.memories.index_copy(1, index, new.to(self.memories))
        self.classes = self.classes.index_copy(0, index, labels)

    def _check(self, index: Tensor, labels: Tensor) -> None:
        """Refuse images without a row of their own, or with too few negatives."""
        others = (self.classes != labels[:, None]).sum(1)
        known = self.classes[index.clamp(max=self.num_samples - 1)]
        clashes = ((known >= 0) & (known != labels)).sum()
        largest, fewest, clashing = torch.stack(
            [index.max(), others.min(), clashes]
        ).tolist()
        if largest >= self.num_samples:
            raise UserInputError(
                f'CRD(num_samples={self.num_samples}): the data have an image of index '
                f'{largest}; set it to the number of training images'
            )
        if clashing:
            raise UserInputError(
                'CRD: images of different classes have the same index, as those of a '
                'ConcatDataset have, whose parts each count from 0; each image needs '
                'an index of its own'
            )
        if fewest < self.num_negatives:
            raise UserInputError(
                f'CRD(num_negatives={self.num_negatives}): for a class of the training '
                f'data there are {fewest} images of other classes; set it to this or '
                'less'
            )


def _embed(layer: nn.Linear, vectors: Tensor) -> Tensor:
    return F.normalize(in_float32(layer(vectors.to(layer.weight.dtype))))
