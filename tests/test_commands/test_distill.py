"""The config that is merged out of two, and pairs that cannot be."""

from mmreviewkd.compat import load_from_local
from tests.support.commands import call, process, refused
from tests.support.detectors import tiny_detector
from tests.support.logs import scalars
from tests.support.paths import MMDET_TOOLS
from tests.support.project import PLAIN_CONFIG

import pytest
import torch
from mmengine.config import Config


@pytest.fixture
def distill(project, teachers, coco):
    """Runs the tool on a student, by default a RetinaNet."""
    retina = tiny_detector('retinanet').to_dict()
    (project / 'retina.py').write_text(PLAIN_CONFIG.format(model=retina, root=coco))
    retina['neck'] = None
    (project / 'bare.py').write_text(PLAIN_CONFIG.format(model=retina, root=coco))

    def run(
        *flags,
        student='retina.py',
        tool=call,
        checkpoint=teachers['faster_rcnn']['checkpoint'],
    ):
        return tool(
            'distill',
            project / student,
            '--teacher',
            project / 'teacher.py',
            '--teacher-checkpoint',
            checkpoint,
            '--work-dir',
            project / 'merged',
            *flags,
        )

    return run


@pytest.mark.parametrize(
    'flags, student, message',
    [
        (
            [],
            'retina.py',
            'no pair of levels at (4, 128). To use common ones '
            'alone: --strides 8 16 32 64',
        ),
        (
            ['--strides', 4, 8],
            'retina.py',
            'no pair of levels at (4,). To use common ones alone: --strides 8 16 32 64',
        ),
        (
            ['--strides', 8, 8],
            'retina.py',
            '--strides 8 8: must be a list of different whole numbers > 0',
        ),
        (['--scale', 2], 'plain.py', 'To use common ones alone: --strides 4 8 16 32'),
        (['--scale', 0], 'plain.py', '--scale 0.0: must be a number > 0'),
        (['--weight', -1], 'plain.py', '--weight -1.0: the weight of the review '),
        ([], 'bare.py', "on the backbones': --part backbone"),
        (
            ['--teacher-weights', 'ema'],
            'plain.py',
            '--teacher-weights ema: teacher checkpoint ',
        ),
        (
            ['--set', 'model.teacher.levels=after'],
            'plain.py',
            "error: teacher=dict(levels='after'): is for classifiers, not for a det",
        ),
        (
            ['--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'],
            'plain.py',
            'error: --auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)',
        ),
        (
            ['--warmup', 2, '--set', 'train_cfg.type=IterBasedTrainLoop'],
            'plain.py',
            'error: custom_hooks.0: ReviewWeightHook (--warmup) counts epochs, and ',
        ),
    ],
)
def test_flags_are_named_before_anything_is_written(
    distill, project, capfd, flags, student, message
):
    line = distill(*flags, student=student, tool=refused)
    assert message in f'error: {line}'
    assert not (project / 'merged').exists()
    out, err = capfd.readouterr()
    assert out == err == ''


def test_a_teacher_that_does_not_fit(distill, project, teachers, capfd):
    other = teachers['retinanet']['checkpoint']
    assert f'teacher checkpoint {other} does not fit {project}/teacher.py' in distill(
        '--strides', 8, checkpoint=other, tool=refused
    )
    ema = str(project / 'ema.pth')
    torch.save(
        dict(
            ema_state_dict=load_from_local(teachers['faster_rcnn']['checkpoint'])[
                'state_dict'
            ]
        ),
        ema,
    )
    assert distill(checkpoint=ema, tool=refused).endswith(
        'to take them: --teacher-weights ema_state_dict'
    )
    assert not (project / 'merged').exists()
    assert capfd.readouterr() == ('', '')


