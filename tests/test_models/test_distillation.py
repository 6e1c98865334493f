"""The way of a batch: what methods are given of it, and the losses they add."""

import copy

from mmreviewkd.commands import textbook
from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import Method, TrainedMethod
from mmreviewkd.models import Distilled
from tests.support.batches import batch
from tests.support.checkpoints import snapshot
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.optim import OptimWrapper

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
            loss = student.features[0].mean()
            return dict(loss=loss, b_c=loss, c=loss)

    config = dict(kind.config(), methods={n: dict(type=Both) for n in ('a', 'a_b')})
    with pytest.raises(UserInputError, match="cannot be called 'a_b': a_b_c is logged"):
        losses_of(MODELS.build(config), kind.batch())


@pytest.mark.parametrize('family', ['faster_rcnn', 'mask_rcnn', 'retinanet'])
def test_losses_are_the_students_plus_the_review(distiller, family):
    model = distiller(family)
    data = model.data_preprocessor(batch(masks=True), True)
    torch.manual_seed(3)
    expected = super(Distilled, model).forward(**data, mode='loss')
    before = snapshot(model.review)
    torch.manual_seed(3)
    losses = model(**data, mode='loss')
    for key, value in expected.items():
        assert torch.equal(torch.as_tensor(losses[key]), torch.as_tensor(value))
    added = set(losses) - set(expected)
    strides = (8, 16, 32, 64, 128) if family == 'retinanet' else (4, 8, 16, 32, 64)
    assert added == {'loss_review'} | {f'review_stride{s}' for s in strides}

    # against the paper's formula, with features taken by other means
    features = model.extract_feat(data['inputs'])
    targets = model.distillation.teacher.model.extract_feat(data['inputs'])
    reviewed = textbook.review(before, features, [t.shape[-2:] for t in targets])
    levels = [textbook.hcl(r, t) for r, t in zip(reviewed, targets)]
    for stride, level in zip(strides, levels):
        torch.testing.assert_close(
            losses[f'review_stride{stride}'], level, rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(losses['loss_review'], sum(levels), rtol=1e-4, atol=1e-5)


def test_weight_scales_the_loss_and_levels_are_not_added_twice(distiller):
    model = distiller(review=dict(weight=2.5))
    losses = losses_of(model)
    levels = [v for k, v in losses.items() if k.startswith('review_stride')]
    torch.testing.assert_close(losses['loss_review'], 2.5 * sum(levels))
    total, log_vars = model.parse_losses(losses)
    torch.testing.assert_close(
        total,
        sum(
            log_vars[k]
            for k in (
                'loss_rpn_cls',
                'loss_rpn_bbox',
                'loss_cls',
                'loss_bbox',
                'loss_review',
            )
        ),
    )


def test_stages_of_backbones_instead_of_necks(distiller):
    model = distiller('retinanet', 'faster_rcnn', part='backbone')
    assert not hasattr(model.distillation.teacher.model, 'neck')
    assert model.distillation.match.names == [f'stride {s}' for s in (4, 8, 16, 32)]
    before = snapshot(model.review)
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    features = model.backbone(data['inputs'])
    targets = model.distillation.teacher.model.backbone(data['inputs'])
    reviewed = textbook.review(before, features, [t.shape[-2:] for t in targets])
    torch.testing.assert_close(
        losses['loss_review'],
        sum(textbook.hcl(r, t) for r, t in zip(reviewed, targets)),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    'shapes, num_items',
    [([(64, 64)], None), ([(64, 96)] * 2, [0, 3]), ([(64, 96)] * 2, [0, 0])],
)
def test_small_and_empty_batches_train_on(distiller, shapes, num_items):
    # one image of 64x64 has a deepest map of 1x1
    model = distiller()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    for _ in range(2):
        log = model.train_step(batch(shapes, num_items=num_items), wrapper)
        assert torch.isfinite(log['loss']) and log['loss_review'] > 0


def test_bfloat16_step_compares_in_float32(distiller):
    # no RPN: mmcv's own NMS takes float32 alone on the CPU
    model = distiller('retinanet')
    data = batch()
    full = losses_of(model, copy.deepcopy(data))['loss_review']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = losses_of(model, copy.deepcopy(data))['loss_review']
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)
    half.backward()


