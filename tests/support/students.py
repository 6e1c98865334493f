"""Five kinds of models, plain and distilled, with equal weights and batches."""

import copy

from tests.support.batches import batch
from tests.support.classifiers import classifier
from tests.support.detectors import save_weights, tiny_detector
from tests.support.shrunk_models import tiny_model

import torch
from mmdet.registry import MODELS

KINDS = ('two_stage', 'one_stage', 'rtmdet', 'detr', 'classifier')
DETECTORS = KINDS[:4]


def config(kind, times=1):
    """Config of a tiny model; ``times`` as wide."""
    if kind == 'classifier':
        return classifier(widths=[width * times for width in (4, 4, 8, 16)])
    if kind == 'rtmdet':
        cfg = tiny_model('rtmdet/rtmdet_tiny_8xb32-300e_coco', 8 // times)
        for part in (cfg.backbone, cfg.neck, cfg.bbox_head):
            part.norm_cfg.type = 'BN'  # SyncBN is none of the CPU's
        cfg.bbox_head.exp_on_reg = True  # or what is not trained finds no box
        return cfg
    if kind == 'detr':
        return tiny_model('detr/detr_r50_8xb2-150e_coco', 32 // times)
    family = dict(two_stage='faster_rcnn', one_stage='retinanet')[kind]
    return tiny_detector(family, 4 * times, 8 * times)


class Kind:
    """Builds plain and distilled models of a kind, which have the same weights.

    Args:
        name (str): One of ``KINDS``.
        folder (Path): For the teacher's checkpoint.
    """

    def __init__(self, name, folder):
        self.name, self.student, teacher = name, config(name), config(name, 2)
        path = save_weights(copy.deepcopy(teacher), folder / f'{name}.pth')
        self.teacher = dict(config=teacher, checkpoint=path)

    def config(self, weight=1.0, **replaced):
        """The distillation's; arguments replace the student's."""
        return dict(
            type='ReviewKD',
            student=dict(copy.deepcopy(self.student), **replaced),
            teacher=copy.deepcopy(self.teacher),
            review=dict(weight=weight),
        )

    def distilled(self, seed=1, weight=1.0, **replaced):
        torch.manual_seed(seed)
        return MODELS.build(self.config(weight, **replaced))

    def plain(self, seed=1, **replaced):
        torch.manual_seed(seed)
        return MODELS.build(dict(copy.deepcopy(self.student), **replaced))

    def pair(self, **replaced):
        return self.plain(**replaced), self.distilled(**replaced)

    def batch(self):
        if self.name != 'classifier':
            return batch()
        images = torch.arange(4 * 3 * 32 * 32) * 7919 % 256
        return dict(
            inputs=images.view(4, 3, 32, 32).byte(), data_samples=torch.arange(4)
        )


def losses_of(model, data=None):
    """What ``train_step`` computes of a batch, always with the same samples.

    Args:
        model (BaseModel): The model.
        data (dict, optional): Of a data loader; :func:`batch`'s by default.
    """
    torch.manual_seed(2)
    data = model.data_preprocessor(copy.deepcopy(data or batch()), True)
    return model(**data, mode='loss')


def own(losses):
    """The losses that a plain student has as well."""
    return {key: value for key, value in losses.items() if 'review' not in key}


def predictions_of(model, data):
    """What ``test_step`` says of a batch, as a list of dicts."""
    model.eval()
    with torch.no_grad():
        samples = model.test_step(copy.deepcopy(data))
    return [
        sample if isinstance(sample, dict) else sample.pred_instances.to_dict()
        for sample in samples
    ]


def assert_same(a, b):
    """Equal to the last bit: tensors in dicts and lists."""
    torch.testing.assert_close(a, b, rtol=0, atol=0)
