"""mmcv's kernels for CUDA, on the CPU."""

import ctypes
import os.path as osp
import subprocess
import types

from tests.support.compiled_mmcv import CSRC

import pytest
import torch


def call(library, name, *args):
    """Call a C function on tensors' memory and numbers."""
    kinds = {int: ctypes.c_int, float: ctypes.c_float}
    getattr(library, name)(
        *(
            ctypes.c_void_p(arg.data_ptr() if arg.numel() else None)
            if isinstance(arg, torch.Tensor)
            else kinds[type(arg)](arg)
            for arg in args
        )
    )


@pytest.fixture(scope='session')
def kernels(tmp_path_factory):
    """mmcv's kernels of operators that it has for CUDA alone, on the CPU."""
    folder = tmp_path_factory.mktemp('kernels')
    # the kernels include this for CUDA's names, which kernels.cpp defines
    (folder / 'pytorch_cuda_helper.hpp').touch()
    subprocess.run(
        [
            'c++',
            '-O1',
            '-ffp-contract=off',
            '-shared',
            '-fPIC',
            '-I',
            str(folder),
            '-I',
            CSRC,
            osp.join(osp.dirname(__file__), 'kernels.cpp'),
            '-o',
            str(folder / 'kernels.so'),
        ],
        check=True,
    )
    library = ctypes.CDLL(str(folder / 'kernels.so'))

    def focal_forward(input, target, weight, output, gamma, alpha):
        call(
            library,
            'focal_forward',
            input.numel(),
            input,
            target,
            weight,
            output,
            gamma,
            alpha,
            input.size(1),
        )

    def focal_backward(input, target, weight, grad_input, gamma, alpha):
        call(
            library,
            'focal_backward',
            input.numel(),
            input,
            target,
            weight,
            grad_input,
            gamma,
            alpha,
            input.size(1),
        )

    def roi_pool_forward(
        input, rois, output, argmax, pooled_height, pooled_width, spatial_scale
    ):
        call(
            library,
            'roi_pool_forward',
            output.numel(),
            input,
            rois,
            output,
            argmax,
            pooled_height,
            pooled_width,
            spatial_scale,
            *input.shape[1:],
        )

    def roi_pool_backward(
        grad_output,
        rois,
        argmax,
        grad_input,
        pooled_height,
        pooled_width,
        spatial_scale,
    ):
        call(
            library,
            'roi_pool_backward',
            grad_output.numel(),
            grad_output,
            rois,
            argmax,
            grad_input,
            pooled_height,
            pooled_width,
            *grad_input.shape[1:],
        )

    def masked_im2col(features, rows, columns, data_col, **sizes):
        call(
            library,
            'masked_im2col',
            features.size(1) * len(rows),
            features,
            *features.shape[2:],
            *sizes.values(),
            rows,
            columns,
            len(rows),
            data_col,
        )

    def masked_col2im(data_col, rows, columns, output, height, width, channels):
        call(
            library,
            'masked_col2im',
            data_col.numel(),
            data_col,
            height,
            width,
            channels,
            rows,
            columns,
            len(rows),
            output,
        )

    def carafe_forward(features, masks, rfeatures, routput, rmasks, output, **sizes):
        # the naive kernel: the other one is the same, in blocks of threads
        rfeatures.copy_(features)
        call(
            library,
            'carafe_forward',
            output.numel(),
            features,
            masks,
            output,
            *sizes.values(),
            *output.shape[1:],
        )

    def carafe_backward(
        grad_output,
        rfeatures,
        masks,
        rgrad_output,
        rgrad_input_hs,
        rgrad_input,
        rgrad_masks,
        grad_input,
        grad_masks,
        **sizes,
    ):
        call(
            library,
            'carafe_backward',
            grad_output.numel(),
            grad_output,
            rfeatures,
            masks,
            grad_input,
            grad_masks,
            *sizes.values(),
            *grad_output.shape[1:],
        )

    return types.SimpleNamespace(
        masked_im2col_forward=masked_im2col,
        masked_col2im_forward=masked_col2im,
        carafe_forward=carafe_forward,
        carafe_backward=carafe_backward,
        sigmoid_focal_loss_forward=focal_forward,
        sigmoid_focal_loss_backward=focal_backward,
        roi_pool_forward=roi_pool_forward,
        roi_pool_backward=roi_pool_backward,
    )