@pytest.mark.parametrize('fusion', ['sum', 'pairs', 'none'])
def test_ablations_work_on_detectors_too(distiller, fusion):
    model = distiller(review=dict(weight=1.0, fusion=fusion, distance='l2'))
    losses = losses_of(model)
    model.parse_losses(losses)[0].backward()
    assert losses['loss_review'] > 0
    assert all(p.grad is not None for p in model.review.parameters())
    assert not any('attention' in name for name, _ in model.review.named_parameters())


@MODELS.register_module()
class Fitted(TrainedMethod):
    """Reads logits alone, through a layer of its own."""

    reads = ('logits', 'labels')

    def __init__(self, pair, **kwargs):
        super().__init__(**kwargs)
        self.fit = torch.nn.Linear(3, 3)

    def losses(self, student, teacher):
        return dict(loss=(self.fit(student.logits) - teacher.logits).square().mean())


@detector
def test_no_rows_of_logits_leave_a_gradient_to_every_parameter(kind, monkeypatch):
    config = dict(kind.config(), methods=dict(fitted=dict(type='Fitted')))
    model = MODELS.build(config)
    rows = model.distillation.reader.rows
    monkeypatch.setattr(
        model.distillation.reader, 'rows', lambda *a: [each[:0] for each in rows(*a)]
    )
    loss = losses_of(model, kind.batch())['loss_fitted']
    loss.backward()
    assert loss == 0
    assert all(
        p.grad is not None and not p.grad.any() for p in model.fitted.parameters()
    )


@classifier
@pytest.mark.parametrize(
    'values, message',
    [
        (dict(loss=1.0), 'Returns.losses returns loss as a float: must be a tensor'),
        (
            dict(loss=torch.ones(2)),
            r'returns loss as a Tensor of shape \(2,\): must be a tensor without dim',
        ),
        (dict(loss=torch.ones(()), ratio=[1.0]), 'returns ratio as a list: must be'),
        (dict(loss=torch.ones(()), ratio=torch.ones(1)), r'ratio as a Tensor of shape'),
    ],
)
def test_what_is_no_scalar_is_named(kind, values, message):
    class Returns(Reader):
        reads = ('features',)

        def losses(self, student, teacher):
            return values

    config = dict(kind.config(), methods=dict(a=dict(type=Returns)))
    with pytest.raises(UserInputError, match=message):
        losses_of(MODELS.build(config), kind.batch())


@two_kinds
def test_a_copy_moves_without_the_teacher_of_the_original(kind):
    model = kind.distilled()
    expected = losses_of(model, kind.batch())
    copied = copy.deepcopy(model).half()
    assert next(copied.parameters()).dtype == torch.float16
    assert next(model.distillation.teacher.parameters()).dtype == torch.float32
    assert copied.distillation.teacher is model.distillation.teacher
    actual = losses_of(model, kind.batch())
    torch.testing.assert_close(actual, expected)
    # the student itself takes its teacher along
    model.double()
    assert next(model.distillation.teacher.parameters()).dtype == torch.float64


def test_a_borrowed_teacher_comes_to_where_the_images_are(kind, monkeypatch):
    teacher = kind.distilled().distillation.teacher
    moved = []
    monkeypatch.setattr(teacher, 'to', moved.append)
    images = torch.zeros(1, 3, 64, 64, device='meta')
    with pytest.raises(Exception):  # noqa: B017  # nothing can be computed there
        teacher(images, [])
    assert moved == [torch.device('meta')]


def test_the_students_own_arguments_reach_it(kind):
    class Asks(type(kind.plain())):
        def forward(self, inputs, data_samples=None, mode='tensor', extra=None):
            self.extra = extra
            return super().forward(inputs, data_samples, mode)

    model = kind.distilled(type=Asks)
    data = model.data_preprocessor(kind.batch(), True)
    for mode in ('loss', 'tensor'):
        model(**data, mode=mode, extra=mode)
        assert model.extra == mode


@classifier
def test_it_is_shown_as_the_students_class(kind):
    plain, model = type(kind.plain()), kind.distilled()
    assert type(model).__module__ == plain.__module__
    assert type(model).__qualname__ == plain.__qualname__
    assert type(model).__doc__ == plain.__doc__
    assert 'abc' not in repr(type(model))
    # one more derivation, as torch.nn.utils.parametrize makes it of the whole
    model.__class__ = type('Further', (type(model),), {})
    assert type(copy.deepcopy(model)).__mro__[0].__name__ == plain.__name__
