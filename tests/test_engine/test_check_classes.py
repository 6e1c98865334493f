"""Classes of the data, of each other split and of the model's heads."""

import gc
import json
from pathlib import Path

from mmreviewkd.engine.check_classes import check_classes
from mmreviewkd.engine.check_data import name_files_in_errors
from mmreviewkd.errors import UserInputError
from mmreviewkd.models.adapters import adapter_of
from tests.support.detectors import tiny_detector

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """Datasets ask for one each, which takes most of the time here."""
    monkeypatch.setattr(gc, 'collect', lambda: None)


class Loop:
    def __init__(self, cfg, split):
        self.dataloader = Runner.build_dataloader(cfg[f'{split}_dataloader'], seed=0)
        if split != 'train':
            self.evaluator = Evaluator(cfg[f'{split}_evaluator'])


class Run:
    """A runner's parts that are looked at, built as it builds them."""

    def __init__(self, cfg, model=None):
        self.cfg = cfg
        with torch.device('meta'):
            self.model = model or MODELS.build(cfg.model)

    train_loop = property(lambda self: Loop(self.cfg, 'train'))
    val_loop = property(lambda self: Loop(self.cfg, 'val'))
    test_loop = property(lambda self: Loop(self.cfg, 'test'))


@pytest.fixture
def refused(project):
    """What is said before training or testing with settings changed."""
    name_files_in_errors()

    def refused(options, splits=('train', 'val'), **how):
        cfg = Config.fromfile(project / 'plain.py')
        cfg.merge_from_dict(options)
        with pytest.raises(UserInputError) as error:
            check_classes(Run(cfg), *splits, **how)
        assert '\n' not in str(error.value)
        return str(error.value)

    return refused


def test_a_head_for_other_classes(refused, distiller, project):
    head = 'roi_head.bbox_head.num_classes'
    both = 'has 2 classes (a, b), but model.{0}=5; set model.{0} to 2'
    assert refused({f'model.{head}': 5}) == 'train_dataloader ' + both.format(head)
    with pytest.raises(UserInputError) as error:
        check_classes(
            Run(
                Config.fromfile(project / 'plain.py'),
                distiller(student=tiny_detector(num_classes=5)),
            ),
            'train',
        )
    assert str(error.value) == 'train_dataloader ' + both.format(f'student.{head}')
    # a distillation's student, tested alone
    assert refused(
        {f'model.{head}': 5}, splits=['test'], student=True
    ) == 'test_dataloader ' + both.format(f'student.{head}')


def test_splits_of_other_classes(refused):
    split = 'val_dataloader.dataset.metainfo.classes'
    assert refused({split: ('a',)}).startswith(
        'train_dataloader has the classes (a, b), val_dataloader has the '
        'classes (a); these are 2 and 1. What is learned is measured by'
    )
    names = 'val_dataloader has none of the classes (x, y); its categories'
    assert names[15:] in refused({split: ('x', 'y')})


def test_the_evaluators_file_has_another_order(refused, coco, tmp_path):
    content = json.loads((coco / 'val.json').read_text())
    content['categories'].reverse()
    path = tmp_path / 'other.json'
    path.write_text(json.dumps(content))
    assert refused({'val_evaluator.ann_file': str(path)}).startswith(
        f'val_evaluator.ann_file {path} has the classes in another order: by '
        'its categories label 0 is b'
    )


def test_the_split_is_named(refused, coco, tmp_path):
    path = tmp_path / 'cut.json'
    path.write_bytes((coco / 'val.json').read_bytes()[:200])
    for setting, split in (
        ('train_dataloader.dataset', 'train'),
        ('val_evaluator', 'val'),
    ):
        assert refused({f'{setting}.ann_file': str(path)}).startswith(
            f'{split} data: annotation file {path} is no JSON, or is cut '
        )
    assert refused({'train_dataloader.dataset.indices': 0}) == (
        f'train data: no image is left of {coco}/train.json: its annotations list none'
    )
    assert (
        refused(
            {
                'val_dataloader.dataset.indices': 0,
                'val_dataloader.dataset.serialize_data': False,
            }
        )
        == 'val_dataloader: the dataset is empty'
    )


