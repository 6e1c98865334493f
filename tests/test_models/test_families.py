"""Every family of detectors that mmdet ships, as student and as teacher.

Each is mmdet's own config, with few channels: see ``tests/families.py``. What
the rows stand for is in ``docs/families.md``.
"""

import copy
from functools import partial
from pathlib import Path

from mmreviewkd.compat import ensure_mmcv_ops
from mmreviewkd.errors import UserInputError
from tests.families import batch, tiny_model, train_weights

import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import get_state_dict

P2, P3 = (4, 8, 16, 32, 64), (8, 16, 32, 64, 128)
SQUARE = ((96, 96), (96, 96))


def resnet18(cfg, by, width, stages):
    """In place of a backbone whose widths no config sets."""
    cfg.backbone = dict(
        type='ResNet',
        depth=18,
        base_channels=width // by,
        num_stages=stages[-1] + 1,
        strides=(1, 2, 2, 2)[: stages[-1] + 1],
        dilations=(1,) * (stages[-1] + 1),
        out_indices=stages,
    )


def ssd(cfg, by):
    resnet18(cfg, by, 256, (1, 2))


def deformable(cfg, by):
    cfg.bbox_head.embed_dims = 256 // by


def few_regions(cfg, by):
    # mmdet's shared head is as wide as ever
    cfg.train_cfg.rcnn.sampler.num = 8
    cfg.test_cfg.rpn.max_per_img = 4


def fpg(cfg, by):
    cfg.neck.update(stack_times=4, paths=['bu'] * 4)


def queryinst(cfg, by):
    for head in cfg.roi_head.bbox_head:
        # untrained, it would throw boxes out of the image, where mmdet
        # cannot paste masks
        head.bbox_coder.target_stds = [1e-3] * 4


def mask2former(cfg, by):
    cfg.panoptic_head.loss_cls.class_weight = [1.0, 1.0, 0.1]
    for augment in cfg.data_preprocessor.get('batch_augments') or ():
        augment.size = (128, 128)


def family(
    config,
    levels,
    by=32,
    changes=None,
    masks=False,
    shapes=((64, 96), (96, 96)),
    proposals=False,
    heads_by=None,
    **review,
):
    return dict(
        config=config,
        levels=levels,
        by=by,
        changes=changes,
        heads_by=heads_by,
        data=dict(masks=masks, shapes=shapes, proposals=proposals),
        review=review,
    )


backbone = partial(family, features='backbone')
masked = partial(family, masks=True)

