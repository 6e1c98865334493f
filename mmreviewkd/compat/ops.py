"""mmcv's operators, from torchvision's kernels.

Each function has the signature with which ``mmcv/ops/*.py`` calls its compiled
namesake (mmcv 2.0 to 2.1): tensors come in to be filled. So everything above
(``batched_nms``, ``RoIAlign``, ``DCNv2``, ...) is mmcv's own code;
:mod:`.mmcv_ext` puts the functions where it looks for them.
"""
from typing import List, NoReturn

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

_HOW_TO = ('install a compiled mmcv (>=2.0, <2.2) for your torch: '
           '"pip install -U openmim && mim install \'mmcv>=2.0.0,<2.2.0\'", '
           'or build it from source')


# ----------------------------------------------------------------- NMS
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float,
        offset: int) -> Tensor:
    """Indices kept by greedy NMS, best score first.

    Args:
        boxes (Tensor): (N, 4) as x1, y1, x2, y2.
        scores (Tensor): (N, ).
        iou_threshold (float): A box that overlaps a kept one by more goes.
        offset (int): 1 where x2 and y2 are inclusive pixel indices.
    """
    boxes, scores = _at_least_float32(boxes, scores)
    if offset:
        # width = x2 - x1 + offset, for the areas and for the overlaps alike
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # mmcv compares in float32: an overlap of 3/5 does not exceed 0.6 there
    iou_threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    # and takes equal scores in the order in which torch happens to sort them
    order = scores.argsort(descending=True)
    ranks = torch.arange(len(boxes), 0, -1, device=boxes.device).to(boxes)
    return order[torch.ops.torchvision.nms(boxes[order], ranks, iou_threshold)]


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float,
            sigma: float, min_score: float, method: int,
            offset: int) -> Tensor:
    """Soft-NMS (arXiv 1704.04503); fills ``dets``, returns kept indices.

    torchvision has no such kernel. mmcv runs it on the CPU whatever the
    device, and so does this.

    Args:
        boxes (Tensor): (N, 4) as x1, y1, x2, y2.
        scores (Tensor): (N, ).
        dets (Tensor): (N, 5), filled with boxes and decayed scores.
        iou_threshold (float): Overlap from which a score decays, by methods
            0 and 1.
        sigma (float): Width of the Gaussian decay (method 2).
        min_score (float): Boxes whose score falls below are dropped.
        method (int): 0 naive, 1 linear, 2 Gaussian.
        offset (int): 1 where x2 and y2 are inclusive pixel indices.
    """
    boxes, scores = _at_least_float32(boxes, scores)
    x1, y1, x2, y2 = boxes.unbind(1)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    scores = scores.clone()
    remaining = torch.arange(boxes.size(0))
    kept = []
    while remaining.numel():
        best = int(scores[remaining].argmax())
        i = int(remaining[best])
        dets[len(kept), :4], dets[len(kept), 4] = boxes[i], scores[i]
        kept.append(i)
        # As in mmcv, the first one left takes the place of the best, and the
        # last ones those of the dropped: of equal scores the first wins.
        remaining[best] = remaining[0]
        remaining = remaining[1:]
        width = (torch.min(x2[i], x2[remaining]) -
                 torch.max(x1[i], x1[remaining]) + offset).clamp(min=0)
        height = (torch.min(y2[i], y2[remaining]) -
                  torch.max(y1[i], y1[remaining]) + offset).clamp(min=0)
        inter = width * height
        # two boxes without area: 0 / 0, which counts as no overlap
        iou = (inter / (areas[i] + areas[remaining] - inter)).nan_to_num(0)
        if method == 2:
            decay = torch.exp(-iou**2 / sigma)
        else:
            decayed = torch.zeros_like(iou) if method == 0 else 1 - iou
            decay = torch.where(iou >= iou_threshold, decayed,
                                torch.ones_like(iou))
        scores[remaining] *= decay
        stays = ~(scores[remaining] < min_score)
        head, tail = remaining.tensor_split([int(stays.sum())])
        head[~stays[:len(head)]] = tail[stays[len(head):]].flip(0)
        remaining = head
    return torch.tensor(kept, dtype=torch.long)


