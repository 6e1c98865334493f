"""A 1x1 convolution and its BatchNorm as one linear map."""

import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

from mmreviewkd.methods.review import folding
from mmreviewkd.methods.review.folding import BatchNorm, fold

import pytest
import torch


def test_batch_norm_on_one_value_uses_the_running_statistics():
    bn = BatchNorm(3)
    bn.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    bn.running_var.copy_(torch.tensor([4.0, 1.0, 9.0]))
    x = torch.randn(1, 3, 1, 1)
    assert torch.equal(bn(x), deepcopy(bn).eval()(x))
    assert bn.running_mean.tolist() == [1, 2, 3]
    assert bn.num_batches_tracked == 0


@pytest.mark.parametrize('shape', [(2, 3, 1, 1), (1, 3, 1, 2), (1, 3, 5, 4)])
def test_batch_norm_on_more_values_is_torchs(shape):
    torch.manual_seed(0)
    bn, reference, x = BatchNorm(3), torch.nn.BatchNorm2d(3), torch.randn(shape)
    assert torch.equal(bn(x), reference(x))
    assert torch.equal(bn.running_var, reference.running_var)


def layers(in_channels=3, channels=5, dtype=torch.float64):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(in_channels, channels, 1, bias=False)
    bn = BatchNorm(channels)
    torch.nn.init.uniform_(bn.weight, 0.5, 2)
    torch.nn.init.normal_(bn.bias)
    torch.nn.init.normal_(bn.running_mean)
    torch.nn.init.uniform_(bn.running_var, 0.5, 2)
    return conv.to(dtype), bn.to(dtype)


def mapped(conv, bn, x):
    weight, bias = fold(conv, bn, x)
    return torch.einsum('oc,nchw->nohw', weight, x) + bias[:, None, None]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('shape', [(2, 3, 4, 5), (4, 3, 1, 1), (1, 3, 1, 1)])
def test_fold_equals_the_two_layers(shape, training):
    conv, bn = layers()
    bn.train(training)
    other, x = deepcopy(bn), torch.randn(shape).double().requires_grad_()
    got, expected = mapped(conv, bn, x), other(conv(x))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        dict(bn.named_buffers()), dict(other.named_buffers()), rtol=1e-12, atol=1e-12
    )
    grad = torch.randn_like(got)
    for ours, theirs in ((bn.weight, other.weight), (bn.bias, other.bias)):
        torch.testing.assert_close(
            torch.autograd.grad(got, [ours, conv.weight, x], grad, retain_graph=True),
            torch.autograd.grad(
                expected, [theirs, conv.weight, x], grad, retain_graph=True
            ),
            rtol=1e-8,
            atol=1e-9,
        )


def test_gradcheck_of_fold():
    conv, bn = layers()
    x = torch.randn(2, 3, 3, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: fold(conv, bn, x), x)


def test_a_mean_that_is_large_beside_the_deviation():
    # where the mean of squares minus the squared mean has no correct digit
    conv, bn = layers(dtype=torch.float32)
    x = 1000 + 0.1 * torch.randn(4, 3, 8, 8)
    weight, _ = fold(conv, bn, x)
    exact, _ = fold(deepcopy(conv).double(), deepcopy(bn).double(), x.double())
    torch.testing.assert_close(weight, exact.float(), rtol=1e-3, atol=0)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_statistics_of_half_precision_are_in_float32(dtype):
    conv, bn = layers(dtype=torch.float32)
    x = (300 * torch.randn(2, 3, 8, 8)).to(dtype)  # whose squares overflow float16
    expected, _ = fold(conv, deepcopy(bn), x.float())
    with torch.autocast('cpu', torch.bfloat16):
        weight, bias = fold(conv, bn, x)
    assert weight.dtype == bias.dtype == torch.float32
    torch.testing.assert_close(weight, expected)


@pytest.mark.parametrize('side, split', [(4, 2), (1, 1)])
def test_synchronised_statistics_are_those_of_all_processes(side, split, monkeypatch):
    # two threads stand in for two processes
    meet, shared = threading.Barrier(2, timeout=20), {}

    def all_reduce(values):
        shared[threading.get_ident()] = values.clone()
        meet.wait()
        total = sum(shared.values())
        meet.wait()
        shared.clear()
        meet.wait()
        values.copy_(total)

    monkeypatch.setattr(folding.dist, 'all_reduce', all_reduce)
    monkeypatch.setattr(folding.dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(folding.dist, 'get_world_size', lambda: 2)
    conv, bn = layers()
    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(bn))
    batch = torch.randn(5, 3, side, side).double()
    grad = torch.randn(5, 5, side, side).double()

    def work(images):
        x, own = batch[images].clone().requires_grad_(), deepcopy(converted)
        out = mapped(conv, own, x)
        (grad_x,) = torch.autograd.grad(out, x, grad[images])
        return out.detach(), grad_x, own.running_mean, own.running_var

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, (slice(split), slice(split, 5)))
    whole = batch.clone().requires_grad_()
    expected = bn(conv(whole))
    (expected_grad,) = torch.autograd.grad(expected, whole, grad)
    for got, right in (
        (torch.cat([first[0], second[0]]), expected),
        (torch.cat([first[1], second[1]]), expected_grad),
        (first[2], bn.running_mean),
        (second[3], bn.running_var),
    ):
        torch.testing.assert_close(got, right, rtol=1e-9, atol=1e-9)


def test_one_process_needs_no_other():
    conv, bn = layers()
    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(bn))
    x = torch.randn(2, 3, 4, 4).double()
    torch.testing.assert_close(mapped(conv, converted, x), bn(conv(x)))
