"""What a method is given of a batch, besides features and logits."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import Method
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS

two_kinds = pytest.mark.parametrize('kind', ('two_stage', 'classifier'), indirect=True)
detector = pytest.mark.parametrize('kind', ('two_stage',), indirect=True)
classifier = pytest.mark.parametrize('kind', ('classifier',), indirect=True)


@MODELS.register_module()
class Reader(Method):
    """Keeps the two views that it was given last, and what it knows of the pair."""

    reads = ('features', 'labels', 'sample_idx')

    @classmethod
    def for_pair(cls, pair, **settings):
        method = super().for_pair(pair, **settings)
        method.pair = pair
        return method

    def losses(self, student, teacher):
        self.views = student, teacher
        return dict(loss=student.features[0].mean())


@MODELS.register_module()
class BoxReader(Reader):
    reads = ('features', 'boxes', 'sample_idx')


@MODELS.register_module()
class RowReader(Reader):
    reads = ('logits', 'labels')

    def losses(self, student, teacher):
        self.views = student, teacher
        return dict(loss=student.logits.mean())


def reading(kind, name):
    config = dict(kind.config(), methods=dict(reader=dict(type=name)))
    del config['review']
    return MODELS.build(copy.deepcopy(config))


def indexed(kind):
    """A batch whose data hand on the index of each image."""
    data = kind.batch()
    if kind.name == 'classifier':
        labels = data['data_samples']
        return dict(data, data_samples=dict(gt_label=labels, sample_idx=labels + 7))
    for number, sample in enumerate(data['data_samples']):
        sample.set_metainfo(dict(sample_idx=number + 7))
    return data


@detector
def test_boxes_of_a_detector(kind):
    data = indexed(kind)
    expected = [
        torch.as_tensor(sample.gt_instances.bboxes.tensor)
        for sample in data['data_samples']
    ]
    model = reading(kind, 'BoxReader')
    losses_of(model, data)
    student, teacher = model.reader.views
    assert student.boxes is teacher.boxes and len(student.boxes) == len(expected)
    for given, boxes in zip(student.boxes, expected):
        assert type(given) is torch.Tensor and torch.equal(given, boxes)
    assert student.sample_idx.tolist() == [7 + i for i in range(len(expected))]
    assert not len(student.labels) and not len(student.logits)
    assert model.reader.pair.strides == [4, 8, 16, 32, 64]
    assert model.reader.pair.levels[1] == 'stride 8'


@classifier
def test_labels_of_a_classifier(kind):
    model, data = reading(kind, 'Reader'), indexed(kind)
    losses_of(model, data)
    for view in model.reader.views:
        assert view.labels.tolist() == [0, 1, 2, 3]
        assert view.sample_idx.tolist() == [7, 8, 9, 10]
        assert not len(view.boxes) and not len(view.logits)


@classifier
def test_labels_alone_are_a_batch_as_well(kind):
    bare, with_index = kind.batch(), indexed(kind)
    model = kind.distilled()
    a, b = (losses_of(model, data) for data in (bare, with_index))
    assert all(torch.equal(a[key], b[key]) for key in a)
    with pytest.raises(UserInputError, match='data_samples=dict.gt_label=..., sample_'):
        losses_of(reading(kind, 'Reader'), bare)


@two_kinds
def test_labels_with_logits_are_those_of_the_rows(kind):
    model = reading(kind, 'RowReader')
    losses_of(model, kind.batch())
    for view in model.reader.views:
        assert len(view.logits) == len(view.labels) > 0
        assert not len(view.features) and not len(view.sample_idx)


@detector
def test_a_detector_whose_data_do_not_hand_on_the_index(kind):
    with pytest.raises(UserInputError, match="'sample_idx' among the meta_keys of the"):
        losses_of(reading(kind, 'BoxReader'), kind.batch())


@two_kinds
def test_what_the_data_cannot_tell_is_refused_at_build(kind):
    name, lacking = dict(
        two_stage=('Reader', 'labels'), classifier=('BoxReader', 'boxes')
    )[kind.name]
    adapter = dict(two_stage='detector', classifier='classifier')[kind.name]
    with pytest.raises(UserInputError) as error:
        reading(kind, name)
    assert str(error.value) == (
        f"methods.reader=dict(type='{name}') reads {lacking}, which the data of a "
        f'{adapter} do not tell'
    )


@classifier
def test_two_methods_that_log_one_name(kind):
    class Both(Reader):
        reads = ('features',)

        def losses(self, student, teacher):
            return dict(loss=student.features[0].mean(), b_c=1.0, c=2.0)

    config = dict(kind.config(), methods={n: dict(type=Both) for n in ('a', 'a_b')})
    with pytest.raises(UserInputError, match="cannot be called 'a_b': a_b_c is logged"):
        losses_of(MODELS.build(config), kind.batch())