def nms_match(dets: Tensor, iou_threshold: float) -> List[List[int]]:
    """Of greedy NMS, each kept box, best first, with those that it removes.

    Args:
        dets (Tensor): (N, 5) as x1, y1, x2, y2, score.
        iou_threshold (float): From this overlap on, a box goes.
    """
    dets, = _at_least_float32(dets)
    threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    overlaps = torchvision.ops.box_iou(dets[:, :4], dets[:, :4]) >= threshold
    remaining, groups = dets[:, 4].argsort(descending=True), []
    while remaining.numel():
        best, rest = remaining[0], remaining[1:]
        gone = overlaps[best, rest]
        groups.append([int(best), *rest[gone].tolist()])
        remaining = rest[~gone]
    return groups


def _at_least_float32(*tensors: Tensor) -> List[Tensor]:
    """Kernels for half precision are missing here and there."""
    return [
        tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        for tensor in tensors
    ]


# ------------------------------------------------------------ RoI pooling
def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor,
                      argmax_y: Tensor, argmax_x: Tensor, aligned_height: int,
                      aligned_width: int, spatial_scale: float,
                      sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """RoIAlign (arXiv 1703.06870) of (N, C, H, W) at (K, 5) RoIs."""
    if pool_mode == 0:
        unavailable('roi_align_forward with pool_mode="max"')
    input, = _at_least_float32(input)
    output.copy_(
        torch.ops.torchvision.roi_align(input, rois.to(input), spatial_scale,
                                        aligned_height, aligned_width,
                                        sampling_ratio, aligned))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                       argmax_x: Tensor, grad_input: Tensor,
                       aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Gradient of :func:`roi_align_forward` for its input."""
    grad_output, = _at_least_float32(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output, rois.to(grad_output), spatial_scale, aligned_height,
            aligned_width, *grad_input.shape, sampling_ratio, aligned))


def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor,
                     argmax: Tensor, pooled_height: int, pooled_width: int,
                     spatial_scale: float) -> None:
    """RoIPool (arXiv 1504.08083) with mmcv's fractional bins.

    torchvision rounds the RoI to whole cells first, mmcv does not, so that
    torchvision's kernel would give other numbers: the bins are mmcv's, the
    maxima torch's.
    """
    height, width = input.shape[-2:]
    rois, = _at_least_float32(rois)
    start = rois[:, 1:3] * spatial_scale
    size = (rois[:, 3:5] + 1) * spatial_scale - start

    def cells(axis, bins, limit):
        """Each bin's cells on one axis: (K, bins, largest bin) and a mask."""
        step = size[:, axis, None] / bins
        i = torch.arange(bins, device=rois.device, dtype=rois.dtype)
        first = (i * step + start[:, axis, None]).floor().clamp(0, limit)
        last = ((i + 1) * step + start[:, axis, None]).ceil().clamp(0, limit)
        # a malformed RoI has no cells, and keeps zeros
        last = torch.where((size > 0).all(1, keepdim=True), last, first)
        largest = int((last - first).max()) if last.numel() else 0
        index = first.long()[..., None] + torch.arange(
            largest, device=rois.device)
        return index.clamp(max=limit - 1), index < last[..., None]

    xs, x_valid = cells(0, pooled_width, width)
    ys, y_valid = cells(1, pooled_height, height)
    argmax.fill_(-1)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        # (bins down, bins across, cells of the largest bin)
        index = ys[k, :, None, :, None] * width + xs[k, None, :, None, :]
        valid = y_valid[k, :, None, :, None] & x_valid[k, None, :, None, :]
        index, valid = index.flatten(2), valid.flatten(2)
        used = valid.any(-1)
        if not used.any():
            continue
        values = input[image].flatten(1)[:, index]
        values = values.masked_fill(~valid, -float('inf'))
        largest, position = values.max(-1)
        output[k] = largest.masked_fill(~used, 0)
        argmax[k] = index.expand_as(values).gather(
            -1, position[..., None])[..., 0].masked_fill(~used, -1)


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor,
                      grad_input: Tensor, pooled_height: int,
                      pooled_width: int, spatial_scale: float) -> None:
    """Gradient of :func:`roi_pool_forward` for its input."""
    flat = grad_input.flatten(2)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        index = argmax[k].flatten(1).long()
        grad = grad_output[k].flatten(1) * (index >= 0)
        flat[image].scatter_add_(1, index.clamp(min=0), grad)


