"""The teacher's own figure on the student's data."""

import copy
from types import SimpleNamespace

from mmreviewkd.compat import load_from_local
from mmreviewkd.engine import TeacherCheckHook, check_teacher
from mmreviewkd.engine.teacher_check import TOLERANCE, _deviation, main_metric
from mmreviewkd.errors import UserInputError
from tests.support.commands import call
from tests.support.detectors import save_weights, tiny_detector
from tests.support.project import write_project

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.engine.teacher_check.print_log',
        lambda message, *_: said.append(message),
    )
    return said


@pytest.fixture(scope='module')
def trained(tmp_path_factory, coco, teachers):
    """A teacher that has learned something: 25 epochs on the rectangles."""
    folder = write_project(tmp_path_factory.mktemp('trained'), coco, teachers)
    cfg = Config.fromfile(folder / 'teacher.py')
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=25, val_interval=25)
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
    return check_teacher(cfg.model, cfg.val_dataloader, cfg.val_evaluator, **options)


def test_figure_of_a_teacher_of_other_images_than_the_students(trained, lines):
    _, cfg, _ = trained
    expected = check(cfg)['coco/bbox_mAP_50']
    enlarged = Config(copy.deepcopy(cfg._cfg_dict))
    enlarged.val_dataloader.dataset.pipeline[1].scale = (256, 192)
    wrong = check(enlarged)['coco/bbox_mAP_50']
    enlarged.model.teacher.scale = 0.5
    # the same images but for two resizings; on four of them a single box counts much
    right = check(enlarged)['coco/bbox_mAP_50']
    assert wrong < expected / 2 < right


def test_figure_of_a_sound_teacher(trained, lines):
    folder, cfg, _ = trained
    metrics = check(cfg)
    hub = load_from_local(cfg.model.teacher.checkpoint)['message_hub']
    assert hub is not None
    (log,) = (folder / 'teacher').glob('*/vis_data/scalars.json')
    logged = [line for line in log.read_text().splitlines() if 'bbox_mAP' in line][-1]
    assert f'"coco/bbox_mAP": {metrics["coco/bbox_mAP"]}' in logged
    assert main_metric(metrics) == metrics['coco/bbox_mAP'] > 0.05
    assert lines[-1].startswith(
        f'teacher: {metrics["coco/bbox_mAP"]:.3f} (all 4 validation images)'
    )
    check(cfg, expected=main_metric(metrics) + 0.5)
    assert 'is below what was expected' in lines[-1]
    # of a part of the images the figure may well be another
    check(cfg, num_images=2, expected=main_metric(metrics) + 0.5)
    assert '(2 validation images)' in lines[-1]


def test_wrong_normalisation_shows(trained, lines):
    _, cfg, _ = trained
    sound = main_metric(check(cfg))
    wrong = Config(cfg.to_dict())
    teacher = Config.fromfile(cfg.model.teacher.config).model
    teacher.data_preprocessor.update(
        mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    )
    wrong.model.teacher.config = teacher
    poor = main_metric(check(wrong, expected=sound))
    assert poor < sound - 0.02
    assert 'mean, std, channel order' in lines[-1]


def test_a_student_that_is_better_and_a_teacher_near_zero(trained, project, lines):
    _, cfg, _ = trained
    from mmdet.registry import MODELS

    student = MODELS.build(Config.fromfile(cfg.model.teacher.config).model)
    student.load_state_dict(load_from_local(cfg.model.teacher.checkpoint)['state_dict'])
    student.train()
    untrained = Config.fromfile(project / 'distil.py')
    check(untrained, student=student)
    assert student.training
    assert "is below the student's and is near zero" in lines[-1]


def test_other_classes_and_half_a_head(trained, tmp_path, lines):
    _, cfg, _ = trained
    cfg = Config(cfg.to_dict())
    saved = load_from_local(cfg.model.teacher.checkpoint)
    saved['meta']['dataset_meta']['classes'] = ('cat', 'dog', 'cow', 'hen')
    saved['meta']['CLASSES'] = ()
    cfg.model.teacher.checkpoint = str(tmp_path / 'other.pth')
    torch.save(saved, tmp_path / 'other.pth')
    with pytest.raises(UserInputError) as error:
        check(cfg)
    assert (
        'other classes (cat, dog, cow, ... 4 in all) than these data '
        'have (a, b)' in str(error.value)
    )
    del saved['state_dict']['roi_head.bbox_head.fc_cls.weight']
    torch.save(saved, tmp_path / 'other.pth')
    with pytest.raises(UserInputError) as error:
        check(cfg)
    assert '1 missing (first: roi_head.bbox_head.fc_cls.weight)' in str(error.value)


def test_hook(trained, project):
    _, cfg, _ = trained
    cfg = Config(cfg.to_dict())
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(project / 'hook')
    cfg.custom_hooks = [dict(type='TeacherCheckHook', num_images=None, expected=0.99)]
    cfg.visualizer.name = 'hook'
    Runner.from_cfg(cfg).train()
    log = next((project / 'hook').glob('*/*.log')).read_text()
    assert 'expected 0.990, student: ' in log
    assert log.index('is below what was expected') < log.index('Epoch(train)')


# ------------------------------------------------- what its figures lead to
class Data(list):
    metainfo = dict(classes=('a', 'b'))


