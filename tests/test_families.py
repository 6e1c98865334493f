"""Every family of detectors that mmdet ships, as student and as teacher.

Each is mmdet's own config, with few channels: see ``tests/support/families.py``. What
the rows stand for is in ``docs/families.md``.
"""

import copy

from mmreviewkd.compat import ensure_mmcv_ops
from mmreviewkd.errors import UserInputError
from tests.support.batches import batch
from tests.support.checkpoints import snapshot
from tests.support.families import FAMILIES, P2, P3, few_regions, mask2former
from tests.support.paths import ROOT
from tests.support.shrunk_models import tiny_model, train_weights

import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import get_state_dict


@pytest.fixture(autouse=True)
def progress():
    """What the Runner tells heads that ask for it."""
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 0)
    hub.update_info('epoch', 0)


def distil(student, teacher, path, review=None):
    return MODELS.build(
        dict(
            type='ReviewKD',
            student=student,
            teacher=dict(
                config=copy.deepcopy(teacher),
                checkpoint=train_weights(copy.deepcopy(teacher), path),
            ),
            review=dict(weight=1.0, **(review or {})),
        )
    )


def predictions(model, data):
    model.eval()
    with torch.no_grad():
        samples = model.test_step(copy.deepcopy(data))
    found = {}
    for i, sample in enumerate(samples):
        for part in ('pred_instances', 'pred_panoptic_seg'):
            for key, value in sample.get(part, {}).items():
                found[f'{i}.{part}.{key}'] = value
    return found


def same(a, b):
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def train_and_deploy(model, student, data):
    """Two steps, a checkpoint, and the plain student that it is loaded into.

    Args:
        model (ReviewKD): The distiller.
        student (dict): Config of the plain student.
        data (dict): A batch.
    """
    model.init_weights()
    model.train()
    before, teacher = snapshot(model), snapshot(model.distillation.teacher)
    # without weight decay, Adam moves what has a gradient, and no more
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    for _ in range(2):
        log = model.train_step(copy.deepcopy(data), wrapper)
        assert all(torch.isfinite(value).all() for value in log.values()), log
        assert log['loss_review'] > 0
    still = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and torch.equal(parameter, before[name])
    ]
    assert not [
        name for name in still if name.split('.')[0] in ('backbone', 'neck', 'review')
    ]
    assert len(still) < len(before) / 4
    for key, value in model.distillation.teacher.state_dict().items():
        assert torch.equal(value, teacher[key]), key

    plain = MODELS.build(student)
    loaded = plain.load_state_dict(get_state_dict(model), strict=False)
    assert not loaded.missing_keys
    mine, theirs = (predictions(m, data) for m in (model, plain))
    # DDQ's decoder adopts branches of the head in training: second names
    state = model.state_dict()
    known = {state[key].data_ptr() for key in plain.state_dict()}
    assert all(
        key.startswith('review.') or state[key].data_ptr() in known
        for key in loaded.unexpected_keys
    )
    assert mine and mine.keys() == theirs.keys()
    for key in mine:
        assert same(mine[key], theirs[key]), key
    return model


