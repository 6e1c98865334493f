"""The command line tools, ours and mmdet's own, as a user runs them."""

import json
import os
import os.path as osp
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from mmreviewkd.compat import load_from_local
from tests.conftest import save_weights, tiny_detector

import mmdet
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'


def call(name, *args):
    """One of our tools in this process; its exit message is the result."""
    argv, sys.argv = sys.argv, [name, *map(str, args)]
    try:
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv


def process(script, *args, cwd):
    env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
    return subprocess.run(
        [sys.executable, str(script), *map(str, args)],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def average_precision(work_dir):
    return [
        line['coco/bbox_mAP'] for line in scalars(work_dir) if 'coco/bbox_mAP' in line
    ]


@pytest.fixture(scope='module')
def module_project(tmp_path_factory, coco, teachers):
    from tests import conftest

    return conftest.project.__wrapped__(
        tmp_path_factory.mktemp('project'), coco, teachers
    )


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


def test_mmdets_test_takes_the_plain_config_for_every_checkpoint(run):
    project, work_dir, _ = run
    # as a user without this package has it, but for the served operators
    code = (
        'import sys, mmreviewkd.compat as c; c.ensure_mmcv_ops(); '
        'c.register_safe_loaders(); import runpy; sys.argv = sys.argv[1:];'
        'runpy.run_path(sys.argv[0], run_name="__main__")'
    )
    (project / 'served.py').write_text(code)
    for epoch in (1, 2):
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


def test_our_test_agrees_and_writes_predictions(run):
    project, work_dir, _ = run
    out = project / 'predictions.pkl'
    assert (
        call(
            'test',
            project / 'distil.py',
            work_dir / 'epoch_2.pth',
            '--work-dir',
            project / 'ours',
            '--out',
            out,
        )
        is None
    )
    (path,) = (project / 'ours').glob('*/*.json')
    assert (
        json.loads(path.read_text())['coco/bbox_mAP'] == average_precision(work_dir)[1]
    )
    assert out.stat().st_size
    # the teacher need not be there
    assert (
        call(
            'test',
            project / 'distil.py',
            work_dir / 'epoch_2.pth',
            '--work-dir',
            project / 'gone',
            '--cfg-options',
            'model.teacher.checkpoint=gone.pth',
        )
        is None
    )
    assert 'must end in .pkl' in call(
        'test', project / 'distil.py', work_dir / 'epoch_2.pth', '--out', 'x'
    )
    assert (
        call(
            'test',
            project / 'plain.py',
            work_dir / 'epoch_2.pth',
            '--tta',
            '--show-dir',
            'shown',
            '--work-dir',
            project / 'tta',
        )
        is None
    )
    assert len(list((project / 'tta').glob('*/shown/*.png'))) == 4


def test_export_student(run, tmp_path, capsys):
    project, work_dir, _ = run
    source, target = work_dir / 'epoch_2.pth', tmp_path / 'new' / 'student.pth'
    assert call('export_student', source, target) is None
    exported = load_from_local(str(target))
    assert set(exported) == {'state_dict', 'meta'}
    assert exported['meta']['dataset_meta']['classes'] == ('a', 'b')
    saved = load_from_local(str(source))['state_dict']
    model = init_detector(str(project / 'plain.py'), str(target), device='cpu')
    assert set(exported['state_dict']) == set(model.state_dict())
    for key, value in exported['state_dict'].items():
        assert torch.equal(value, saved[key])
    assert os.listdir(target.parent) == ['student.pth']
    assert target.stat().st_size < source.stat().st_size / 3


def test_export_refuses_what_would_lose_something(run, tmp_path):
    _, work_dir, _ = run
    source = work_dir / 'epoch_2.pth'
    before = source.read_bytes()
    assert 'is the input itself' in call('export_student', source, source)
    assert source.read_bytes() == before
    missing = tmp_path / 'nowhere.pth'
    assert f'error: checkpoint {missing} does not exist' == call(
        'export_student', missing, tmp_path / 'out.pth'
    )
    assert 'is a folder' in call('export_student', source, tmp_path)
    for content, message in (
        ([1], 'holds a list, not weights'),
        (dict(a=1), 'has no "state_dict"'),
    ):
        torch.save(content, tmp_path / 'odd.pth')
        assert message in call(
            'export_student', tmp_path / 'odd.pth', tmp_path / 'out.pth'
        )
    assert not (tmp_path / 'out.pth').exists()


def test_distill_merges_two_configs_that_train_again(project, tmp_path):
    work_dir = tmp_path / 'merged'
    checkpoint = Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    short = [
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'custom_imports.imports=mmdet.models',
    ]
    result = process(
        ROOT / 'tools' / 'distill.py',
        'plain.py',
        '--teacher',
        'teacher.py',
        '--teacher-checkpoint',
        checkpoint,
        '--weight',
        0.5,
        '--work-dir',
        'merged',
        *short,
        cwd=project,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    merged = work_dir / 'review-kd_teacher_plain.py'
    assert [p.name for p in work_dir.glob('*.py')] == [merged.name]
    cfg = Config.fromfile(merged)
    assert cfg.model.review == dict(weight=0.5)
    assert cfg.model.student == tiny_detector()
    assert cfg.custom_imports.imports == ['mmdet.models', 'mmreviewkd']
    # with mmdet's tool, from another folder
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    result = process(
        MMDET_TOOLS / 'train.py', merged, '--work-dir', 'again', cwd=elsewhere
    )
    assert result.returncode == 0, result.stdout[-3000:]
    first, again = (
        next(line['loss_review'] for line in scalars(folder) if 'loss_review' in line)
        for folder in (work_dir, elsewhere / 'again')
    )
    assert first == pytest.approx(again, rel=1e-4)


def test_distill_takes_a_distillation_config_for_its_student(project, tmp_path):
    cfg = Config.fromfile(project / 'distil.py')
    # stopped when the merged config is there
    assert '--auto-scale-lr needs' in call(
        'distill',
        project / 'distil.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        cfg.model.teacher.checkpoint,
        '--strides',
        4,
        8,
        '--work-dir',
        tmp_path / 'merged',
        '--auto-scale-lr',
        '--cfg-options',
        'auto_scale_lr._delete_=True',
    )
    merged = Config.fromfile(tmp_path / 'merged' / 'review-kd_teacher_distil.py')
    assert merged.model.student == cfg.model.student
    assert merged.model.review == dict(weight=1.0)
    assert merged.model.strides == [4, 8]
    assert 'scale' not in merged.model.teacher


def test_distill_at_the_backbones_with_a_teacher_of_larger_images(project, tmp_path):
    checkpoint = Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    assert '--auto-scale-lr needs' in call(
        'distill',
        project / 'plain.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        checkpoint,
        '--features',
        'backbone',
        '--scale',
        2,
        '--strides',
        4,
        8,
        16,
        '--work-dir',
        tmp_path / 'merged',
        '--auto-scale-lr',
        '--cfg-options',
        'auto_scale_lr._delete_=True',
    )
    model = Config.fromfile(tmp_path / 'merged' / 'review-kd_teacher_plain.py').model
    assert model.review == dict(weight=1.0)
    assert (model.strides, model.part) == ([4, 8, 16], 'backbone')
    assert model.teacher.scale == 2.0


def test_distill_keeps_a_run_that_is_there(project, tmp_path):
    work_dir = tmp_path / 'merged'
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').write_text('epoch_1.pth')
    merged = work_dir / 'review-kd_teacher_plain.py'
    merged.write_text('# of the run before')
    arguments = (
        'distill',
        project / 'plain.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        'none.pth',
        '--work-dir',
        work_dir,
    )
    assert call(*arguments) == (
        f'error: {work_dir} holds a run already; go on with it by --resume, '
        'or give the new run another --work-dir'
    )
    assert merged.read_text() == '# of the run before'
    assert 'none.pth does not exist' in call(*arguments, '--resume')


# ---------------------------------------------------------------- bad input
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
                if (workers, content) in [(0, None), (1, None), (0, b'')]
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
            f'error: 2 images are missing or empty: {broken[0]}, {broken[1]}'
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
    assert error.startswith('error: review loss is nan at stride')
    assert 'in iteration 4; the student' in error
    saved = load_from_local(str(work_dir / 'epoch_1.pth'))
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_1.pth')


def test_auto_scale_lr_needs_its_base(project):
    assert call(
        'train',
        project / 'distil.py',
        '--auto-scale-lr',
        '--cfg-options',
        'auto_scale_lr._delete_=True',
    ).startswith('error: --auto-scale-lr needs auto_scale_lr=dict(')


# ------------------------------------------------------------------- resume
RETINA = """
_base_ = './distil.py'
model = dict(student=dict(_delete_=True, **{student}),
             teacher=dict(config='teacher_retina.py',
                          checkpoint='{checkpoint}'))
train_cfg = dict(max_epochs=4)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.01, momentum=.9))
"""


@pytest.mark.slow
def test_killed_and_resumed_run_goes_on_as_if_nothing_had_been(project, teachers):
    # RetinaNet draws no samples, so that two runs agree number by number
    teacher = teachers['retinanet']
    (project / 'teacher_retina.py').write_text(f'model = {teacher["config"].to_dict()}')
    (project / 'retina.py').write_text(
        RETINA.format(
            student=tiny_detector('retinanet').to_dict(),
            checkpoint=teacher['checkpoint'],
        )
    )
    train = [ROOT / 'tools' / 'train.py', 'retina.py', '--work-dir']
    whole = process(*train, 'whole', cwd=project)
    assert whole.returncode == 0, whole.stdout[-3000:]

    (project / 'kill.py').write_text(
        'import os, sys, runpy\n'
        'from mmengine.hooks import CheckpointHook, IterTimerHook\n'
        'from mmengine.hooks import Hook\n'
        'def die(self, runner, *args, **kwargs):\n'
        '    if runner.iter == 5:  # in the third epoch\n'
        '        os.kill(os.getpid(), 9)\n'
        'IterTimerHook.before_train_iter = die\n'
        'sys.argv = sys.argv[1:]\n'
        'runpy.run_path(sys.argv[0], run_name="__main__")\n'
    )
    killed = process('kill.py', *train, 'resumed', cwd=project)
    assert killed.returncode == -9
    assert (project / 'resumed' / 'epoch_2.pth').exists()
    resumed = process(*train, 'resumed', '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert 'resumed epoch: 2, iter: 4' in resumed.stdout

    def losses(folder):
        lines = [
            json.loads(line)
            for path in sorted((project / folder).glob('*/vis_data/scalars.json'))
            for line in path.read_text().splitlines()
        ]
        return {
            line['iter']: (line['loss'], line['loss_review'])
            for line in lines
            if 'loss' in line
        }

    expected, got = losses('whole'), losses('resumed')
    assert set(expected) == set(got) == set(range(1, 9))
    for iteration in expected:
        assert got[iteration] == pytest.approx(expected[iteration], rel=1e-4)
    states = [
        load_from_local(str(project / folder / 'epoch_4.pth'))
        for folder in ('whole', 'resumed')
    ]
    for key, value in states[0]['state_dict'].items():
        torch.testing.assert_close(
            states[1]['state_dict'][key], value, rtol=1e-4, atol=1e-5
        )
    momenta = [s['optimizer']['state'] for s in states]
    assert (
        len(momenta[0])
        == len(momenta[1])
        == sum(1 for _ in states[0]['optimizer']['param_groups'][0]['params'])
    )
    for index, state in momenta[0].items():
        torch.testing.assert_close(
            momenta[1][index]['momentum_buffer'],
            state['momentum_buffer'],
            rtol=1e-3,
            atol=1e-5,
        )
    assert osp.exists(project / 'resumed' / 'retina.py')


# -------------------------------------------------------------- installation
def test_programs_that_import_mmdet_first_find_the_operators(tmp_path):
    code = (
        f'import site, sys; site.addsitedir({str(ROOT)!r});'
        'before = "mmreviewkd" in sys.modules;'
        'import mmcv.ops, mmdet.evaluation, mmcv._ext as ops;'
        'print(before, sys.modules["mmcv._ext"] is ops, ops.nms.__name__)'
    )
    (tmp_path / 'program.py').write_text(code)
    result = process('program.py', cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == 'False True nms'