# ------------------------------------------------------------- focal loss
def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor,
                               output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Focal loss (arXiv 1708.02002), no reduction.

    torchvision's is a function of one-hot targets, without class weights and
    with another formula at saturation; these are mmcv's kernel's.

    Args:
        input (Tensor): Logits, (N, C).
        target (Tensor): Class indices, (N, ); C stands for background.
        weight (Tensor): One weight per class, (C, ), or empty.
        output (Tensor): (N, C), filled.
    """
    p, positive, tiny = _focal_terms(input, target)
    loss = torch.where(positive,
                       -alpha * (1 - p)**gamma * p.clamp(min=tiny).log(),
                       (alpha - 1) * p**gamma * (1 - p).clamp(min=tiny).log())
    output.copy_(_class_weighted(loss, target, weight))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor,
                                grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """Gradient of :func:`sigmoid_focal_loss_forward` for the logits."""
    p, positive, tiny = _focal_terms(input, target)
    grad = torch.where(
        positive, -alpha * (1 - p)**gamma *
        (1 - p - gamma * p * p.clamp(min=tiny).log()), (alpha - 1) * p**gamma *
        (gamma * (1 - p) * (1 - p).clamp(min=tiny).log() - p))
    grad_input.copy_(_class_weighted(grad, target, weight))


def _focal_terms(input, target):
    """Probabilities, where the target class is, and mmcv's log clamp."""
    p = _at_least_float32(input)[0].sigmoid()
    classes = torch.arange(input.size(1), device=input.device)
    return p, target[:, None] == classes, torch.finfo(torch.float32).tiny


def _class_weighted(values, target, weight):
    if weight.numel() == 0:
        return values
    # Background (target == C) has no weight of its own, and mmcv's kernel
    # reads past the array there.
    return values * torch.cat([weight, weight.new_ones(1)])[target][:, None]


# ------------------------------------------------- deformable convolution
def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor,
                        output: Tensor, columns: Tensor, ones: Tensor, kW: int,
                        kH: int, dW: int, dH: int, padW: int, padH: int,
                        dilationW: int, dilationH: int, group: int,
                        deformable_group: int, im2col_step: int) -> None:
    """Deformable convolution v1 (arXiv 1703.06211), without bias."""
    input, weight, offset = _at_least_float32(input, weight, offset)
    no_mask, no_bias = input.new_zeros(len(input),
                                       1), input.new_zeros(len(weight))
    output.copy_(
        torch.ops.torchvision.deform_conv2d(input, weight, offset, no_mask,
                                            no_bias, dH, dW, padH, padW,
                                            dilationH, dilationW, group,
                                            deformable_group, False))


def deform_conv_backward_input(input: Tensor, offset: Tensor,
                               grad_output: Tensor, grad_input: Tensor,
                               grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, **geometry: int) -> None:
    """Gradients of :func:`deform_conv_forward` for input and offset."""
    grads = _deform_conv_backward(input, offset, grad_output, weight,
                                  **geometry)
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[2])
    # mmcv asks for the weight's gradient in a second call and hands the same
    # scratch buffer to both: torchvision has just computed all three.
    columns.resize_(weight.shape).copy_(grads[1])


def deform_conv_backward_parameters(input: Tensor, offset: Tensor,
                                    grad_output: Tensor, grad_weight: Tensor,
                                    columns: Tensor, ones: Tensor,
                                    scale: float, **geometry: int) -> None:
    """Gradient of :func:`deform_conv_forward` for the weight."""
    if columns.shape != grad_weight.shape:
        # only the weight needs a gradient, so the call above was left out
        columns = _deform_conv_backward(input, offset, grad_output,
                                        grad_weight, **geometry)[1]
    grad_weight.add_(columns, alpha=scale)


