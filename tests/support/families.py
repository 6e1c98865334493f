"""Every family of detectors that mmdet ships, and how its config is shrunk."""

from functools import partial

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
