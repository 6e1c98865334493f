"""How a batch passes through teacher, student and methods."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from ..methods import Method, View
from .adapters import Match
from .features import as_maps, calls_of, check_gradients, record
from .finite import FiniteCheck
from .gradients import measure
from .logit_rows import Calls
from .logits import LogitReader
from .teacher import Teacher


class Distillation:
    """What a distilled student learns with: its attribute ``distillation``.

    Args:
        teacher (Teacher): The teacher.
        names (Sequence[str]): Modules of the student whose outputs are its levels.
        match (Match): The matched levels.
        methods (Sequence[str]): Names of the methods, which are child modules of the
            student, in the order in which their losses are added.
        reader (LogitReader, optional): Reader of the logits, if a method reads them.
        inherit (Sequence[str]): Parts that the student copies from the teacher.
        settings (dict): What a checkpoint says of the distillation.
    """

    def __init__(
        self,
        teacher: Teacher,
        names: Sequence[str],
        match: Match,
        methods: Sequence[str],
        reader: Optional[LogitReader],
        inherit: Sequence[str],
        settings: dict[str, Any],
    ) -> None:
        self.teacher = teacher
        self.names, self.match = names, match
        self.methods, self.reader, self.inherit = methods, reader, inherit
        self.settings = settings
        self.check_finite = FiniteCheck(match.names)
        self.observed = False
        """Whether the gradients of all methods are measured in the next steps."""
        self.owns_teacher = True
        """Whether the teacher moves with this student; copies borrow it."""

    def __deepcopy__(self, memo: dict) -> 'Distillation':
        # An EMA's copy may live elsewhere, or in another precision, and never asks the
        # teacher; the student that is trained must find it where it was.
        borrowed = copy.copy(self)
        borrowed.check_finite = FiniteCheck(self.match.names)
        borrowed.owns_teacher = False
        return borrowed

    def losses(
        self,
        student: BaseModel,
        forward: Callable,
        inputs: Tensor,
        data_samples: Any,
    ) -> dict[str, Tensor]:
        """Compute the student's own losses and those of the methods.

        1. The teacher sees the batch (no gradient; a detector's heads do not run).
        2. The student's own losses are computed. Meanwhile its features are recorded
           (a detector's neck outputs, a classifier's stages and pooled vector), as are
           the logits that its own loss is computed from.
        3. Each method compares what it reads of the two models. Its ``loss`` times its
           weight is added as ``loss_NAME``; its other results are logged.

        Args:
            student (BaseModel): The student.
            forward (Callable): The ``forward`` method of the student's own class.
            inputs (Tensor): Images, (N, 3, H, W).
            data_samples (list[DetDataSample] | Tensor | dict): One sample per image, or
                the labels of the images, (N, ), alone or in a dict.

        Raises:
            UserInputError: The student's features or losses cannot be used.
            FloatingPointError: A method's loss is not finite.
        """
        methods = {name: getattr(student, name) for name in self.methods}
        read = {what for each in methods.values() if each.active for what in each.reads}
        # the teacher runs first, before the student's activations fill the memory
        taught = self.teacher(inputs, data_samples) if read else ([], None)
        following, measured = self._due(methods)
        names = self.names if 'features' in read or measured else []
        reader = self.reader if 'logits' in read else None
        modules = reader.modules(student) if reader else []
        with record(student, names) as features, calls_of(modules) as calls:
            losses = forward(inputs, data_samples, 'loss')
        check_gradients(student, names, features)
        views = self._views(read, features, reader, calls, taught, data_samples)
        results = {
            name: _results_of(method, *views) for name, method in methods.items()
        }
        ratios: dict[str, Tensor] = {}
        if measured:
            task, _ = student.parse_losses(losses)
            matched = [features[ours] for ours, _ in self.match.indices]
            given = {name: results[name]['loss'] for name in measured}
            ratios = measure(methods, given, following, task, matched, self.match.names)
        added: dict[str, Tensor] = {}
        for name, method in methods.items():
            new = _weighted(name, method, results[name])
            taken = sorted(set(new) & {*losses, *added, *ratios})
            if taken:
                raise UserInputError(
                    f'a method cannot be called {name!r}: {", ".join(taken)} is logged '
                    'by the student itself, or by another method'
                )
            added.update(new)
        self.check_finite(added, *views)
        return {**losses, **added, **ratios}

    def _due(self, methods: Mapping[str, Method]) -> tuple[list[str], list[str]]:
        """Name the methods whose weight is set from gradients in this step, and those
        whose gradients are measured, which are more if they are observed.
        """
        if not torch.is_grad_enabled():
            return [], []
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        for method in methods.values():
            if method.auto is not None:
                method.auto.forget_another_run(iteration)
        active = {name: method for name, method in methods.items() if method.active}
        following = [
            name
            for name, method in active.items()
            if method.auto is not None and method.auto.due(iteration)
        ]
        return following, list(active) if self.observed else following

    def _views(
        self,
        read: set[str],
        features: Sequence[Tensor],
        reader: Optional[LogitReader],
        calls: Calls,
        taught: tuple[list[Tensor], Any],
        data_samples: Any,
    ) -> tuple[View, View]:
        """Return what the methods read of the student and of the teacher."""
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
        """Copy the inherited parts of the teacher into the student."""
        if self.inherit:
            self.teacher.bequeath(student, self.inherit)

    def matching(
        self, features: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Select the features of the matched levels, shallow to deep.

        Args:
            features (Sequence[Tensor]): Features of all levels of the student.
            targets (Sequence[Tensor]): Features of all levels of the teacher.

        Raises:
            UserInputError: The two models return features of different batch sizes.
        """
        ours, theirs = (
            as_maps([levels[index] for index in indices])
            for levels, indices in zip((features, targets), zip(*self.match.indices))
        )
        if len(ours[0]) != len(theirs[0]):
            raise UserInputError(
                f'in training, {" ".join(self.names)} of the student puts out '
                f'{len(ours[0])} maps a level for {len(theirs[0])} images; they are '
                'compared one with one'
            )
        return ours, theirs


def _results_of(method: Method, student: View, teacher: View) -> dict[str, Tensor]:
    """A method's loss, without its weight, and what it logs; empty if it is off."""
    if not method.active:
        return {}
    reads_features = 'features' in method.reads
    if 'logits' in method.reads and not reads_features and not len(student.logits):
        # a batch may have no positive anchor
        zero, nothing = student.logits.sum(), _nothing(method)
        return dict(loss=zero if nothing is None else zero + nothing)
    values = method.losses(student, teacher)
    # mmengine trains whatever has "loss" in its key
    if 'loss' not in values or any('loss' in key for key in set(values) - {'loss'}):
        raise UserInputError(
            f'{type(method).__name__}.losses returns {", ".join(values)}: must be '
            '"loss", which is trained, and what is shown, without "loss" in its name'
        )
    for key, value in values.items():
        if not isinstance(value, Tensor) or value.dim():
            shape = f' of shape {tuple(value.shape)}' if torch.is_tensor(value) else ''
            raise UserInputError(
                f'{type(method).__name__}.losses returns {key} as a '
                f'{type(value).__name__}{shape}: must be a tensor without dimensions'
            )
    return values


def _weighted(
    name: str, method: Method, values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A method's loss as ``loss_NAME``, and what it logs as ``NAME_...``."""
    if not values:
        nothing = _nothing(method)
        return {} if nothing is None else {f'loss_{name}': nothing}
    weight = method.weight_now
    shown = {f'{name}_{key}': value for key, value in values.items() if key != 'loss'}
    if isinstance(weight, Tensor):
        shown[f'{name}_weight'] = weight
    return {f'loss_{name}': weight * values['loss'], **shown}


def _nothing(method: Method) -> Optional[Tensor]:
    """Return zero, with the gradient for every parameter that DDP waits for."""
    sums = [parameter.sum() for parameter in method.parameters()]
    return 0 * torch.stack(sums).sum() if sums else None
