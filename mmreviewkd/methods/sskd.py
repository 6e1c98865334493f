"""Knowledge distillation meets self-supervision (Xu et al., arXiv 2006.07114)."""

from __future__ import annotations

from typing import Any, Callable

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_numbers
from .kd import kd_loss
from .method import Pair, TrainedMethod, View
from .self_supervision import (
    load_head,
    own_images,
    projection_head,
    similarities,
    split_copies,
)


def selected(scores: Tensor, targets: Tensor, ratio: float) -> Tensor:
    """Select the rows to be learned from ("selective transfer", arXiv 2006.07114).

    These are all rows in which the target has the highest score, and of the others
    the given ratio, rounded down, in which it has the best rank. Of those with equal
    ranks, which the authors' code takes in any order, the first are taken.

    Args:
        scores (Tensor): Scores of the teacher, (M, columns).
        targets (Tensor): Right column of each row, (M, ).
        ratio (float): Ratio of the rows with another best column.

    Returns:
        Tensor: Whether a row is selected, (M, ), of bool.
    """
    rank = (scores > scores.gather(1, targets[:, None])).sum(1)
    right = (rank == 0).sum()
    number = right + ((len(rank) - right).double() * ratio).floor()
    best_first = rank.argsort(stable=True)
    chosen = torch.arange(len(rank), device=rank.device) < number
    return torch.zeros_like(chosen).scatter(0, best_first, chosen)


def selective_kd_loss(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    temperature: float,
    ratio: float,
) -> Tensor:
    """:func:`kd_loss` of the rows that :func:`selected` selects.

    Args:
        student (Tensor): Scores of the student, (M, columns).
        teacher (Tensor): Scores of the teacher, (M, columns); gets no gradient.
        targets (Tensor): Right column of each row, (M, ).
        temperature (float): Divides the scores; its square multiplies the loss.
        ratio (float): Ratio of the rows that the teacher has wrong.

    Returns:
        Tensor: Scalar, the mean over the selected rows, in float32 at least; 0 if there
        are none.
    """
    student, teacher = in_float32(student), in_float32(teacher.detach())
    chosen = selected(teacher, targets, ratio)
    rows = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        reduction='none',
        log_target=True,
    ).sum(1)
    return (rows * chosen).sum() / chosen.sum().clamp(min=1) * temperature**2


@MODELS.register_module()
class SSKD(TrainedMethod):
    """KD, also of rotated images and of what is alike; published with weight 1.

    Three terms are added: :func:`kd_loss` of the original images,
    :func:`selective_kd_loss` of the classes of the rotated ones, and the same of
    their :func:`similarities` to the original ones, which each model computes with a
    head of its own. The teacher's head is trained before, by a
    :class:`SelfSupervisedHead`; the student's is trained here. The student's own loss
    has weight 0.1 beside (``loss_weight``) and sees the original images alone. All
    this is as in the authors' code; the paper names more transformations than rotation.

    A step costs as much as one of four times the images. The teacher's head is not in
    checkpoints.

    Args:
        pair (Pair): The student and the teacher.
        teacher_head (str): Checkpoint of the teacher's head, a file or URL.
        weight (float): Weight of the whole loss.
        kd_weight (float): Weight of the original images' classes.
        rotated_weight (float): Weight of the rotated images' classes.
        similarity_weight (float): Weight of the similarities.
        temperature (float): Divides the logits.
        similarity_temperature (float): Divides the similarities.
        rotated_ratio (float): Ratio of the rotated images that are learned from,
            although the teacher misclassifies them.
        similarity_ratio (float): Ratio of the rotated images that are learned from,
            although the teacher finds them most similar to another image.

    Raises:
        UserInputError: A setting or the head's file cannot be used.

    Examples:
        >>> head = torch.nn.ModuleDict(dict(head=projection_head(32)))
        >>> torch.save(head.state_dict(), 'head.pth')
        >>> sskd = SSKD(Pair(['a'], [8], [32]), teacher_head='head.pth')
        >>> labels = torch.tensor([3, -100, -100, -100, 7, -100, -100, -100])
        >>> student = View([torch.rand(8, 8, 1, 1)], torch.rand(8, 10), labels)
        >>> teacher = View([torch.rand(8, 32, 1, 1)], torch.rand(8, 10), labels)
        >>> list(sskd.losses(student, teacher))
        ['loss', 'kd', 'rotated', 'similarity']
    """

    reads = ('features', 'logits', 'labels')
    rotations = True
    teacher_head: nn.Module

    def __init__(
        self,
        pair: Pair,
        teacher_head: str,
        weight: float = 1.0,
        kd_weight: float = 0.9,
        rotated_weight: float = 2.7,
        similarity_weight: float = 10.0,
        temperature: float = 4.0,
        similarity_temperature: float = 0.5,
        rotated_ratio: float = 1.0,
        similarity_ratio: float = 0.75,
    ) -> None:
        super().__init__(weight)
        check_numbers(
            'SSKD',
            above=False,
            kd_weight=kd_weight,
            rotated_weight=rotated_weight,
            similarity_weight=similarity_weight,
            rotated_ratio=rotated_ratio,
            similarity_ratio=similarity_ratio,
        )
        check_numbers(
            'SSKD',
            temperature=temperature,
            similarity_temperature=similarity_temperature,
        )
        self.weights = dict(
            kd=kd_weight, rotated=rotated_weight, similarity=similarity_weight
        )
        self.temperature = temperature
        self.similarity_temperature = similarity_temperature
        self.rotated_ratio, self.similarity_ratio = rotated_ratio, similarity_ratio
        self.head = projection_head(pair.student_channels[-1])
        frozen = projection_head(pair.teacher_channels[-1]).requires_grad_(False)
        load_head(frozen, teacher_head)
        # no child, like the teacher itself: no state dict or optimizer has it
        self.__dict__['teacher_head'] = frozen

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> SSKD:
        # .to(), .cuda(), .half() and the like all call this method, torch's own
        self.teacher_head._apply(fn, *args, **kwargs)  # noqa: SLF001
        return super()._apply(fn, *args, **kwargs)

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        labels, _ = split_copies(student.labels)
        ours, ours_rotated = split_copies(student.logits)
        theirs, theirs_rotated = split_copies(teacher.logits)
        ours_alike = similarities(self.head, student.pooled)
        theirs_alike = similarities(self.teacher_head, teacher.pooled)
        terms = dict(
            kd=kd_loss(ours, theirs, self.temperature),
            rotated=selective_kd_loss(
                ours_rotated,
                theirs_rotated,
                labels.repeat_interleave(3),
                self.temperature,
                self.rotated_ratio,
            ),
            similarity=selective_kd_loss(
                ours_alike,
                theirs_alike,
                own_images(ours_alike),
                self.similarity_temperature,
                self.similarity_ratio,
            ),
        )
        parts = [self.weights[name] * term for name, term in terms.items()]
        loss = torch.stack(parts).sum()
        return dict(loss=loss, **{name: term.detach() for name, term in terms.items()})
