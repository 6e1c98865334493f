"""The teacher's own figure on the student's data."""
import copy
import runpy
import sys
from pathlib import Path

from mmreviewkd.compat import load_local
from mmreviewkd.engine import check_teacher
from mmreviewkd.engine.teacher_check import main_metric
from mmreviewkd.errors import UserInputError

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

TOOL = Path(__file__).parents[2] / 'tools' / 'check_teacher.py'


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr('mmreviewkd.engine.teacher_check.print_log',
                        lambda message, *_: said.append(message))
    return said


@pytest.fixture(scope='module')
def trained(tmp_path_factory, coco, teachers):
    """A teacher that has learned something: 12 epochs on the rectangles."""
    from tests import conftest
    folder = conftest.project.__wrapped__(
        tmp_path_factory.mktemp('trained'), coco, teachers)
    cfg = Config.fromfile(folder / 'teacher.py')
    cfg.train_cfg = dict(
        type='EpochBasedTrainLoop', max_epochs=25, val_interval=25)
    cfg.train_dataloader.batch_size = 2
    cfg.optim_wrapper.optimizer.lr = 3e-3
    cfg.default_hooks.checkpoint.interval = 25
    cfg.work_dir = str(folder / 'teacher')
    cfg.visualizer.name = 'teacher'
    metrics = Runner.from_cfg(cfg).train() and None
    distil = Config.fromfile(folder / 'distil.py')
    distil.model.teacher.checkpoint = str(folder / 'teacher' / 'epoch_25.pth')
    return folder, distil, metrics


def check(cfg, **options):
    return check_teacher(cfg.model, cfg.val_dataloader, cfg.val_evaluator,
                         **options)


def test_figure_of_a_teacher_of_other_images_than_the_students(
        trained, lines):
    _, cfg, _ = trained
    expected = check(cfg)['coco/bbox_mAP_50']
    enlarged = Config(copy.deepcopy(cfg._cfg_dict))
    enlarged.val_dataloader.dataset.pipeline[1].scale = (256, 192)
    assert check(enlarged)['coco/bbox_mAP_50'] < expected / 2
    enlarged.model.teacher.scale = .5
    # the same images but for two resizings
    assert check(enlarged)['coco/bbox_mAP_50'] > .8 * expected


def test_figure_of_a_sound_teacher(trained, lines):
    folder, cfg, _ = trained
    metrics = check(cfg)
    hub = load_local(cfg.model.teacher.checkpoint)['message_hub']
    assert hub is not None
    (log, ) = (folder / 'teacher').glob('*/vis_data/scalars.json')
    logged = [line for line in log.read_text().splitlines()
              if 'bbox_mAP' in line][-1]
    assert f'"coco/bbox_mAP": {metrics["coco/bbox_mAP"]}' in logged
    assert main_metric(metrics) == metrics['coco/bbox_mAP'] > .05
    assert lines[-1].startswith(f'teacher: {metrics["coco/bbox_mAP"]:.3f} ('
                                'all validation images)')
    check(cfg, expected=main_metric(metrics) + .5)
    assert 'is below what was expected' in lines[-1]
    # of a part of the images the figure may well be another
    check(cfg, num_images=2, expected=main_metric(metrics) + .5)
    assert '(2 validation images)' in lines[-1]


def test_wrong_normalisation_shows(trained, lines):
    _, cfg, _ = trained
    sound = main_metric(check(cfg))
    wrong = Config(cfg.to_dict())
    teacher = Config.fromfile(cfg.model.teacher.config).model
    teacher.data_preprocessor.update(
        mean=[0., 0., 0.], std=[1., 1., 1.], bgr_to_rgb=False)
    wrong.model.teacher.config = teacher
    poor = main_metric(check(wrong, expected=sound))
    assert poor < sound - .02
    assert 'mean, std, channel order' in lines[-1]


def test_a_student_that_is_better_and_a_teacher_near_zero(
        trained, project, lines):
    _, cfg, _ = trained
    from mmdet.registry import MODELS
    student = MODELS.build(Config.fromfile(cfg.model.teacher.config).model)
    student.load_state_dict(
        load_local(cfg.model.teacher.checkpoint)['state_dict'])
    student.train()
    untrained = Config.fromfile(project / 'distil.py')
    check(untrained, student=student)
    assert student.training
    assert "is below the student's and is near zero" in lines[-1]


def test_other_classes_and_half_a_head(trained, tmp_path, lines):
    _, cfg, _ = trained
    cfg = Config(cfg.to_dict())
    saved = load_local(cfg.model.teacher.checkpoint)
    saved['meta']['dataset_meta']['classes'] = ('cat', 'dog', 'cow', 'hen')
    saved['meta']['CLASSES'] = ()
    cfg.model.teacher.checkpoint = str(tmp_path / 'other.pth')
    torch.save(saved, tmp_path / 'other.pth')
    with pytest.raises(UserInputError) as error:
        check(cfg)
    assert 'other classes (cat, dog, cow, ... 4 in all) than these data ' \
        'have (a, b)' in str(error.value)
    del saved['state_dict']['roi_head.bbox_head.fc_cls.weight']
    torch.save(saved, tmp_path / 'other.pth')
    with pytest.raises(UserInputError) as error:
        check(cfg)
    assert '1 missing (first: roi_head.bbox_head.fc_cls.weight)' in str(
        error.value)


def test_hook_and_tool(trained, project, capsys):
    _, cfg, _ = trained
    cfg = Config(cfg.to_dict())
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(project / 'hook')
    cfg.custom_hooks = [
        dict(type='TeacherCheckHook', num_images=None, expected=.99)]
    cfg.visualizer.name = 'hook'
    Runner.from_cfg(cfg).train()
    log = next((project / 'hook').glob('*/*.log')).read_text()
    assert 'expected 0.990, student: ' in log
    assert log.index('is below what was expected') < log.index('Epoch(train)')

    def tool(*arguments):
        argv, sys.argv = sys.argv, ['check_teacher.py', *map(str, arguments)]
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            return stop.code
        finally:
            sys.argv = argv

    assert tool(project / 'distil.py', '--expected', .4, '--num-images', 2,
                '--student-checkpoint', project / 'hook' / 'epoch_1.pth'
                ) is None
    assert 'expected 0.400, student: ' in capsys.readouterr().out
    assert 'has no teacher: its model is a FasterRCNN' in tool(
        project / 'plain.py')
