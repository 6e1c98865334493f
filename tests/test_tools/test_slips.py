"""Slips on the command line: one line, and nothing is left on disk."""

from mmreviewkd.compat import load_from_local
from tests.conftest import PLAIN_CONFIG, tiny_detector
from tests.test_tools.test_entry_points import call

import pytest
import torch
from mmengine.config import Config


def refused(tool, *args):
    """The line in which a tool ends."""
    error = call(tool, *args)
    assert error.startswith('error: ') and '\n' not in error
    return error[7:]


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


def test_settings_of_a_test(project):
    assert (
        refused(
            'test',
            project / 'plain.py',
            'none.pth',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            'test_dataloader.batch_size=x',
        )
        == "test_dataloader.batch_size='x': must be a whole number >= 1"
    )
    assert not (project / 'run').exists()


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


def test_usage_errors(project, capsys):
    hooks = 'custom_hooks=[dict(type=A,b=1)]'
    for option, message in (
        (hooks, 'lists of dicts go into a config file'),
        ('a', 'must be KEY=VALUE'),
    ):
        for tool, *files in (
            ['train', 'x.py'],
            ['test', 'x.py', 'x.pth'],
            ['check_teacher', 'x.py'],
        ):
            assert call(tool, *files, '--cfg-options', option) == 2
            assert message in capsys.readouterr().err.splitlines()[-1]


# ------------------------------------------------------------------- distill
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
    ],
)
def test_flags_are_named_before_anything_is_written(
    distill, project, capfd, flags, student, message
):
    assert message in distill(*flags, student=student, tool=refused)
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
