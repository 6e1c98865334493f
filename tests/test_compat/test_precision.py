"""Parts of a step in bfloat16, or in float32."""

from mmreviewkd.compat.precision import check_precision, in_float32, in_precision
from mmreviewkd.errors import UserInputError

import pytest
import torch

CPU = torch.device('cpu')


@pytest.mark.parametrize('precision', ['bf16', 'float16', 16, torch.bfloat16])
def test_another_precision_is_refused(precision):
    with pytest.raises(UserInputError) as error:
        check_precision('teacher', precision)
    assert str(error.value) == (
        f"teacher=dict(precision={precision!r}): must be 'bfloat16'; left out, the "
        'precision is that of the run'
    )


def test_what_is_left_out_changes_nothing():
    check_precision('teacher', None)
    with torch.autocast('cpu', torch.float16), in_precision('teacher', None, CPU):
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype == torch.float16


def test_bfloat16():
    check_precision('teacher', 'bfloat16')
    with in_precision('teacher', 'bfloat16', CPU):
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype == torch.bfloat16


def test_a_gpu_without_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: False)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'Some GPU')
    with pytest.raises(UserInputError) as error:
        in_precision('review', 'bfloat16', torch.device('cuda'))
    assert str(error.value) == (
        "review=dict(precision='bfloat16'): Some GPU does not compute in it; leave it "
        'out, or train with --amp'
    )


def test_half_precision_alone_is_widened():
    given = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    tensors = [in_float32(torch.ones(2, dtype=dtype)) for dtype in given]
    assert [tensor.dtype for tensor in tensors] == 3 * [torch.float32] + [torch.float64]