@pytest.mark.parametrize('name', FAMILIES)
def test_family(name, tmp_path, monkeypatch):
    if name in ('paa', 'lad'):
        pytest.importorskip('sklearn')
    if name in ('carafe', 'guided_anchoring') and ensure_mmcv_ops() == 'mmcv':
        pytest.skip('a compiled mmcv has their operators for CUDA alone')
    # mmdet 3.2 and 3.3 evaluate no SSD without (their issue 11063)
    monkeypatch.setattr(SSDHead, 'loss_cls', None, raising=False)
    row = FAMILIES[name]
    by = row['by']
    student, teacher = (
        tiny_model(row['config'], by, row['changes'], row['heads_by'])
        for by in (by if isinstance(by, tuple) else (by, by // 2))
    )
    model = distil(
        copy.deepcopy(student), teacher, tmp_path / 'teacher.pth', row['review']
    )
    assert model.distillation.match.names == [f'stride {s}' for s in row['levels']]
    train_and_deploy(model, student, batch(**row['data']))


# ------------------------------------------------------------------- pairs
PAIRS = {
    'backbone_retinanet_r101-r18_fpn_1x_coco': (4, 8, 16, 32),
    'binary-kd_retinanet_r101-r50_fpn_1x_coco': P3,
    'cascade-mask-rcnn-x101_faster-rcnn-r50_fpn_1x_coco': P2,
    'faster-rcnn-r101_retinanet-r50_fpn_1x_coco': P3[:4],
    'fcos-x101_retinanet-r50_fpn_1x_coco': P3,
    'half-size_retinanet_r101-r18_fpn_1x_coco': P3[:4],
    'mask-rcnn_swin-s-r50_fpn_1x_coco': P2,
    'rtmdet_l-tiny_8xb32-300e_coco': P3[:3],
}
FOLDER = ROOT / 'configs' / 'pairs'


def test_every_pair_is_tested():
    assert {
        path.stem[len('review-kd_') :] for path in FOLDER.glob('review-kd_*.py')
    } == set(PAIRS)


@pytest.mark.parametrize('name', PAIRS)
def test_pair(name, tmp_path):
    """The configs of ``configs/pairs``, students and teachers shrunk."""
    config = Config.fromfile(FOLDER / f'review-kd_{name}.py')
    given = config.model
    # RTMDet-tiny is narrow already
    by = 8 if 'rtmdet' in name else 32
    config.model = given.student
    student = tiny_model(config, by)
    teacher = tiny_model(
        given.teacher.config.replace('mmdet::', '').replace('.py', ''),
        by if 'rtmdet' in name else by // 2,
    )
    given.student = copy.deepcopy(student)
    given.teacher.update(
        config=copy.deepcopy(teacher),
        checkpoint=train_weights(teacher, tmp_path / 'teacher.pth'),
    )
    model = MODELS.build(given)
    assert model.distillation.match.names == [f'stride {s}' for s in PAIRS[name]]
    assert any(
        abf.reduce.conv.in_channels != abf.output.conv.out_channels
        for abf in model.review.levels
    )
    masks = hasattr(model, 'roi_head') and model.with_mask
    train_and_deploy(model, student, batch(masks=masks))


def test_a_teacher_with_a_neck_teaches_a_student_without(tmp_path):
    student = tiny_model(FAMILIES['faster_rcnn_c4']['config'], 4, few_regions)
    model = distil(
        copy.deepcopy(student),
        tiny_model('retinanet/retinanet_r101_fpn_1x_coco', 16),
        tmp_path / 'teacher.pth',
        review=dict(features='backbone', strides=(16,)),
    )
    assert model.distillation.match.names == ['stride 16']
    train_and_deploy(model, student, batch())


# ------------------------------------------------------- what cannot work
NO_NECK = {
    'FasterRCNN': 'faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco',
    'MaskFormer': 'maskformer/maskformer_r50_ms-16xb1-75e_coco',
    'CornerNet': 'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco',
    'SoftTeacher': 'soft_teacher/'
    'soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco',
    'QDTrack': 'qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-'
    'mot17halfval',
}


def refused(student, teacher=None, **review):
    with pytest.raises(UserInputError) as error:
        MODELS.build(
            dict(
                type='ReviewKD',
                student=student,
                teacher=dict(config=teacher or student, checkpoint='none.pth'),
                review=dict(weight=1.0, **review),
            )
        )
    return str(error.value)


@pytest.mark.parametrize('kind', NO_NECK)
def test_a_model_without_neck_is_told_of_the_backbone(kind):
    cfg = tiny_model(
        NO_NECK[kind], 32, changes=mask2former if kind == 'MaskFormer' else None
    )
    message = refused(cfg)
    assert f'student {kind} has no neck' in message
    assert (
        'take that detector'
        if kind in ('SoftTeacher', 'QDTrack')
        else "ReviewKD(part='backbone')"
    ) in message


def test_two_maps_of_one_stride_are_refused(tmp_path):
    """CornerNet's hourglasses put out one map each, both at stride 4."""
    cfg = tiny_model(NO_NECK['CornerNet'])
    with pytest.raises(
        UserInputError,
        match=r'student at \(4, 4\); no pair '
        r'of levels at \(4,\)',
    ):
        distil(cfg, cfg, tmp_path / 'teacher.pth', dict(features='backbone'))


def test_a_student_that_distils_itself_moves_as_a_whole(tmp_path):
    """LAD's own teacher is in no table of modules either; its own ``to`` moves it."""
    pytest.importorskip('sklearn')
    row = FAMILIES['lad']
    cfg = tiny_model(row['config'], 32, row['changes'])
    model = distil(copy.deepcopy(cfg), cfg, tmp_path / 'teacher.pth').to('meta')
    for part in (model, model.distillation.teacher, model.teacher_model):
        assert {p.device.type for p in part.parameters()} == {'meta'}


def test_the_image_itself_is_no_level(tmp_path):
    """DetectoRS' backbone hands the image on to its neck."""
    row = FAMILIES['rfp_sac']
    cfg = tiny_model(row['config'], 32, row['changes'])
    model = distil(
        copy.deepcopy(cfg), cfg, tmp_path / 'teacher.pth', dict(features='backbone')
    )
    assert model.distillation.match.names == [f'stride {s}' for s in (4, 8, 16, 32)]


def test_tridentnet_teaches_and_does_not_learn(tmp_path):
    """In training its backbone puts out each image three times."""
    (student, c4), (learner, trident) = (
        [tiny_model(config, by, few_regions) for by in (4, 8)]
        for config in (
            FAMILIES['faster_rcnn_c4']['config'],
            'tridentnet/tridentnet_r50-caffe_1x_coco',
        )
    )
    review = dict(features='backbone')
    model = distil(copy.deepcopy(student), trident, tmp_path / 'trident.pth', review)
    train_and_deploy(model, student, batch())
    model = distil(learner, c4, tmp_path / 'c4.pth', review)
    with pytest.raises(
        UserInputError,
        match='in training, backbone of the student puts out 6 maps '
        'a level for 2 images',
    ):
        model(**model.data_preprocessor(batch(), True), mode='loss')


def test_wrappers_of_detectors_have_no_features_of_their_own():
    for kind in ('SoftTeacher', 'QDTrack'):
        assert f'student {kind} has no backbone' in refused(
            tiny_model(NO_NECK[kind]), features='backbone'
        )


def test_levels_without_a_partner_are_named(tmp_path):
    yolof = tiny_model(FAMILIES['yolof']['config'])
    centernet = tiny_model(FAMILIES['centernet']['config'])
    for student, path, advice in (
        (yolof, 'a.pth', 'ReviewKD(strides=(32,))'),
        (centernet, 'b.pth', 'They have no stride in common'),
    ):
        with pytest.raises(UserInputError) as error:
            distil(
                student, tiny_model(FAMILIES['retinanet']['config']), tmp_path / path
            )
        assert advice in str(error.value)
