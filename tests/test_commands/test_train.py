"""Training, and what ends it before it begins."""

import shutil

from mmreviewkd.compat import load_from_local
from mmreviewkd.logs import epoch_means, read_scalars
from tests.support.commands import call, process, refused
from tests.support.detectors import save_weights, tiny_detector
from tests.support.paths import ROOT

import pytest
import torch


@pytest.mark.parametrize(
    'options, message',
    [
        (
            ['optim_wrapper.optimizer.lr=fast'],
            "optim_wrapper.optimizer.lr='fast': must be a number >= 0",
        ),
        (
            ['train_dataloader.batch_size=0', 'randomness.seed=x'],
            "randomness.seed='x': must be a whole number from 0 to 4294967295, "
            'or None; train_dataloader.batch_size=0: must be a whole number >= 1',
        ),
        (
            ['train_cfg.max_epochs=0'],
            'train_cfg.max_epochs=0: must be a whole number >= 1',
        ),
        (
            ['train_cfg.max_epochs=1', 'default_scope.x=1'],
            '--cfg-options train_cfg.max_epochs default_scope.x: does not fit the '
            "config: default_scope={'x': 1} in child config cannot inherit",
        ),
    ],
)
def test_settings(project, options, message):
    work_dir = project / 'run'
    assert refused(
        'train',
        project / 'distil.py',
        '--work-dir',
        work_dir,
        '--cfg-options',
        *options,
    ).startswith(message)
    assert not work_dir.exists()


@pytest.mark.parametrize(
    'option, message',
    [
        (
            'model.student.backbone.dept=18',
            'ResNet has no argument dept; near names: depth, deep_stem (in '
            'FasterRCNN of ReviewKD)',
        ),
        (
            'model.student.type=FasterRCN',
            "type='FasterRCN' is not in the mmdet::model registry; near names: "
            'FasterRCNN, FastRCNN, TridentFasterRCNN (in ReviewKD)',
        ),
        (
            'train_cfg.max_epoch=3',
            'EpochBasedTrainLoop has no argument max_epoch; near names: max_epochs',
        ),
    ],
)
def test_classes_and_arguments(project, option, message):
    assert (
        refused(
            'train',
            project / 'distil.py',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            option,
        )
        == message
    )
    assert not list(project.glob('run/**/*.pth'))


@pytest.mark.parametrize(
    'options, message',
    [
        (['train_dataloader.dataset.ann_file=none.json'], 'none.json (train_data'),
        (['val_dataloader.dataset.data_prefix.img=none/'], 'none/ (val_dataload'),
        (['val_evaluator.ann_file=none.json'], 'none.json (val_evaluator)'),
        (['load_from=none.pth'], 'checkpoint none.pth does not exist'),
        (['optim_wrapper.type=AmpOptimWrapper'], 'mixed precision'),
        (
            ['model.teacher.checkpoint=none.pth'],
            'teacher checkpoint none.pth does not exist',
        ),
        (['model.teacher.config=none.py'], 'config none.py does not exist'),
        (['model.review.weight=-1'], 'weight=-1'),
        (['model.teacher=None'], 'ReviewKD needs teacher=dict('),
    ],
)
def test_bad_input_is_one_line_before_training(project, options, message):
    work_dir = project / 'bad'
    error = call(
        'train',
        project / 'distil.py',
        '--work-dir',
        work_dir,
        '--cfg-options',
        *options,
    )
    assert error.startswith('error: ') and message in error
    assert '\n' not in error
    assert not list(work_dir.glob('**/*.pth'))


def test_bad_input_exits_with_1_and_no_traceback(project):
    result = process(
        ROOT / 'tools' / 'train.py',
        'distil.py',
        '--cfg-options',
        'model.teacher.checkpoint=none.pth',
        cwd=project,
    )
    assert result.returncode == 1
    assert 'Traceback' not in result.stdout
    assert (
        result.stdout.splitlines()[-1]
        == 'error: teacher checkpoint none.pth does not exist'
    )
    for arguments in (['none.py'], ['mmdet::faster_rcnn/none.py']):
        assert call('train', *arguments).startswith(
            f'error: config {arguments[0]} does not exist'
        )


@pytest.mark.parametrize(
    'tool, split, content, workers',
    [
        *(
            pytest.param(
                *('train', 'train', content, workers),
                marks=()
                if (workers, content) in [(0, None), (0, b'')]
                else pytest.mark.slow,
            )
            for workers in (0, 1)
            for content in (None, b'', b'<html>404</html>')
        ),
        pytest.param('train', 'val', b'', 0, marks=pytest.mark.slow),
        ('test', 'val', None, 1),
    ],
)
def test_images_that_cannot_be_read(
    project, coco, tmp_path, tool, split, content, workers
):
    shutil.copytree(coco, tmp_path / 'data')
    broken = [tmp_path / 'data' / split / f'{i}.png' for i in (1, 2)]
    for path in broken:
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    options = [
        f'{name}_dataloader.dataset.data_root={tmp_path / "data"}'
        for name in ('train', 'val', 'test')
    ]
    options += [
        f'{name}_dataloader.num_workers={workers}' for name in ('train', 'val', 'test')
    ]
    options += [
        f'{name}_dataloader.persistent_workers=False'
        for name in ('train', 'val', 'test')
    ]
    arguments = [project / 'distil.py']
    if tool == 'test':
        arguments.append(save_weights(tiny_detector(), tmp_path / 'student'))
    work_dir = tmp_path / 'run'
    error = call(tool, *arguments, '--work-dir', work_dir, '--cfg-options', *options)
    if content:
        assert error in [
            f'error: image {path} cannot be read: AssertionError:'
            ' its content is no image, or is cut short'
            for path in broken
        ]
    else:
        assert error == (
            f'error: images are missing or empty: {broken[0]}, {broken[1]}'
        )
    # the epoch before the validation that failed is saved
    assert (work_dir / 'epoch_1.pth').exists() == (split == 'val' and tool == 'train')


@pytest.mark.slow
def test_a_run_that_diverges_keeps_its_checkpoints(project):
    work_dir = project / 'diverges'
    (project / 'diverges.py').write_text(
        "_base_ = './distil.py'\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.))\n"
        "param_scheduler = [dict(type='MultiStepLR', milestones=[1], "
        'gamma=1e30)]\n'
    )
    error = call(
        'train',
        project / 'diverges.py',
        '--work-dir',
        work_dir,
        '--cfg-options',
        'optim_wrapper.optimizer.lr=1e-3',
        'train_cfg.max_epochs=3',
    )
    assert error.startswith('error: review_stride64 is nan in iteration 4; ')
    assert "not finite: the student's feature at stride 64" in error
    saved = load_from_local(str(work_dir / 'epoch_1.pth'))
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_1.pth')


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_compiling'), reason='torch < 2.3 cannot tell'
)
@torch._dynamo.config.patch(skip_nnmodule_hook_guards=True)  # afterwards as before
def test_a_compiled_run_begins_to_review_after_its_warmup(project):
    torch._dynamo.reset()
    (project / 'compiled.py').write_text(
        "_base_ = './distil.py'\n"
        "compile = dict(backend='eager')\n"
        "custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]\n"
    )
    work_dir = project / 'compiled'
    assert call('train', project / 'compiled.py', '--work-dir', work_dir) is None
    means = epoch_means(read_scalars(str(work_dir)), 'loss_review')
    assert [mean > 0 for mean in means[1]] == [False, True]