def test_a_teacher_that_is_the_student(distill, project, teachers):
    ema = str(project / 'ema.pth')
    weights = load_from_local(teachers['faster_rcnn']['checkpoint'])['state_dict']
    torch.save(dict(state_dict=weights, ema_state_dict=weights), ema)
    assert (
        distill(
            '--teacher-weights',
            'ema_state_dict',
            '--cfg-options',
            f'load_from={ema}',
            'train_cfg.max_epochs=1',
            student='teacher.py',
            checkpoint=ema,
        )
        is None
    )
    merged = project / 'merged' / 'review-kd_teacher_teacher.py'
    assert Config.fromfile(merged).model.teacher.weights == 'ema_state_dict'
    (log,) = project.glob('merged/*/*.log')
    (line,) = [
        line
        for line in log.read_text().splitlines()
        if 'WARNING - There is nothing to learn: ' in line
    ]
    assert line.endswith(f'the same config and the same weights, {ema}')


def test_distill_merges_two_configs_that_train_again(project, tmp_path, monkeypatch):
    work_dir = tmp_path / 'merged'
    checkpoint = Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    monkeypatch.chdir(project)
    short = [
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'custom_imports.imports=mmdet.models',
    ]
    assert (
        call(
            'distill',
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
        )
        is None
    )
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
    assert not call(
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
        '--dry-run',
    )
    merged = Config.fromfile(tmp_path / 'merged' / 'review-kd_teacher_distil.py')
    assert merged.model.student == cfg.model.student
    assert merged.model.review == dict(weight=1.0)
    assert merged.model.strides == [4, 8]
    assert 'scale' not in merged.model.teacher


def test_distill_at_the_backbones_with_a_teacher_of_larger_images(project, tmp_path):
    checkpoint = Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    assert not call(
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
        '--dry-run',
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


def run_distill(project, *flags):
    teacher = Config.fromfile(project / 'distil.py').model.teacher
    return call(
        'distill',
        project / 'plain.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        teacher.checkpoint,
        '--work-dir',
        project / 'run',
        *flags,
    )


def test_dry_run_writes_the_merged_config_and_stops(project, monkeypatch):
    # the check that there is a GPU to run on
    checked = []
    monkeypatch.setattr('mmreviewkd.commands.distill.check_machine', checked.append)
    (project / 'run').mkdir()
    run_distill(
        project,
        '--dry-run',
        '--amp',
        '--auto-scale-lr',
        '--warmup',
        2,
        '--inherit',
        'neck',
        '--set',
        'model.logits.type=DKDLoss',
        'model.logits.beta=0.25',
        'train_cfg.max_epochs=7',
    )
    (path,) = (project / 'run').glob('*.py')
    cfg = Config.fromfile(path)
    assert path.name == 'review-kd_teacher_plain.py'
    assert not list(path.parent.glob('*/*.log'))
    assert cfg.model.logits == dict(type='DKDLoss', beta=0.25)
    assert cfg.model.inherit == ['neck']
    assert cfg.custom_hooks == [dict(type='ReviewWeightHook', warmup=2)]
    assert cfg.train_cfg.max_epochs == 7
    # as train would have set them, so that any tool trains alike
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=4)
    assert checked[0].optim_wrapper.type == 'AmpOptimWrapper'
    # so that the real run may follow in the same place
    run_distill(project, '--dry-run')
    assert 'logits' not in Config.fromfile(path).model


@pytest.mark.parametrize(
    'setting, message',
    [
        ('trian_cfg.max_epochs=7', '--set trian_cfg.max_epochs: the config has no '),
        ('modle.logits.type=DKDLoss', 'has no modle; near names: model'),
        ('model.lgits.type=DKDLoss', 'ReviewKD has no lgits; near names: logits'),
        ('model.logits.type=DKDLos', "'DKDLos'): is no method of distillation; near"),
        ('model.logits.type=BinaryKDLoss', 'compares sigmoid probabilities'),
        ('model.review.weihgt=2', 'unknown weihgt; near names: weight'),
        ('model.inherit=[neckk]', 'the parts of a FasterRCNN are '),
        ('work_dir.a=1', '--set work_dir.a: does not fit the config'),
    ],
)
def test_a_slip_is_named_before_anything_is_written(project, setting, message):
    line = run_distill(project, '--set', setting)
    assert message in line and line.count('\n') == 0
    assert not (project / 'run').exists()
