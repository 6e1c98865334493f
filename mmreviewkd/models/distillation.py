"""The way of a batch through teacher, student and methods."""

from collections.abc import Sequence
from typing import Any, Callable, Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from ..methods import Method, View
from .adapters import Match
from .features import calls_of, check_gradients, record
from .finite import FiniteCheck
from .logit_rows import Calls
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
        self.check_finite = FiniteCheck(match.names)

    def losses(
        self,
        student: BaseModel,
        forward: Callable,
        inputs: Tensor,
        data_samples: Any,
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
            data_samples (list[DetDataSample] | Tensor | dict): One per image, or
                the labels of images, (N, ), alone or in a dict.

        Raises:
            UserInputError: The student's features or losses do not allow it.
            FloatingPointError: A method's loss is not finite.
        """
        methods = {name: getattr(student, name) for name in self.methods}
        read = {what for each in methods.values() if each.active for what in each.reads}
        # first, while the student's activations do not yet fill the memory
        taught = self.teacher(inputs, data_samples) if read else ([], None)
        names = self.names if 'features' in read else []
        reader = self.logits if 'logits' in read else None
        modules = reader.modules(student) if reader else []
        with record(student, names) as features, calls_of(modules) as calls:
            losses = forward(inputs, data_samples, 'loss')
        check_gradients(student, names, features)
        views = self._views(read, features, reader, calls, taught, data_samples)
        added: dict[str, Tensor] = {}
        for name, method in methods.items():
            new = _losses_of(name, method, *views)
            taken = sorted(set(new) & {*losses, *added})
            if taken:
                raise UserInputError(
                    f'a method cannot be called {name!r}: {", ".join(taken)} is logged '
                    'by the student itself, or by another method'
                )
            added.update(new)
        self.check_finite(added, *views)
        return {**losses, **added}

    def _views(
        self,
        read: set[str],
        features: Sequence[Tensor],
        reader: Optional[LogitReader],
        calls: Calls,
        taught: tuple[list[Tensor], Any],
        data_samples: Any,
    ) -> tuple[View, View]:
        """What the methods read, of the student and of the teacher."""
        targets, outputs = taught
        adapter = self.teacher.adapter
        known = {what: getattr(adapter, what) for what in adapter.gives if what in read}
        ours: dict[str, Any] = {
            what: look_up(data_samples) for what, look_up in known.items()
        }
        theirs = dict(ours)
        if reader:
            ours['logits'], theirs['logits'], labels = reader.rows(
                calls, self.teacher, outputs, data_samples
            )
            ours['labels'] = theirs['labels'] = labels
        if 'features' in read:
            ours['features'], theirs['features'] = self.matching(features, targets)
        return View(**ours), View(**theirs)

    def bequeath(self, student: BaseModel) -> None:
        """Let the student start with parts of the teacher."""
        if self.inherit:
            self.teacher.bequeath(student, self.inherit)

    def matching(
        self, features: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The features of those levels that learn together, shallow to deep.

        Raises:
            UserInputError: They are of different numbers of images.
        """
        ours, theirs = (
            [levels[index] for index in indices]
            for levels, indices in zip((features, targets), zip(*self.match.indices))
        )
        if len(ours[0]) != len(theirs[0]):
            raise UserInputError(
                f'in training, {" ".join(self.names)} of the student puts out '
                f'{len(ours[0])} maps a level for {len(theirs[0])} images; they are '
                'compared one with one'
            )
        return ours, theirs


def _losses_of(
    name: str, method: Method, student: View, teacher: View
) -> dict[str, Tensor]:
    """A method's loss as ``loss_NAME``, and what it logs as ``NAME_...``."""
    if not method.active:
        # DDP waits for a gradient of every parameter
        sums = [parameter.sum() for parameter in method.parameters()]
        return {f'loss_{name}': 0 * torch.stack(sums).sum()} if sums else {}
    reads_features = 'features' in method.reads
    if 'logits' in method.reads and not reads_features and not len(student.logits):
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
