"""A 1x1 convolution and its BatchNorm as one linear map."""

from copy import deepcopy

from mmreviewkd.methods.review.folding import BatchNorm

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