def test_no_box_at_all(refused, coco, tmp_path):
    content = json.loads((coco / 'train.json').read_text())
    path = tmp_path / 'none.json'
    path.write_text(json.dumps(dict(content, annotations=[])))
    assert refused({'train_dataloader.dataset.ann_file': str(path)}) == (
        'train_dataloader: none of the 8 images has a box of the classes (a, '
        f'b); see the annotations of {path}'
    )


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='RepeatDataset', times=2),
        dict(type='ConcatDataset'),
        dict(type='ClassBalancedDataset', oversample_thr=0.1),
        dict(type='MultiImageMixDataset', pipeline=[]),
    ],
)
def test_wrapped_datasets(wrapper, project):
    name_files_in_errors()
    cfg = Config.fromfile(project / 'plain.py')

    def wrap(data):
        several = wrapper['type'] == 'ConcatDataset'
        inner = dict(datasets=[data, data]) if several else dict(dataset=data)
        cfg.train_dataloader.dataset = dict(wrapper, **inner)
        return Run(cfg, model)

    model = torch.nn.ModuleDict(dict(bbox_head=torch.nn.Identity()))
    model.bbox_head.num_classes = 2
    data = cfg.train_dataloader.dataset
    check_classes(wrap(data), 'train')
    data.metainfo.classes = ('a', 'c')
    with pytest.raises(UserInputError, match='train.json has no category c'):
        check_classes(wrap(data), 'train')
    data.metainfo.classes = ('a',)
    with pytest.raises(UserInputError, match='has 1 classes .a., but model.b'):
        check_classes(wrap(data), 'train')


def heads(config, change=None):
    cfg = (
        config
        if isinstance(config, dict)
        else Config.fromfile(
            Path(mmdet.__file__).parent / '.mim' / 'configs' / config
        ).model
    )
    cfg.backbone.init_cfg = None
    if change:
        change(cfg)
    with torch.device('meta'):
        model = MODELS.build(cfg)
    return dict(adapter_of(model).class_settings(model))


def test_heads_that_classify_boxes_or_masks():
    """Lists of cascades, DETR's, but no RPN, semantic or agnostic head."""
    assert heads(tiny_detector('retinanet', num_classes=7)) == dict(bbox_head=7)
    assert heads(tiny_detector('mask_rcnn', num_classes=7)) == {
        'roi_head.bbox_head': 7,
        'roi_head.mask_head': 7,
    }
    stages = [f'bbox_head.{i}' for i in range(3)]
    assert heads('htc/htc_r50_fpn_1x_coco.py') == {
        f'roi_head.{name}': 80
        for name in [*stages, *(f'mask_head.{i}' for i in range(3))]
    }
    agnostic = dict(num_classes=5, class_agnostic=True)
    assert heads(
        tiny_detector('mask_rcnn'), lambda cfg: cfg.roi_head.mask_head.update(agnostic)
    ) == {'roi_head.bbox_head': 2}
    assert heads('detr/detr_r50_8xb2-150e_coco.py') == dict(bbox_head=80)
    assert heads('rpn/rpn_r50_fpn_1x_coco.py') == {}


def test_logits_of_a_classifier(project, tmp_path):
    network = dict(
        type='ImageClassifier',
        backbone=dict(type='CifarResNet', depth=8, num_classes=4),
        data_preprocessor=dict(
            type='CropFlipPreprocessor', mean=[125.0] * 3, std=[60.0] * 3
        ),
    )
    cfg = Config.fromfile(project / 'plain.py')
    cfg.model = network
    with pytest.raises(UserInputError) as error:
        check_classes(Run(cfg), 'train')
    assert str(error.value) == (
        'train_dataloader has 2 classes (a, b), but '
        'model.backbone.num_classes=4; set model.backbone.num_classes to 2'
    )