FAMILIES = {
    # two-stage
    'faster_rcnn': family('faster_rcnn/faster-rcnn_r50_fpn_1x_coco', P2),
    'fast_rcnn': family('fast_rcnn/fast-rcnn_r50_fpn_1x_coco', P2, proposals=True),
    'mask_rcnn': masked('mask_rcnn/mask-rcnn_r50_fpn_1x_coco', P2),
    'cascade_rcnn': family('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco', P2),
    'cascade_mask_rcnn': masked('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco', P2),
    'htc_without_semantic': masked('htc/htc-without-semantic_r50_fpn_1x_coco', P2),
    'htc': masked('htc/htc_r50_fpn_1x_coco', P2),
    'scnet': masked('scnet/scnet_r50_fpn_1x_coco', P2),
    'sparse_rcnn': family('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco', P2[:4]),
    'queryinst': masked(
        'queryinst/queryinst_r50_fpn_1x_coco', P2[:4], changes=queryinst
    ),
    'double_heads': family('double_heads/dh-faster-rcnn_r50_fpn_1x_coco', P2),
    'dynamic_rcnn': family('dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco', P2),
    'grid_rcnn': family('grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco', P2),
    'ms_rcnn': masked('ms_rcnn/ms-rcnn_r50_fpn_1x_coco', P2),
    'point_rend': masked('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco', P2),
    'panoptic_fpn': masked('panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco', P2),
    'crowddet': family('crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman', P2),
    'cascade_rpn': family(
        'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco', P2
    ),
    'rpn': family('rpn/rpn_r50_fpn_1x_coco', P2),
    'pisa': family('pisa/faster-rcnn_r50_fpn_pisa_1x_coco', P2),
    'groie': family('groie/faste-rcnn_r50_fpn_groie_1x_coco', P2),
    'sabl': family('sabl/sabl-faster-rcnn_r50_fpn_1x_coco', P2),
    'guided_anchoring': family(
        'guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco', P2, shapes=SQUARE[:1]
    ),
    # one-stage
    'retinanet': family('retinanet/retinanet_r50_fpn_1x_coco', P3),
    'fcos': family('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco', P3),
    'atss': family('atss/atss_r50_fpn_1x_coco', P3),
    'gfl': family('gfl/gfl_r50_fpn_1x_coco', P3),
    'paa': family('paa/paa_r50_fpn_1x_coco', P3),
    'tood': family('tood/tood_r50_fpn_1x_coco', P3),
    'reppoints': family('reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco', P3),
    'vfnet': family('vfnet/vfnet_r50_fpn_1x_coco', P3),
    'rtmdet': family('rtmdet/rtmdet_tiny_8xb32-300e_coco', P3[:3], 8),
    'rtmdet_ins': masked(
        'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco', P3[:3], 8, shapes=SQUARE
    ),
    'yolox': family('yolox/yolox_tiny_8xb8-300e_coco', P3[:3], 8),
    'yolof': family('yolof/yolof_r50-c5_8xb8-1x_coco', (32,)),
    'yolov3': family(
        'yolo/yolov3_d53_8xb8-ms-608-273e_coco',
        P3[:3],
        changes=partial(resnet18, width=128, stages=(1, 2, 3)),
    ),
    'ssd300': family(
        'ssd/ssd300_coco', (8, 16, 32, 64, 85, 128), changes=ssd, shapes=((300, 300),)
    ),
    'centernet': family('centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco', (4,)),
    'centernet_update': family(
        'centernet/centernet-update_r50-caffe_fpn_ms-1x_coco', P3
    ),
    'autoassign': family('autoassign/autoassign_r50-caffe_fpn_1x_coco', P3),
    'ddod': family('ddod/ddod_r50_fpn_1x_coco', P3, shapes=((264, 264),)),
    'fovea': family('foveabox/fovea_r50_fpn_4xb4-1x_coco', P3),
    'free_anchor': family('free_anchor/freeanchor_r50_fpn_1x_coco', P3),
    'fsaf': family('fsaf/fsaf_r50_fpn_1x_coco', P3),
    'lad': family(
        'lad/lad_r50-paa-r101_fpn_2xb8_coco_1x', P3, changes={'teacher_ckpt': None}
    ),
    # instance segmentation in one stage
    'condinst': masked(
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
        P3,
        changes={'mask_head.num_layers': 3},
    ),
    'solo': masked('solo/solo_r50_fpn_1x_coco', P2),
    'solov2': masked('solov2/solov2_r50_fpn_1x_coco', P2),
    'yolact': masked('yolact/yolact_r50_1xb8-55e_coco', P3, shapes=SQUARE),
    # transformers
    'detr': family('detr/detr_r50_8xb2-150e_coco', (32,)),
    'conditional_detr': family(
        'conditional_detr/conditional-detr_r50_8xb2-50e_coco', (32,), heads_by=1
    ),
    'dab_detr': family('dab_detr/dab-detr_r50_8xb2-50e_coco', (32,)),
    'deformable_detr': family(
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco', P3[:4], changes=deformable
    ),
    'dino': family('dino/dino-4scale_r50_8xb2-12e_coco', P3[:4], heads_by=1),
    'ddq': family(
        'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
        P3[:4],
        changes={'decoder.num_layers': 2},
        heads_by=1,
    ),
    # other necks than FPN, and other backbones than ResNet
    'rfp_sac': family('detectors/detectors_cascade-rcnn_r50_1x_coco', P2, (16, 32)),
    'pafpn': family('pafpn/faster-rcnn_r50_pafpn_1x_coco', P2),
    'nas_fpn': family(
        'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco',
        P3,
        changes={'neck.stack_times': 2},
    ),
    'nas_fcos_fpn': family(
        'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco', P3
    ),
    'fpg': family('fpg/retinanet_r50_fpg_crop640_50e_coco', P3, changes=fpg),
    'bfp': family('libra_rcnn/libra-retinanet_r50_fpn_1x_coco', P3),
    'dyhead': family('dyhead/atss_r50_fpn_dyhead_1x_coco', P3, 16),
    'hrfpn': family('hrnet/faster-rcnn_hrnetv2p-w18-1x_coco', P2, 8),
    'carafe': family('carafe/faster-rcnn_r50_fpn-carafe_1x_coco', P2),
    'swin': family('swin/retinanet_swin-t-p4-w7_fpn_1x_coco', P3),
    # without a neck: part='backbone'
    'faster_rcnn_c4': backbone(
        'faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco', (16,), (4, 8), few_regions
    ),
    'faster_rcnn_dc5': backbone('faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco', (16,)),
    'maskformer': backbone(
        'maskformer/maskformer_r50_ms-16xb1-75e_coco',
        (4, 8, 16, 32),
        masks=True,
        changes=mask2former,
    ),
    'mask2former': backbone(
        'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
        (4, 8, 16, 32),
        masks=True,
        changes=mask2former,
    ),
}


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


def snapshot(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


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
FOLDER = Path(__file__).parents[2] / 'configs' / 'pairs'


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
