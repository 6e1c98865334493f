"""SSKD's first phase: the head of a trained classifier."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.self_supervision import load_head, projection_head
from mmreviewkd.models import teacher
from tests.support.checkpoints import snapshot
from tests.support.classifiers import classifier
from tests.support.paths import ROOT

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper


@pytest.fixture
def config(tmp_path):
    model = classifier(14, (6, 6, 12, 24))
    torch.save(MODELS.build(model).state_dict(), tmp_path / 'teacher.pth')
    return dict(
        type='SelfSupervisedHead',
        teacher=dict(config=model, checkpoint=str(tmp_path / 'teacher.pth')),
        data_preprocessor=dict(model['data_preprocessor'], rotations=True),
    )


def data(images=5):
    return dict(
        inputs=torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8),
        data_samples=torch.arange(images),
    )


@pytest.mark.parametrize('images', [1, 5])
def test_loss_equals_the_formula(config, images):
    model = MODELS.build(config).train()
    batch = model.data_preprocessor(data(images), True)
    losses = model(**batch, mode='loss')
    network = model.teacher.model.backbone
    pooled = []
    network.avgpool.register_forward_hook(lambda *args: pooled.append(args[2]))
    network(batch['inputs'])
    vectors = [model.head(row) for row in pooled[0].flatten(1)]
    total, right = 0, 0
    for i, vector in enumerate(vectors):
        if i % 4:
            row = torch.stack(
                [torch.cosine_similarity(vector, each, 0) for each in vectors[::4]]
            )
            total = total - row[i // 4] + row.exp().sum().log()
            right += int(row[i // 4] == row.max())
    torch.testing.assert_close(losses['loss_head'], total / (3 * images))
    assert losses['accuracy'].item() == pytest.approx(100 * right / (3 * images))
    scores = model(batch['inputs'])
    assert scores.shape == (3 * images, images)


def test_the_head_alone_is_trained_and_saved(config, tmp_path):
    model = MODELS.build(config)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05))
    before, frozen = snapshot(model), snapshot(model.teacher)
    model.train()
    assert not any(module.training for module in model.teacher.modules())
    log = model.train_step(data(), optimizer)
    assert set(log) == {'loss', 'loss_head', 'accuracy'}
    assert set(before) == {f'head.{i}.{n}' for i in (0, 2) for n in ('weight', 'bias')}
    assert all(not torch.equal(before[k], v) for k, v in model.state_dict().items())
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, frozen[key])
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'head.pth')
    head = projection_head(24)
    load_head(head, str(tmp_path / 'head.pth'))
    for key, value in head.state_dict().items():
        assert torch.equal(value, model.head.state_dict()[key])


def test_what_is_refused(config, tmp_path):
    model = MODELS.build(config)
    with pytest.raises(UserInputError, match='predicts nothing: leave out val_cfg'):
        model(torch.rand(4, 3, 32, 32), mode='predict')
    plain = dict(config['data_preprocessor'], rotations=False)
    with pytest.raises(UserInputError, match='SelfSupervisedHead learns from four cop'):
        MODELS.build(dict(config, data_preprocessor=plain))
    config['teacher']['checkpoint'] = str(tmp_path / 'none.pth')
    with pytest.raises(UserInputError, match='none.pth does not exist'):
        MODELS.build(config)
    config['teacher'] = dict(checkpoint='teacher.pth')
    with pytest.raises(UserInputError, match='config'):
        MODELS.build(config)


@pytest.mark.parametrize(
    'name, width',
    [
        ('resnet56', 64),
        pytest.param('resnet32x4', 256, marks=pytest.mark.slow),
    ],
)
def test_configs(name, width, monkeypatch):
    monkeypatch.setattr(teacher, 'load_strictly', lambda *_: None)
    cfg = Config.fromfile(ROOT / f'configs/cifar100/sskd-head_{name}.py')
    assert cfg.train_cfg.max_epochs == 60 and cfg.train_dataloader.batch_size == 64
    assert cfg.param_scheduler[0].milestones == [30, 45]
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=False
    )
    model = MODELS.build(cfg.model)
    assert model.head[0].in_features == width
    losses = model(**model.data_preprocessor(data(2), True), mode='loss')
    assert losses['loss_head'] > 0