def _deform_conv_backward(input, offset, grad_output, weight, kW, kH, dW, dH,
                          padW, padH, dilationW, dilationH, group,
                          deformable_group, im2col_step):
    input, offset, grad_output, weight = _at_least_float32(
        input, offset, grad_output, weight)
    no_mask, no_bias = input.new_zeros(len(input),
                                       1), input.new_zeros(len(weight))
    return torch.ops.torchvision._deform_conv2d_backward(
        grad_output, input, weight, offset, no_mask, no_bias, dH, dW, padH,
        padW, dilationH, dilationW, group, deformable_group, False)


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor,
                                  ones: Tensor, offset: Tensor, mask: Tensor,
                                  output: Tensor, columns: Tensor,
                                  kernel_h: int, kernel_w: int, stride_h: int,
                                  stride_w: int, pad_h: int, pad_w: int,
                                  dilation_h: int, dilation_w: int, group: int,
                                  deformable_group: int,
                                  with_bias: bool) -> None:
    """Deformable convolution v2 (arXiv 1811.11168)."""
    input, weight, bias, offset, mask = _at_least_float32(
        input, weight, bias, offset, mask)
    if not with_bias:
        bias = input.new_zeros(len(weight))
    offset, mask = (_as_mmcv_reads(x, output) for x in (offset, mask))
    output.copy_(
        torch.ops.torchvision.deform_conv2d(input, weight, offset, mask, bias,
                                            stride_h, stride_w, pad_h, pad_w,
                                            dilation_h, dilation_w, group,
                                            deformable_group, True))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor,
                                   ones: Tensor, offset: Tensor, mask: Tensor,
                                   columns: Tensor, grad_input: Tensor,
                                   grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor,
                                   grad_output: Tensor, kernel_h: int,
                                   kernel_w: int, stride_h: int, stride_w: int,
                                   pad_h: int, pad_w: int, dilation_h: int,
                                   dilation_w: int, group: int,
                                   deformable_group: int,
                                   with_bias: bool) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`."""
    input, weight, bias, offset, mask, grad_output = _at_least_float32(
        input, weight, bias, offset, mask, grad_output)
    if not with_bias:
        bias = input.new_zeros(len(weight))
    offset, mask = (_as_mmcv_reads(x, grad_output) for x in (offset, mask))
    grads = torch.ops.torchvision._deform_conv2d_backward(
        grad_output, input, weight, offset, mask, bias, stride_h, stride_w,
        pad_h, pad_w, dilation_h, dilation_w, group, deformable_group, True)
    for target, grad in zip((grad_input, grad_weight), grads):
        target.copy_(grad)
    for target, grad in zip((grad_offset, grad_mask), grads[2:]):
        # zeros where mmcv reads nothing
        flat = torch.zeros_like(target).flatten(1)
        flat[:, :grad[0].numel()] = grad.flatten(1)
        target.copy_(flat.view(target.shape))
    if with_bias:
        grad_bias.copy_(grads[4])


def _as_mmcv_reads(values: Tensor, output: Tensor) -> Tensor:
    """Offsets or masks, (N, C, h, w), one for each cell of the output.

    mmcv goes through each image's as if they lay in memory in the output's
    size. DyHead has more of them than that, for a level of half their size;
    torchvision would refuse.
    """
    if values.shape[-2:] == output.shape[-2:]:
        return values
    cells = output.size(2) * output.size(3)
    return values.flatten(1)[:, :values.size(1) * cells].view(
        *values.shape[:2], *output.shape[-2:])


# ---------------------------------------- convolution of some cells alone
def masked_im2col_forward(features: Tensor, mask_h_idx: Tensor,
                          mask_w_idx: Tensor, data_col: Tensor, kernel_h: int,
                          kernel_w: int, pad_h: int, pad_w: int) -> None:
    """Patches around the named cells of one image, (C * kernel, cells)."""
    patches = F.unfold(features, (kernel_h, kernel_w), padding=(pad_h, pad_w))
    across = features.size(3) + 2 * pad_w - kernel_w + 1
    data_col.copy_(patches[0, :, mask_h_idx * across + mask_w_idx])


def masked_col2im_forward(masked_output: Tensor, mask_h_idx: Tensor,
                          mask_w_idx: Tensor, output: Tensor, height: int,
                          width: int, channels: int) -> None:
    """Put (C, cells) where the cells are, in (1, C, height, width)."""
    output[0, :, mask_h_idx, mask_w_idx] = masked_output.to(output)


# ----------------------------------------------------------------- CARAFE
def carafe_forward(features: Tensor, masks: Tensor, rfeatures: Tensor,
                   routput: Tensor, rmasks: Tensor, output: Tensor,
                   kernel_size: int, group_size: int,
                   scale_factor: int) -> None:
    """Reassembly of features (arXiv 1905.02188): upsampling by masks.

    Args:
        features (Tensor): (N, C, H, W).
        masks (Tensor): (N, groups * kernel ** 2, scale * H, scale * W).
        rfeatures (Tensor): Kept for the backward pass; as ``features``.
        routput (Tensor): Scratch, unused, as ``rmasks``.
        rmasks (Tensor): See ``routput``.
        output (Tensor): (N, C, scale * H, scale * W), filled.
        kernel_size (int): Side of the patch that is summed.
        group_size (int): Groups of channels, each with its own masks.
        scale_factor (int): Cells of the output per cell and axis.
    """
    rfeatures.copy_(features)
    output.copy_(
        _carafe(*_at_least_float32(features, masks), kernel_size, group_size,
                scale_factor))


def carafe_backward(grad_output: Tensor, rfeatures: Tensor, masks: Tensor,
                    rgrad_output: Tensor, rgrad_input_hs: Tensor,
                    rgrad_input: Tensor, rgrad_masks: Tensor,
                    grad_input: Tensor, grad_masks: Tensor, kernel_size: int,
                    group_size: int, scale_factor: int) -> None:
    """Gradients of :func:`carafe_forward` for features and masks."""
    inputs = [
        x.detach().requires_grad_()
        for x in _at_least_float32(rfeatures, masks)
    ]
    with torch.enable_grad():
        output = _carafe(*inputs, kernel_size, group_size, scale_factor)
    for target, grad in zip((grad_input, grad_masks),
                            torch.autograd.grad(output, inputs,
                                                grad_output.to(output))):
        target.copy_(grad)


def _carafe(features, masks, kernel_size, group_size, scale_factor):
    n, c, h, w = features.shape
    cells = (h, scale_factor, w, scale_factor)
    masks = masks.view(n, group_size, 1, kernel_size**2, *cells)
    padded = F.pad(features, [(kernel_size - 1) // 2] * 4)
    output = features.new_zeros(n, group_size, c // group_size, *cells)
    # one cell of the patch at a time: all at once would take kernel ** 2
    # times the memory
    for k in range(kernel_size**2):
        y, x = divmod(k, kernel_size)
        shifted = padded[:, :, y:y + h,
                         x:x + w].reshape(n, group_size, c // group_size, h, 1,
                                          w, 1)
        output = output + shifted * masks[:, :, :, k]
    return output.view(n, c, h * scale_factor, w * scale_factor)


# ----------------------------------------------------------- the stand-in
def get_compiler_version() -> str:
    """What environment reports print as mmcv's compiler."""
    return 'none (operators served by torchvision)'


def get_compiling_cuda_version() -> str:
    """What environment reports print as the CUDA mmcv was compiled with."""
    return 'none (operators served by torchvision)'


SERVED = (nms, softnms, nms_match, roi_align_forward, roi_align_backward,
          roi_pool_forward, roi_pool_backward, sigmoid_focal_loss_forward,
          sigmoid_focal_loss_backward, deform_conv_forward,
          deform_conv_backward_input, deform_conv_backward_parameters,
          modulated_deform_conv_forward, modulated_deform_conv_backward,
          masked_im2col_forward, masked_col2im_forward, carafe_forward,
          carafe_backward, get_compiler_version, get_compiling_cuda_version)


def unavailable(name: str) -> NoReturn:
    """Say of an operator why it is missing, and how to get it."""
    raise NotImplementedError(
        f'mmcv operator "{name}" is not available: this mmcv has no compiled '
        'operators, and torchvision has no equivalent kernel that mmreviewkd '
        f'could serve in its place. To use it, {_HOW_TO}.')
