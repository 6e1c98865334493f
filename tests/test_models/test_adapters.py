"""A kind of models that the package does not know, registered from outside."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.kd import kd_loss
from mmreviewkd.models import ADAPTERS, Adapter, Distilled
from mmreviewkd.models.adapters import Match, adapter_of
from mmreviewkd.models.logit_rows import LogitRows
from tests.support.detectors import save_weights
from tests.support.students import assert_same

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModel


@MODELS.register_module()
class TinySegmentor(BaseModel):
    """Encoder, decoder, and a class for each pixel."""

    def __init__(self, width, classes=3, depth=2, **kwargs):
        super().__init__(**kwargs)
        widths = [3, *(width * 2**i for i in range(depth))]
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU())
                for a, b in zip(widths, widths[1:])
            )
        )
        self.decoder = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.decoder(self.encoder(inputs))
        if mode == 'tensor':
            return logits
        if mode == 'predict':
            return list(logits.argmax(1))
        logits = F.interpolate(logits, size=inputs.shape[-2:])
        return dict(loss_seg=F.cross_entropy(logits, data_samples))


# ---- all that a user writes for it ----
class PixelRows(LogitRows):
    """One row per cell of the decoder's map; the label of its first pixel."""

    use_sigmoid, losses = False, 'KDLoss or DKDLoss'

    def modules(self, student):
        return [student.decoder]

    def rows(self, batch):
        (((_, logits),),) = batch.calls
        both = (logits, batch.outputs)
        ours, theirs = (x.permute(0, 2, 3, 1).flatten(0, 2) for x in both)
        step = batch.data_samples.size(1) // logits.size(2)
        return ours, theirs, batch.data_samples[:, ::step, ::step].flatten()


class SegmentorAdapter(Adapter):
    """The stages of the encoder, deep ones with deep ones."""

    kind = 'segmentor'

    def knows(self, model):
        return hasattr(model, 'encoder')

    def level_names(self, model, role, part):
        return [f'encoder.{i}' for i in range(len(model.encoder))]

    def image_size(self, model):
        return 32

    def extract(self, model, inputs):
        return model(inputs)

    def classes(self, outputs):
        return outputs.size(1)

    def match(self, student, teacher, strides):
        common = [s for s in student.strides if s in teacher.strides]
        return Match(
            [(student.strides.index(s), teacher.strides.index(s)) for s in common],
            [f'1/{s}' for s in common],
        )

    def logit_rows(self, model):
        return PixelRows


@pytest.fixture
def registered():
    ADAPTERS.register_module(module=SegmentorAdapter)
    yield
    del ADAPTERS.module_dict['SegmentorAdapter']


def segmentor(width=4, **replaced):
    preprocessor = dict(type='ImgDataPreprocessor', mean=[127.0] * 3, std=[60.0] * 3)
    return dict(
        type='TinySegmentor', width=width, data_preprocessor=preprocessor, **replaced
    )


@pytest.fixture
def teacher(tmp_path):
    config = segmentor(6, depth=3)
    path = save_weights(copy.deepcopy(config), tmp_path / 'teacher.pth')
    return dict(config=config, checkpoint=path)


def distilled(teacher, **settings):
    config = dict(
        type='ReviewKD', student=segmentor(), teacher=teacher, review=dict(weight=1.0)
    )
    return MODELS.build(copy.deepcopy(dict(config, **settings)))


def batch():
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=list(torch.randint(0, 256, (2, 3, 32, 32), generator=generator)),
        data_samples=torch.randint(0, 3, (2, 32, 32), generator=generator),
    )


def test_it_is_distilled(registered, teacher):
    # their decoders are not of one size: a map more has half the side
    model = distilled(teacher, methods=dict(at=dict(type='AttentionTransfer')))
    assert isinstance(model, Distilled) and isinstance(model, TinySegmentor)
    assert model.distillation.match == Match([(0, 0), (1, 1)], ['1/2', '1/4'])
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    assert set(losses) == {
        'loss_seg',
        'loss_at',
        'loss_review',
        'review_1/2',
        'review_1/4',
    }
    model.parse_losses(losses)[0].backward()
    assert model.encoder[0][0].weight.grad.abs().sum() > 0
    tutor = model.distillation.teacher.model
    with torch.no_grad():
        features = [tutor.encoder[:i](data['inputs']) for i in (1, 2)]
    ours = model.encoder[0](data['inputs']), model.encoder(data['inputs'])
    torch.testing.assert_close(
        losses['loss_review'], model.review.loss(ours, features).sum()
    )
    model.eval()
    assert_same(
        model(data['inputs'], mode='predict'),
        list(model.decoder(model.encoder(data['inputs'])).argmax(1)),
    )


def test_its_logits_are_compared(registered, tmp_path):
    config = segmentor(6)
    path = save_weights(copy.deepcopy(config), tmp_path / 'teacher.pth')
    teacher = dict(config=config, checkpoint=path)
    kd = dict(kd=dict(type='KDLoss', temperature=2.0))
    model = distilled(teacher, methods=kd)
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    rows = [
        each(data['inputs']).movedim(1, 3).reshape(-1, 3)
        for each in (model, model.distillation.teacher.model)
    ]
    torch.testing.assert_close(losses['loss_kd'], kd_loss(*rows, 2.0))
    with pytest.raises(UserInputError, match='the student has 2, the teacher 3'):
        distilled(teacher, methods=kd, student=segmentor(classes=2))


def test_without_it_the_model_is_refused(teacher):
    with pytest.raises(UserInputError, match='student TinySegmentor has no neck'):
        distilled(teacher)


def test_the_latest_is_asked_first(registered):
    model = MODELS.build(segmentor())
    assert type(adapter_of(model)) is SegmentorAdapter

    class Later(SegmentorAdapter):
        pass

    ADAPTERS.register_module(module=Later)
    try:
        assert type(adapter_of(model)) is Later
    finally:
        del ADAPTERS.module_dict['Later']
    assert type(adapter_of(model)) is SegmentorAdapter


CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='CifarResNet', depth=8),
    data_preprocessor=dict(
        type='CropFlipPreprocessor', mean=[125.0] * 3, std=[63.0] * 3
    ),
)


@pytest.mark.parametrize(
    'student, kind', [(segmentor(), 'segmentor'), (CLASSIFIER, 'classifier')]
)
def test_a_pair_of_two_kinds_is_refused(registered, teachers, student, kind):
    with pytest.raises(UserInputError) as error:
        distilled(teachers['faster_rcnn'], student=student)
    assert str(error.value) == (
        f'student {student["type"]} is a {kind}, teacher FasterRCNN a detector; the '
        'levels of such a pair cannot be matched'
    )
