"""What GPUs do differently; each test runs on the CPU, too, as far as that can show it.

``make test-cuda`` runs those on a GPU. They need no data and no network.
"""

import copy
from contextlib import contextmanager, nullcontext

from mmreviewkd.commands.random_batches import random_images, random_scenes
from mmreviewkd.compat import load_from_local
from mmreviewkd.engine import CPUAmp
from mmreviewkd.logs import read_scalars
from mmreviewkd.methods import Review
from tests.support.classifiers import classifier, distilled_classifier
from tests.support.commands import process
from tests.support.detectors import save_weights, tiny_detector
from tests.support.launching import free_port
from tests.support.paths import ROOT

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

KINDS = ('detector', 'classifier')


@pytest.fixture(
    params=[
        'cpu',
        pytest.param(
            'cuda',
            marks=[
                pytest.mark.cuda,
                pytest.mark.skipif(
                    not torch.cuda.is_available(), reason='torch sees no GPU'
                ),
            ],
        ),
    ]
)
def device(request):
    # cuDNN rounds what it multiplies to 10 bits otherwise
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield request.param


@pytest.fixture
def build(distiller, tmp_path):
    """Builds a distilled student and a batch for it, always the same.

    Its teacher sees the images in another normalisation, channel order and padding,
    or in the student's own.
    """

    def build(kind, renormalized=False):
        torch.manual_seed(0)
        if kind == 'detector':
            teacher = tiny_detector('retinanet', 6, 12)
            if renormalized:
                teacher.data_preprocessor.update(
                    mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0]
                )
                teacher.data_preprocessor.bgr_to_rgb = False
            # 128 wide: where a map is one cell wide, CPUs with AMX may leave garbage in
            # a convolution's gradient in bfloat16 (docs/faq.md)
            batch = random_scenes(2, (96, 128), classes=2)
        else:
            teacher = classifier(14, (6, 6, 12, 24))
            if renormalized:
                teacher['data_preprocessor'].update(std=[50.0, 60.0, 70.0])
            batch = random_images(8, (32, 32), classes=10)
        path = save_weights(copy.deepcopy(teacher), tmp_path / f'{kind}.pth')
        teacher = dict(config=teacher, checkpoint=path)
        if kind == 'detector':
            return distiller('retinanet', teacher=teacher).train(), batch
        model = distilled_classifier(teacher, logits=dict(type='KDLoss'))
        # the same crops at every step
        model.data_preprocessor.padding = model.data_preprocessor.flip = 0
        return model.train(), batch

    return build


def optimizer_of(model, lr=1e-4):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr))


def train(model, batch, optimizer, steps=3):
    return [
        model.train_step(copy.deepcopy(batch), optimizer)['loss'].item()
        for _ in range(steps)
    ]


