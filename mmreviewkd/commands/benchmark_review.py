"""Time and peak memory of the review, compared with its formula and its convolutions.

Measures forward plus backward of

- ``textbook``: the formula as it is written in the paper (``textbook.py``), with all
  gradients left to autograd;
- ``convolutions``: nothing but the review's own convolutions, 1x1 and then 3x3 at each
  level, with the gradients of inputs and weights: what arithmetic alone costs;
- ``mmreviewkd``: ``Review.loss``, and with ``--compile`` the same in torch.compile.

Times are medians of interleaved runs. Peak memory is what torch allocates during a
step at most; mmreviewkd/commands/measuring.py describes how it is measured.

Examples:
    mmreviewkd benchmark review
    mmreviewkd benchmark review --device cuda --amp --compile
    mmreviewkd benchmark review --shapes 32x32 16x16 8x8 1x1 --batch 64 \\
        --channels 16 32 64 64
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserInputError
from ..methods import Review
from . import textbook
from .measuring import (
    Step,
    add_step_arguments,
    check_arguments,
    compile_seconds,
    half_precision,
    machine,
    median_seconds,
    peak_memory,
    read_size,
    show,
    write_json,
)

# features at strides 4 to 64 of an 800x1344 image, or of 400x672 on the CPU
CUDA_SHAPES = ['200x336', '100x168', '50x84', '25x42', '13x21']
CPU_SHAPES = ['100x168', '50x84', '25x42', '13x21', '7x11']
LAYOUTS = {
    'convolutions': torch.contiguous_format,
    'convolutions, channels_last': torch.channels_last,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_step_arguments(parser)
    parser.add_argument(
        '--shapes',
        nargs='+',
        help='HEIGHTxWIDTH of each level, shallow to deep '
        f'(CUDA: {" ".join(CUDA_SHAPES)}; CPU: {" ".join(CPU_SHAPES)})',
    )
    parser.add_argument('--batch', type=int, help='images per batch (CUDA: 2; CPU: 1)')
    parser.add_argument(
        '--channels',
        type=int,
        nargs='+',
        default=[256],
        help="of the student's levels: one number, or one for each level",
    )
    parser.add_argument(
        '--out-channels',
        type=int,
        nargs='+',
        help="of the teacher's levels, if they differ from the student's",
    )


def run(args: argparse.Namespace) -> None:
    read_arguments(args)
    steps, losses, clear = build_steps(args)
    result: dict[str, Any] = dict(
        benchmark='review',
        machine=machine(args.device),
        settings={
            key: getattr(args, key)
            for key in ('shapes', 'batch', 'channels', 'out_channels', 'amp', 'repeats')
        },
    )
    if args.compile:
        result['compile_seconds'] = compile_seconds(
            steps['compiled'], args.device, clear
        )
    result['seconds'] = median_seconds(steps, args.repeats, args.device, clear)
    result['peak_bytes'] = {
        name: peak_memory(step, args.device, clear) for name, step in steps.items()
    }
    result['losses'] = {name: loss.item() for name, loss in losses.items()}
    report(result)
    write_json(args.json, result)
    # after the figures, so that they can be looked at
    expected = result['losses']['textbook']
    for loss in result['losses'].values():
        if not abs(loss / expected - 1) < (1e-2 if args.amp else 1e-4):
            sys.exit('the losses do not agree')


def read_arguments(args: argparse.Namespace) -> None:
    """Fill in what depends on the device, and refuse what cannot be measured.

    Raises:
        UserInputError: A value cannot be measured; the message names the flag.
    """
    check_arguments(args, 'batch', 'channels', 'out_channels', 'repeats')
    on_cuda = args.device.startswith('cuda')
    args.shapes = args.shapes or (CUDA_SHAPES if on_cuda else CPU_SHAPES)
    args.sizes = [read_size('shapes', shape) for shape in args.shapes]
    args.batch = args.batch or (2 if on_cuda else 1)
    args.out_channels = args.out_channels or args.channels
    for name in ('channels', 'out_channels'):
        channels, levels = getattr(args, name), len(args.sizes)
        if len(channels) not in (1, levels):
            raise UserInputError(
                f'--{name.replace("_", "-")} {" ".join(map(str, channels))}: must be '
                f'one number, or {levels}, one for each of the shapes'
            )
        setattr(args, name, channels * (levels // len(channels)))


def build_steps(
    args: argparse.Namespace,
) -> tuple[dict[str, Step], dict[str, Tensor], Step]:
    """Build each row's forward and backward pass, on the same tensors.

    Returns:
        tuple: The steps; the loss of each, once it has run; and what clears gradients.
    """
    torch.manual_seed(0)
    device = torch.device(args.device)
    review = Review(args.channels, args.out_channels).to(device)
    features, targets = (
        [
            torch.randn(args.batch, width, *size, device=device)
            for width, size in zip(channels, args.sizes)
        ]
        for channels in (args.channels, args.out_channels)
    )
    features = [feature.requires_grad_() for feature in features]
    params = dict([*review.named_parameters(), *review.named_buffers()])
    weights = [
        (abf.reduce.conv.weight.detach(), abf.output.conv.weight.detach())
        for abf in review.levels
    ]
    losses: dict[str, Tensor] = {}

    def textbook_loss() -> Tensor:
        reviewed = textbook.review(params, features, args.sizes)
        distances = map(textbook.hcl, reviewed, targets)
        return sum(distances, torch.zeros((), device=device))

    def review_loss() -> Tensor:
        return review.loss(features, targets).sum()

    def step(name: str, compute_loss: Step) -> None:
        with torch.autocast(device.type, half_precision(args.device), args.amp):
            loss = compute_loss()
        loss.backward()
        losses[name] = loss.detach()

    def clear() -> None:
        for tensor in (*review.parameters(), *features):
            tensor.grad = None

    steps: dict[str, Step] = dict(
        textbook=partial(step, 'textbook', textbook_loss),
        **{
            name: build_convolutions(args, features, weights, targets, layout)
            for name, layout in LAYOUTS.items()
        },
        mmreviewkd=partial(step, 'mmreviewkd', review_loss),
    )
    if args.compile:
        steps['compiled'] = partial(step, 'compiled', torch.compile(review_loss))
    return steps, losses, clear


def build_convolutions(
    args: argparse.Namespace,
    features: Sequence[Tensor],
    weights: Sequence[tuple[Tensor, Tensor]],
    gradients: Sequence[Tensor],
    layout: torch.memory_format,
) -> Step:
    """Build the forward and backward pass of the convolutions alone.

    Args:
        args (Namespace): The parsed arguments.
        features (Sequence[Tensor]): Inputs of the 1x1 convolutions, (N, C_i, H_i, W_i).
        weights (Sequence[tuple[Tensor, Tensor]]): Weights of the 1x1 and of the 3x3
            convolution of each level.
        gradients (Sequence[Tensor]): Gradients of the outputs, (N, C, H_i, W_i).
        layout (torch.memory_format): Memory format of all tensors.
    """

    def copies(tensors: Sequence[Tensor], grad: bool) -> list[Tensor]:
        return [
            tensor.detach().clone(memory_format=layout).requires_grad_(grad)
            for tensor in tensors
        ]

    inputs, gradients = copies(features, True), copies(gradients, False)
    reduces, outputs = (copies(each, True) for each in zip(*weights))
    trained = [*inputs, *reduces, *outputs]
    dtype = half_precision(args.device)

    def step() -> None:
        with torch.autocast(inputs[0].device.type, dtype, args.amp):
            maps = [
                F.conv2d(F.conv2d(x, reduce), output, padding=1)
                for x, reduce, output in zip(inputs, reduces, outputs)
            ]
        torch.autograd.grad(
            maps, trained, [g.to(y.dtype) for g, y in zip(gradients, maps)]
        )

    return step


def report(result: dict[str, Any]) -> None:
    """Print the table of the results."""
    settings, seconds, peaks = (
        result[key] for key in ('settings', 'seconds', 'peak_bytes')
    )
    reference, bound = seconds['textbook'], seconds['convolutions']
    rows = [
        {
            '': name,
            'time': f'{1000 * seconds[name]:.1f} ms',
            'to textbook': f'{seconds[name] / reference:.2f}x',
            'to convolutions': f'{seconds[name] / bound:.2f}x',
            'peak memory': f'{peaks[name] / 2**20:.1f} MiB',
            'to textbook ': f'{peaks[name] / peaks["textbook"]:.2f}x',
        }
        for name in seconds
    ]
    levels = ', '.join(
        f'{width}x{shape}' if width == out else f'{width}-{out}x{shape}'
        for width, out, shape in zip(
            settings['channels'], settings['out_channels'], settings['shapes']
        )
    )
    where = result['machine']
    losses = ', '.join(f'{name} {loss:.6f}' for name, loss in result['losses'].items())
    lines = [f'losses: {losses}']
    if 'compile_seconds' in result:
        lines.append(f'first run of compiled: {result["compile_seconds"]:.1f} s')
    show(
        f'{where["device"]}; torch {where["torch"]}; {settings["batch"]} x ({levels})'
        f'{"; mixed precision" if settings["amp"] else ""}; median of '
        f'{settings["repeats"]} forward and backward passes',
        rows,
        lines,
    )
