"""The adapter of classifiers: matches stages in order, and reads logits of images."""

from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import SettingError, UserInputError
from .adapters import ADAPTERS, Adapter, Levels, Match
from .features import probe
from .image_labels import image_labels
from .logit_rows import ImageRows, LogitRows


@ADAPTERS.register_module()
class ClassifierAdapter(Adapter):
    """Adapter of models with a method ``level_names``, such as ``ImageClassifier``.

    Examples:
        >>> levels = Levels('ImageClassifier', 32, [1, 2, 4], [16, 32, 64], 100)
        >>> ClassifierAdapter().match(levels, levels, strides=None).names
        ['level 0', 'level 1', 'level 2']
    """

    kind = 'classifier'
    gives = ('labels', 'sample_idx')

    def knows(self, model: BaseModel) -> bool:
        return hasattr(model, 'level_names')

    def level_names(self, model: BaseModel, role: str, part: str) -> list[str]:
        if part != 'neck':
            raise SettingError(
                '{}: of a classifier the stages are compared; leave it out',
                'ReviewKD',
                'part',
                part,
            )
        return model.level_names(role)

    def choose_levels(
        self, model: BaseModel, levels: Union[str, Sequence[str]]
    ) -> None:
        model.levels = levels

    def image_size(self, model: BaseModel) -> int:
        return model.input_size

    def extract(self, model: BaseModel, inputs: Tensor) -> Tensor:
        return model(inputs)

    def classes(self, outputs: Tensor) -> int:
        return outputs.size(1)

    def match(
        self, student: Levels, teacher: Levels, strides: Optional[Sequence[int]]
    ) -> Match:
        if student.image_size != teacher.image_size:
            raise UserInputError(
                f'student {student.owner} takes images of side '
                f'{student.image_size}, teacher {teacher.owner} of side '
                f'{teacher.image_size}; both must be for images of one size'
            )
        if len(student.strides) != len(teacher.strides) or strides:
            raise UserInputError(
                f'teacher has {len(teacher.strides)} levels, at strides '
                f'{tuple(teacher.strides)}, student {len(student.strides)}, at '
                f'{tuple(student.strides)}; those of classifiers are compared in '
                'order, all of them: ImageClassifier(levels=[...]) chooses them'
            )
        indices = [(i, i) for i in range(len(student.strides))]
        return Match(indices, [f'level {i}' for i, _ in indices])

    def check_scale(self, scale: float) -> None:
        if scale != 1:
            raise SettingError(
                '{}: the levels of classifiers do not differ in size; leave it out',
                'teacher',
                'scale',
                scale,
            )

    def logit_rows(self, model: BaseModel) -> Optional[type[LogitRows]]:
        return ImageRows

    def labels(self, data_samples: Union[Tensor, dict]) -> Tensor:
        return image_labels(data_samples)

    def sample_idx(self, data_samples: Union[Tensor, dict]) -> Tensor:
        if isinstance(data_samples, Tensor) or 'sample_idx' not in data_samples:
            raise UserInputError(
                'a method reads sample_idx, the index of each image in its dataset; '
                'the data give labels alone. Let the dataset give '
                'data_samples=dict(gt_label=..., sample_idx=...), as ArchiveImages does'
            )
        return data_samples['sample_idx']

    def class_settings(self, model: BaseModel) -> Iterator[tuple[str, int]]:
        classes = probe(model, ()).classes
        assert classes is not None  # classes() of this adapter always counts them
        yield 'backbone', classes

    def collate(self, items: Sequence[dict]) -> dict:
        return default_collate(items)

    def image(self, inputs: Tensor) -> Any:
        array: np.ndarray = inputs.permute(1, 2, 0).numpy()
        return array
