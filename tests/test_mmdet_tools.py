"""mmdet's own tools on a config that only imports this package."""

import json

from mmreviewkd.compat import load_from_local
from tests.support.commands import process
from tests.support.logs import average_precision, scalars
from tests.support.paths import MMDET_TOOLS
from tests.support.project import write_project

import pytest
import torch
from mmdet.apis import inference_detector, init_detector


@pytest.fixture(scope='module')
def module_project(tmp_path_factory, coco, teachers):
    return write_project(tmp_path_factory.mktemp('project'), coco, teachers)


@pytest.fixture(scope='module')
def run(module_project):
    """mmdet's own train.py on a config that only imports this package."""
    result = process(
        MMDET_TOOLS / 'train.py', 'distil.py', '--work-dir', 'run', cwd=module_project
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return module_project, module_project / 'run', result.stdout


def test_mmdets_train_distils(run):
    _, work_dir, output = run
    assert output.count('mmcv operators: ') == 1
    losses = [line for line in scalars(work_dir) if 'loss' in line]
    assert len(losses) == 4
    levels = [
        sum(line[f'review_stride{s}'] for s in (4, 8, 16, 32, 64)) for line in losses
    ]
    for i, line in enumerate(losses):
        # mmengine logs losses as means so far, other values as they are
        assert line['loss_review'] == pytest.approx(
            sum(levels[: i + 1]) / (i + 1), rel=1e-4
        )
        assert line['loss'] == pytest.approx(
            sum(value for key, value in line.items() if key.startswith('loss_')),
            rel=1e-4,
        )
    assert len(average_precision(work_dir)) == 2


@pytest.mark.parametrize('epoch', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_mmdets_test_takes_the_plain_config_for_every_checkpoint(run, epoch):
    project, work_dir, _ = run
    # as a user without this package has it, but for the served operators
    code = (
        'import sys, mmreviewkd.compat as c; c.ensure_mmcv_ops(); '
        'c.register_safe_loaders(); import runpy; sys.argv = sys.argv[1:];'
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    (project / 'served.py').write_text(code)
    result = process(
        'served.py',
        MMDET_TOOLS / 'test.py',
        'plain.py',
        work_dir / f'epoch_{epoch}.pth',
        '--work-dir',
        f'test_{epoch}',
        cwd=project,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    (path,) = (project / f'test_{epoch}').glob('*/*.json')
    tested = json.loads(path.read_text())['coco/bbox_mAP']
    assert tested == average_precision(work_dir)[epoch - 1]
    assert 'missing keys' not in result.stdout


@pytest.mark.slow
def test_mmdets_test_takes_the_distillation_config(run):
    project, work_dir, _ = run
    result = process(
        MMDET_TOOLS / 'test.py',
        'distil.py',
        work_dir / 'epoch_2.pth',
        '--work-dir',
        'test_distil',
        cwd=project,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    (path,) = (project / 'test_distil').glob('*/*.json')
    assert (
        json.loads(path.read_text())['coco/bbox_mAP'] == average_precision(work_dir)[1]
    )


def test_init_detector_on_a_checkpoint_of_the_run(run, coco):
    project, work_dir, _ = run
    model = init_detector(
        str(project / 'plain.py'), str(work_dir / 'epoch_1.pth'), device='cpu'
    )
    assert type(model).__name__ == 'FasterRCNN'
    assert model.dataset_meta['classes'] == ('a', 'b')
    saved = load_from_local(str(work_dir / 'epoch_1.pth'))
    for key, value in model.state_dict().items():
        assert torch.equal(value, saved['state_dict'][key])
    result = inference_detector(model, str(coco / 'val' / '1.png'))
    assert result.pred_instances.bboxes.shape[1] == 4
