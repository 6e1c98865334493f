"""The one distiller around classifiers."""

import copy

from mmreviewkd.commands import textbook
from mmreviewkd.compat import load_from_local
from mmreviewkd.engine import check_teacher
from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.kd import kd_loss
from mmreviewkd.models.configs import load_config
from tests.support.classifiers import classifier, distilled_classifier, image_batch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def teacher(tmp_path):
    cfg = classifier(14, (6, 6, 12, 24))
    model = MODELS.build(cfg)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'teacher.pth')
    return dict(config=cfg, checkpoint=str(tmp_path / 'teacher.pth'))


def stages(network, x, before):
    """A CIFAR ResNet by its modules: features, pooled vector last."""
    x = F.relu(network.bn1(network.conv1(x)))
    features = []
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            shortcut = x if block.downsample is None else block.downsample(x)
            y = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
            y = y + shortcut
            x = F.relu(y)
        features.append(y if before else x)
    return [*features, x.mean((2, 3), keepdim=True)]


def test_losses_are_those_of_the_formula(teacher):
    model = distilled_classifier(teacher)
    data = image_batch(model)
    before = {k: v.clone() for k, v in model.review.state_dict().items()}
    state = copy.deepcopy(model)
    losses = model(**data, mode='loss')
    assert set(losses) == {
        'loss_cls',
        'loss_review',
        *(f'review_level{i}' for i in range(4)),
    }
    ours = stages(state.backbone.train(), data['inputs'], before=False)
    theirs = stages(
        model.distillation.teacher.model.backbone, data['inputs'], before=True
    )
    assert [tuple(f.shape[1:]) for f in ours] == [
        (4, 32, 32),
        (8, 16, 16),
        (16, 8, 8),
        (16, 1, 1),
    ]
    reviewed = textbook.review(before, ours, [t.shape[-2:] for t in theirs])
    levels = [textbook.hcl(r, t) for r, t in zip(reviewed, theirs)]
    for i, level in enumerate(levels):
        torch.testing.assert_close(
            losses[f'review_level{i}'], level, rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(losses['loss_review'], sum(levels), rtol=1e-4, atol=1e-5)
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_teachers_other_normalisation_is_undone(teacher):
    model = distilled_classifier(teacher)
    shifted = copy.deepcopy(teacher)
    shifted['config']['data_preprocessor'].update(mean=[0.0] * 3, std=[255.0] * 3)
    other = distilled_classifier(shifted)
    data = image_batch(model)
    seen = []
    other.distillation.teacher.model.backbone.conv1.register_forward_pre_hook(
        lambda module, args: seen.append(args[0])
    )
    other(**data, mode='loss')
    torch.manual_seed(2)  # the images that image_batch() drew
    raw = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(seen[0], raw.float() / 255)


def test_logits_term(teacher):
    model = distilled_classifier(
        teacher,
        logits=dict(type='KDLoss', weight=0.9),
        student=classifier(loss_weight=0.1),
    )
    data = image_batch(model)
    plain = copy.deepcopy(model).train()
    losses = model(**data, mode='loss')
    logits = plain.backbone(data['inputs'])
    torch.testing.assert_close(
        losses['loss_cls'], 0.1 * F.cross_entropy(logits, data['data_samples'])
    )
    torch.testing.assert_close(
        losses['loss_logits'],
        0.9 * kd_loss(logits, model.distillation.teacher.model(data['inputs']), 4.0),
    )
    model.logits.factor = 0.5
    halved = model(**data, mode='loss')
    torch.testing.assert_close(
        halved['loss_logits'], losses['loss_logits'] / 2, rtol=1e-3, atol=1e-4
    )
    # KD alone: the review is not computed
    alone = distilled_classifier(
        teacher, logits=dict(type='KDLoss'), review=dict(weight=0)
    )
    alone.review.loss = None
    losses = alone(**data, mode='loss')
    assert losses['loss_review'] == 0 and losses['loss_logits'] > 0


def test_classifiers_see_images_of_one_size(teacher):
    with pytest.raises(UserInputError, match='levels of classifiers do not'):
        distilled_classifier(dict(teacher, scale=2.0))


@pytest.mark.parametrize(
    'replaced, message',
    [
        (
            dict(logits=dict(type='KDLoss'), student=classifier(num_classes=7)),
            'the student has 7, the teacher 10',
        ),
        (
            dict(student=classifier(input_size=64)),
            'takes images of side 64, teacher ImageClassifier of side 32',
        ),
        (
            dict(student=classifier(levels=['layer1', 'avgpool'])),
            'teacher has 4 levels, at strides (1, 2, 4, 32), student 2, at (1, 32)',
        ),
        (dict(student=classifier(levels=['layer1', 'layer9'])), 'has no module'),
        (dict(review=dict(weight=1.0, strides=[1, 2])), 'compared in order'),
        (
            dict(review=dict(weight=1.0, fusion='abff')),
            "fusion='abff'): must be one of abf, sum, pairs, none",
        ),
        (dict(review=dict(weight=1.0, distance='l1')), 'must be one of hcl, l2'),
    ],
)
def test_pairs_that_cannot_be_used(teacher, replaced, message):
    with pytest.raises(UserInputError) as error:
        distilled_classifier(teacher, **replaced)
    assert message in str(error.value)


def test_single_level_as_fitnets_have_it(teacher):
    chosen = copy.deepcopy(teacher)
    chosen['config']['levels'] = ['layer2']
    model = distilled_classifier(
        chosen,
        student=classifier(levels=['layer2']),
        review=dict(weight=1.0, fusion='none', distance='l2'),
    )
    losses = model(**image_batch(model), mode='loss')
    assert [k for k in losses if 'level' in k] == ['review_level0']


def test_bare_networks_checkpoint_is_a_teacher(teacher, tmp_path):
    """As the public CIFAR teachers are saved: ``{'model': network}``."""
    state = load_from_local(teacher['checkpoint'])['state_dict']
    torch.save(
        dict(epoch=240, model={k[len('backbone.') :]: v for k, v in state.items()}),
        tmp_path / 'ckpt.pth',
    )
    model = distilled_classifier(dict(teacher, checkpoint=str(tmp_path / 'ckpt.pth')))
    for key, value in model.distillation.teacher.model.state_dict().items():
        assert torch.equal(value, state[key])
    torch.save(dict(model={'conv1.weight': torch.zeros(1)}), tmp_path / 'ckpt.pth')
    with pytest.raises(UserInputError, match='missing .first: backbone.bn1'):
        distilled_classifier(dict(teacher, checkpoint=str(tmp_path / 'ckpt.pth')))


def test_run_save_resume_and_plain_student(tmp_path, teacher):
    rng = np.random.RandomState(0)
    for part, count in (('train', 96), ('test', 40)):
        labels = rng.randint(0, 10, count)
        images = (
            rng.randint(0, 60, (count, 32, 32, 3)) + labels[:, None, None, None] * 18
        )
        np.savez(tmp_path / part, x=images.astype(np.uint8), y=labels)

    def run(config, name, model, **options):
        cfg = load_config(config)
        cfg.model = model
        cfg.work_dir, cfg.visualizer.name = str(tmp_path / 'run'), name
        for loader, part in (('train', 'train'), ('val', 'test'), ('test', 'test')):
            cfg[f'{loader}_dataloader'].dataset = dict(
                type='ArchiveImages', num_classes=10, path=str(tmp_path / f'{part}.npz')
            )
        cfg.train_dataloader.batch_size = 32
        cfg.merge_from_dict(options)
        return Runner.from_cfg(cfg)

    distil = 'mmreviewkd::cifar20/review-kd_resnet20_resnet8.py'
    model = dict(
        type='ReviewKD', student=classifier(), teacher=teacher, review=dict(weight=0.6)
    )
    run(distil, 'first', model, train_cfg=dict(max_epochs=1, val_interval=1)).train()
    second = run(
        distil,
        'second',
        model,
        resume=True,
        train_cfg=dict(max_epochs=2, val_interval=1),
    )
    second.train()
    assert second.epoch == 2
    saved = load_from_local(str(tmp_path / 'run' / 'epoch_2.pth'))
    assert any(k.startswith('review.levels.3') for k in saved['state_dict'])
    assert list((tmp_path / 'run').glob('best_accuracy_top1_epoch_*.pth'))

    # the plain student's config, and no more
    plain = run(
        'mmreviewkd::cifar20/resnet8.py',
        'plain',
        classifier(),
        load_from=str(tmp_path / 'run' / 'epoch_2.pth'),
    )
    metrics = plain.test()
    logged = second.message_hub.get_scalar('val/accuracy/top1').current()
    assert metrics['accuracy/top1'] == pytest.approx(logged)
    model = plain.model
    for key, value in model.state_dict().items():
        assert torch.equal(value, saved['state_dict'][key])


def test_teacher_check(tmp_path, teacher, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.engine.teacher_check.print_log',
        lambda message, *_: said.append(message),
    )
    np.savez(
        tmp_path / 'test', y=np.arange(50) % 10, x=np.zeros((50, 32, 32, 3), np.uint8)
    )
    loader = Config(
        dict(
            batch_size=10,
            num_workers=0,
            collate_fn=dict(type='as_is'),
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='ArchiveImages', num_classes=10, path=str(tmp_path / 'test.npz')
            ),
        )
    )
    cfg = dict(
        type='ReviewKD',
        student=classifier(),
        teacher=teacher,
        review=dict(weight=1.0),
    )
    # of images that are all alike one class in ten is right
    metrics = check_teacher(cfg, loader, dict(type='Accuracy'), expected=0.72)
    assert metrics['accuracy/top1'] == pytest.approx(10)
    assert said[0] == ('teacher: 0.100, expected 0.720 (all 50 validation images)')
    assert (
        'on all 50 images is below what was expected and is near chance, '
        '0.100 for 10 classes. ' in said[1]
    )
    check_teacher(cfg, loader, dict(type='Accuracy'), num_images=20)
    assert said[2] == 'teacher: 0.100 (20 validation images)'
    assert 'on 20 images is near chance, 0.100 for 10 classes.' in said[3]
