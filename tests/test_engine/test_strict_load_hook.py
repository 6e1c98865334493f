"""tools/test.py on checkpoints that fill all, or a part, of a detector."""

from mmreviewkd.engine import StrictLoadHook
from tests.support.commands import call
from tests.support.detectors import save_weights, tiny_detector

import pytest
import torch
from mmdet.models import DetTTAModel
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS


@pytest.fixture
def saved(project):
    path = save_weights(tiny_detector(), project / 'weights.pth')
    return torch.load(path, weights_only=True)


def run(project):
    return call(
        'test',
        project / 'distil.py',
        project / 'weights.pth',
        '--work-dir',
        project / 'run',
    )


def test_a_part_is_no_test(project, saved, capsys):
    path = project / 'weights.pth'
    saved['state_dict']['review.levels.0.reduce.conv.weight'] = torch.ones(1)
    torch.save(saved, path)
    assert run(project) is None
    assert 'bbox_mAP' in capsys.readouterr().out
    for key in [k for k in saved['state_dict'] if k.startswith('neck.')]:
        del saved['state_dict'][key]
    torch.save(saved, path)
    assert run(project) == (
        f'error: checkpoint {path} does not fit FasterRCNN: of 150 tensors '
        '16 missing (first: neck.lateral_convs.0.conv.weight, '
        'neck.lateral_convs.0.conv.bias, neck.lateral_convs.1.conv.weight). '
        'Does it belong to this config?'
    )
    assert 'bbox_mAP' not in capsys.readouterr().out


class Runner:
    """As much of one as the hook looks at."""

    def __init__(self, model):
        self.model, self.cfg = model, Config(dict(load_from='weights.pth'))


@MODEL_WRAPPERS.register_module()
class Parallel(torch.nn.Module):
    """Stands for MMDistributedDataParallel, which needs a process group."""

    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.mark.parametrize(
    'wrap',
    [
        lambda model: model,
        Parallel,
        lambda model: DetTTAModel(module=model),
        lambda model: Parallel(DetTTAModel(module=model)),
    ],
)
def test_wrapped_models(saved, wrap):
    model = MODELS.build(tiny_detector())
    StrictLoadHook().after_load_checkpoint(Runner(wrap(model)), saved)
    assert torch.equal(
        model.backbone.conv1.weight, saved['state_dict']['backbone.conv1.weight']
    )