@pytest.fixture
def measured(monkeypatch, lines):
    """Checks a teacher whose evaluation gives a metric of some images."""
    module = 'mmreviewkd.engine.teacher_check.'
    model, data = torch.nn.Identity(), Data(range(4))
    model.teacher = SimpleNamespace(class_names=None)
    monkeypatch.setattr(f'{module}shown_teacher', lambda distiller: model)
    monkeypatch.setattr(
        f'{module}Runner.build_dataloader', lambda cfg: SimpleNamespace(dataset=data)
    )
    cfg = dict(
        type='ReviewKD',
        teacher={},
        student=dict(data_preprocessor=dict(type='DetDataPreprocessor')),
    )

    def check_as(metric, value, count, classes=2, **options):
        data.metainfo = dict(classes=tuple(map(str, range(classes))))
        monkeypatch.setattr(f'{module}evaluate', lambda *args: ({metric: value}, count))
        del lines[:]
        check_teacher(cfg, {}, {}, **options)
        return lines[0], ''.join(lines[1:])

    return check_as


def test_expected_of_a_part_of_the_images(measured):
    # there are 4; of 3, two standard deviations of .9 are .35
    said, warning = measured('coco/bbox_mAP', 0.2, 3, num_images=3, expected=0.9)
    assert said == 'teacher: 0.200, expected 0.900 (3 validation images)'
    assert warning.startswith(
        "The teacher's figure on 3 images is below what was expected. See whether"
    )
    for value, count, warns in (
        (0.56, 3, False),
        (0.54, 3, True),
        (0.56, 4, True),
        (0.889, 4, True),
        (0.891, 4, False),
    ):
        _, warning = measured(
            'coco/bbox_mAP', value, count, num_images=count, expected=0.9
        )
        assert bool(warning) == warns


def test_expected_of_twenty_images():
    # 0.3 less two standard deviations and the tolerance
    assert 0.3 - _deviation(0.3, 20) - TOLERANCE > 0.011


@pytest.mark.parametrize(
    'metric, value, classes, warning',
    [
        ('accuracy/top1', 10.0, 10, 'is near chance, 0.100 for 10 classes. '),
        ('accuracy/top1', 12.0, 10, 'is near chance, 0.100 for 10 classes. '),
        ('accuracy/top1', 14.0, 10, ''),
        ('accuracy/top1', 51.0, 2, 'is near chance, 0.500 for 2 classes. '),
        ('accuracy/top1', 1.5, 100, 'is near chance, 0.010 for 100 classes. '),
        ('accuracy/top1', 5.0, 100, ''),
        ('coco/bbox_mAP', 0.1, 10, ''),
        ('coco/bbox_mAP', 0.009, 10, 'is near zero. '),
    ],
)
def test_what_is_near_chance(measured, metric, value, classes, warning):
    _, said = measured(metric, value, 2000, classes)
    assert said[: len("The teacher's figure on 2000 images ") + len(warning)] == (
        warning and f"The teacher's figure on 2000 images {warning}"
    )


@pytest.mark.parametrize(
    'options, message',
    [
        (
            dict(expected=93.39),
            'expected=93.39: must be a fraction from 0 to 1, '
            'such as 0.934 for 93.4 percent',
        ),
        (dict(expected=-0.1), 'expected=-0.1: must be a fraction'),
        (dict(expected='0.3'), "expected='0.3': must be a fraction"),
        (
            dict(num_images=0),
            'num_images=0: must be a whole number >= 1; left out, all images are taken',
        ),
        (dict(num_images=-5), 'num_images=-5: must be'),
        (dict(num_images=2.5), 'num_images=2.5: must be'),
    ],
)
def test_arguments_that_cannot_be_used(measured, options, message):
    for run in (
        lambda: measured('coco/bbox_mAP', 0.5, 4, **options),
        lambda: TeacherCheckHook(**options),
    ):
        with pytest.raises(UserInputError) as error:
            run()
        assert str(error.value).startswith(message)


def test_data_preprocessor_beside_the_model(project, lines):
    """As mmdet's SSD has it; and a student that is filled whole or not."""
    cfg = Config.fromfile(project / 'distil.py')
    cfg.data_preprocessor = cfg.model.student.pop('data_preprocessor')
    (project / 'beside.py').write_text(cfg.pretty_text)
    teacher = cfg.model.teacher.checkpoint
    weights = save_weights(tiny_detector(), project / 'student.pth')
    tool = (
        'check_teacher',
        project / 'beside.py',
        '--num-images',
        2,
        '--student-checkpoint',
    )
    assert call(*tool, weights) is None
    assert lines[0].endswith('(2 validation images)')
    assert call(*tool, teacher).startswith(
        f'error: checkpoint {teacher} does not fit FasterRCNN: of 150 tensors '
    )
    # the hook
    del lines[:]
    runner = SimpleNamespace(
        cfg=cfg,
        model=MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)),
        logger=None,
    )
    state = torch.get_rng_state()
    TeacherCheckHook(num_images=1).before_train(runner)
    assert torch.equal(torch.get_rng_state(), state)
    assert lines[0].endswith('(1 validation images)')
    cfg.pop('data_preprocessor')
    with pytest.raises(UserInputError, match='student has no data_preproc'):
        check(cfg)