@pytest.mark.parametrize('kind', KINDS)
def test_mixed_precision_learns(device, kind, build):
    model, batch = build(kind)
    model.to(device)
    make = AmpOptimWrapper if device == 'cuda' else CPUAmp
    optimizer = make(optimizer=torch.optim.SGD(model.parameters(), lr=0.002))
    before = copy.deepcopy(model.state_dict())
    losses = train(model, batch, optimizer, steps=30)
    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[-1] < losses[0]
    moved = {
        name.split('.')[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert {'backbone', 'review'} <= moved
    if device == 'cuda':
        # of 30 steps, at most half may overflow until the scale fits
        assert optimizer.loss_scaler.get_scale() >= 2**16 / 2**15
        assert len(optimizer.optimizer.state_dict()['param_groups']) == 1


@pytest.mark.parametrize('kind', KINDS)
def test_a_process_group_of_one(device, kind, build):
    model, batch = build(kind)
    single, _ = build(kind)
    expected = train(single.to(device), batch, optimizer_of(single))
    dist.init_process_group(
        'nccl' if device == 'cuda' else 'gloo',
        init_method=f'tcp://127.0.0.1:{free_port()}',
        rank=0,
        world_size=1,
    )
    try:
        model.to(device)
        ddp = MMDistributedDataParallel(model, broadcast_buffers=False)
        losses = train(ddp, batch, optimizer_of(model))
    finally:
        dist.destroy_process_group()
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('kind', KINDS)
def test_channels_last(device, kind, build):
    model, batch = build(kind)
    # ten times this rate makes 2e-3 of a rounding error of 2e-6, in two steps
    rate = 1e-5
    expected = train(model.to(device), batch, optimizer_of(model, rate))
    model, _ = build(kind)
    model.to(device).to(memory_format=torch.channels_last)
    weight = next(p for p in model.parameters() if p.dim() == 4 and p.size(2) > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    losses = train(model, batch, optimizer_of(model, rate))
    assert losses == pytest.approx(expected, rel=1e-4)


class Waiting(TorchDispatchMode):
    """Refuses operators whose result has to be known on the host."""

    REFUSED = (
        torch.ops.aten._local_scalar_dense,
        torch.ops.aten.equal,
        torch.ops.aten.masked_select,
        torch.ops.aten.nonzero,
        torch.ops.aten.repeat_interleave.Tensor,
        torch.ops.aten.unique_consecutive,
        torch.ops.aten._unique2,
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in self.REFUSED and func.overloadpacket not in self.REFUSED
        if func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put_):
            # a mask's number of elements is looked up
            assert all(each is None or each.dtype != torch.bool for each in args[1])
        return func(*args, **(kwargs or {}))


@contextmanager
def waiting_refused(device):
    """Let everything fail that waits for the device."""
    if device == 'cpu':
        with Waiting():
            yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_waiting_is_noticed(device):
    x = torch.ones(3, device=device)
    for wait in (lambda: x.sum().item(), lambda: x.nonzero(), lambda: x[x > 0]):
        with pytest.raises((AssertionError, RuntimeError)):
            with waiting_refused(device):
                wait()
    with waiting_refused(device):
        (x * 2).sum()


@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('renormalized', [False, True])
@pytest.mark.parametrize('kind', KINDS)
def test_no_step_waits_for_the_device(device, kind, renormalized, amp, build):
    model, batch = build(kind, renormalized)
    model.to(device)
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    inputs, samples = data['inputs'], data['data_samples']

    def own_losses(inputs, samples, mode):
        # a detector's own heads are not ours
        levels = model.extract_feat(inputs)
        return dict(loss_own=sum(level.float().sum() for level in levels))

    def step():
        with torch.autocast(device, enabled=amp):
            if kind == 'detector':
                losses = model.distillation.losses(model, own_losses, inputs, samples)
            else:
                losses = model(inputs, samples, mode='loss')
            loss, log = model.parse_losses(losses)
        loss.backward()
        return log

    step()  # libraries are loaded, and memory is reserved
    with waiting_refused(device):
        step()
        log = step()
    assert log['loss_review'].item() > 0


@pytest.mark.parametrize('kind', KINDS)
def test_moving_average(device, kind, build):
    model, batch = build(kind)
    model.to(device)
    average = ExponentialMovingAverage(model, momentum=0.5, update_buffers=True)
    assert average.module.distillation.teacher is model.distillation.teacher
    train(model, batch, optimizer_of(model))
    before = copy.deepcopy(average.module.state_dict())
    average.update_parameters(model)  # copies, the first time
    train(model, batch, optimizer_of(model))
    average.update_parameters(model)
    now = average.module.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in now.items())
    assert {value.device.type for name, value in now.items() if value.dim()} == {
        device
    } | ({'cpu'} if any('_extra_state' in name for name in now) else set())
    inputs = model.data_preprocessor(copy.deepcopy(batch), False)['inputs']
    with torch.no_grad():
        average.module.eval()(inputs, mode='tensor')


CONFIG = """
_base_ = './distil.py'
custom_hooks = [dict(type='EMAHook', update_buffers=True)]
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=.01, momentum=.9))
"""


@pytest.mark.slow
def test_resume(device, project, monkeypatch):
    if device == 'cpu':
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    (project / 'average.py').write_text(CONFIG)
    train = [ROOT / 'tools' / 'train.py', 'average.py', '--work-dir']
    options = ['--amp'] * (device == 'cuda') + ['--cfg-options', 'randomness.seed=1']
    whole = process(*train, 'whole', *options, cwd=project)
    assert whole.returncode == 0, whole.stdout[-3000:]
    first = process(*train, 'resumed', *options, 'train_cfg.max_epochs=1', cwd=project)
    assert first.returncode == 0, first.stdout[-3000:]
    second = process(*train, 'resumed', '--resume', *options, cwd=project)
    assert second.returncode == 0, second.stdout[-3000:]
    assert 'resumed epoch: 1' in second.stdout
    expected, losses = (
        [line['loss'] for line in read_scalars(str(project / name)) if 'loss' in line]
        for name in ('whole', 'resumed')
    )
    assert len(losses) == len(expected) > 2
    assert losses == pytest.approx(expected, rel=0.05 if device == 'cuda' else 1e-4)
    saved = [
        load_from_local(str(project / name / 'epoch_2.pth'))
        for name in ('whole', 'resumed')
    ]
    assert set(saved[0]['ema_state_dict']) == set(saved[1]['ema_state_dict'])
    if device == 'cuda':
        assert all(each['optimizer']['loss_scaler']['scale'] > 0 for each in saved)


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize(
    'channels, sizes',
    [
        ([16, 16, 16], [(50, 84), (25, 42), (13, 21)]),
        ([8, 16, 16], [(16, 16), (8, 8), (1, 1)]),
    ],
)
def test_the_review_against_float64_on_the_cpu(device, channels, sizes, autocast):
    torch.manual_seed(0)
    exact = Review(channels, channels).double()
    features, targets = (
        [
            torch.randn(4, width, *size, dtype=torch.float64)
            for width, size in zip(channels, sizes)
        ]
        for _ in range(2)
    )

    def run(review, features, targets, context):
        features = [feature.requires_grad_() for feature in features]
        with context:
            losses = review.loss(features, targets)
        losses.sum().backward()
        parameters = [parameter.grad for parameter in review.parameters()]
        return losses, [feature.grad for feature in features] + parameters

    def moved(tensors):
        return [each.clone().to(device, torch.float32) for each in tensors]

    review = copy.deepcopy(exact).float().to(device)
    losses, gradients = run(
        review,
        moved(features),
        moved(targets),
        torch.autocast(device) if autocast else nullcontext(),
    )
    expected, expected_gradients = run(exact, features, targets, nullcontext())
    assert losses.device.type == device and losses.dtype == torch.float32
    rtol = 2e-2 if autocast else 1e-5
    torch.testing.assert_close(losses.double().cpu(), expected, rtol=rtol, atol=0)
    # BatchNorm makes some gradients sums of what cancels
    largest = max(gradient.norm() for gradient in expected_gradients)
    for gradient, exactly in zip(gradients, expected_gradients):
        difference = (gradient.double().cpu() - exactly).norm()
        if autocast:
            assert difference < 0.1 * largest
        else:
            assert difference < 1e-4 * exactly.norm() + 1e-5 * largest
