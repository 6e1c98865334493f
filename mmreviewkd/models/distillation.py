"""The way of a batch through teacher, student and methods."""

from collections.abc import Sequence
from typing import Callable, Optional, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from ..methods import Method, View
from .adapters import Match
from .features import calls_of, check_gradients, record
from .logits import LogitReader
from .teacher import Teacher


class Distillation:
    """Who teaches a student, and what: the student's ``distillation``.

    Args:
        teacher (Teacher): The teacher.
        names (Sequence[str]): Modules of the student whose outputs are its levels.
        match (Match): Which levels learn together.
        methods (Sequence[str]): Names of the methods, which are the student's
            children, in the order in which their losses are added.
        logits (LogitReader, optional): Where there is a method that reads logits.
        inherit (Sequence[str]): Parts of the teacher that the student starts with.
    """

    def __init__(
        self,
        teacher: Teacher,
        names: Sequence[str],
        match: Match,
        methods: Sequence[str],
        logits: Optional[LogitReader],
        inherit: Sequence[str],
    ) -> None:
        self.teacher = teacher
        self.names, self.match = names, match
        self.methods, self.logits, self.inherit = methods, logits, inherit

    def losses(
        self,
        student: BaseModel,
        forward: Callable,
        inputs: Tensor,
        data_samples: Union[Sequence, Tensor],
    ) -> dict[str, Tensor]:
        """The student's own losses, and those of the methods.

        1. The teacher sees the batch (no gradient; a detector's heads do not run).
        2. The student's own losses are computed. On the way its features are
           recorded (a detector's neck outputs, a classifier's stages and pooled
           vector), and the logits that its own loss was computed from.
        3. Each method compares what it reads of the two. Its ``loss``, times its
           weight, is added as ``loss_NAME``; what else it returns is logged.

        Args:
            student (BaseModel): The student.
            forward (Callable): Its own class's ``forward``.
            inputs (Tensor): (N, 3, H, W).
            data_samples (list[DetDataSample] | Tensor): One per image, or the
                labels of images, (N, ).

        Raises:
            UserInputError: The student's features or losses do not allow it.
        """
        methods = {name: getattr(student, name) for name in self.methods}
        read = {what for each in methods.values() if each.active for what in each.reads}
        if read:
            # first, while the student's activations do not yet fill the memory
            targets, outputs = self.teacher(inputs, data_samples)
        names = self.names if 'features' in read else []
        reader = self.logits if 'logits' in read else None
        modules = reader.modules(student) if reader else []
        with record(student, names) as features, calls_of(modules) as calls:
            losses = forward(inputs, data_samples, 'loss')
        check_gradients(student, names, features)
        ours, theirs = View(), View()
        if reader:
            own, given, labels = reader.rows(calls, self.teacher, outputs, data_samples)
            ours, theirs = View((), own, labels), View((), given, labels)
        if 'features' in read:
            matched = self.matching(features, targets)
            if len(matched[0][0]) != len(matched[1][0]):
                raise UserInputError(
                    f'in training, {" ".join(self.names)} of {type(student).__name__} '
                    f'puts out {len(matched[0][0])} maps a level for '
                    f'{len(matched[1][0])} images; they are compared one with one'
                )
            ours, theirs = (
                view._replace(features=maps)
                for view, maps in zip((ours, theirs), matched)
            )
        for name, method in methods.items():
            added = _losses_of(name, method, ours, theirs)
            if set(added) & set(losses):
                raise UserInputError(
                    f'a method cannot be called {name!r}: the student itself has '
                    + ', '.join(sorted(set(added) & set(losses)))
                )
            losses.update(added)
        return losses

    def bequeath(self, student: BaseModel) -> None:
        """Let the student start with parts of the teacher."""
        if self.inherit:
            self.teacher.bequeath(student, self.inherit)

    def matching(
        self, features: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The features of those levels that learn together, shallow to deep."""
        return (
            [features[i] for i, _ in self.match.indices],
            [targets[j] for _, j in self.match.indices],
        )


def _losses_of(
    name: str, method: Method, student: View, teacher: View
) -> dict[str, Tensor]:
    """A method's loss as ``loss_NAME``, and what it logs as ``NAME_...``."""
    if not method.active:
        # DDP waits for a gradient of every parameter
        sums = [parameter.sum() for parameter in method.parameters()]
        return {f'loss_{name}': 0 * torch.stack(sums).sum()} if sums else {}
    if method.reads == ('logits',) and not len(student.logits):
        # a batch may have no positive anchor
        return {f'loss_{name}': method.factor * student.logits.sum()}
    values = method.losses(student, teacher)
    shown = {f'{name}_{key}': value for key, value in values.items() if key != 'loss'}
    # mmengine trains whatever has "loss" in its key
    if 'loss' not in values or any('loss' in key for key in shown):
        raise UserInputError(
            f'{type(method).__name__}.losses returns {", ".join(values)}: must be '
            '"loss", which is trained, and what is shown, without "loss" in its name'
        )
    return {f'loss_{name}': method.weight * method.factor * values['loss'], **shown}
