"""Time and peak memory of the review, compared with the formula as it is written.

Compares forward plus backward of ``Review.loss`` with ``textbook.py``,
which computes the same losses step by step and leaves gradients to autograd.

Time: medians of interleaved runs (A B A B ...) in this process.

Peak memory: the maximum that torch has allocated at any time during one step,
beyond what it held before. Outputs, gradients and all kept or temporary tensors
count; scratch space inside kernels does not. On CUDA this is
``torch.cuda.max_memory_allocated``; on the CPU it is the highest running sum of
the allocations and releases that ``torch.profiler`` records.

Examples:
    mmreviewkd benchmark
    mmreviewkd benchmark --device cuda --amp
    mmreviewkd benchmark --shapes 50x84 25x42 13x21 --channels 64
"""

import argparse
import json
import os.path as osp
import re
import statistics
import sys
import tempfile
import time
from functools import partial
from itertools import accumulate
from typing import Callable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ..errors import UserInputError
from ..methods import Review
from . import textbook

Step = Callable[[], Tensor]
Clear = Callable[[], None]

VARIANTS = ('textbook', 'mmreviewkd')
# features at strides 4 to 64 of an 800x1344 image, or of 400x672 on the CPU
CUDA_SHAPES = ['200x336', '100x168', '50x84', '25x42', '13x21']
CPU_SHAPES = ['100x168', '50x84', '25x42', '13x21', '7x11']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda',
    )
    parser.add_argument(
        '--shapes',
        nargs='+',
        help='HEIGHTxWIDTH of each level, shallow to deep '
        f'(CUDA: {" ".join(CUDA_SHAPES)}; CPU: {" ".join(CPU_SHAPES)})',
    )
    parser.add_argument('--batch', type=int, help='images per batch (CUDA: 2; CPU: 1)')
    parser.add_argument(
        '--channels', type=int, default=256, help='of student and teacher'
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on CUDA, bfloat16 on the CPU',
    )
    parser.add_argument(
        '--repeats', type=int, default=7, help='timed runs of each variant'
    )


def check(args: argparse.Namespace) -> None:
    """Refuse flags with values that cannot be measured.

    Raises:
        UserInputError: A value cannot be measured; the message names the flag.
    """
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise UserInputError(f'--device {args.device}: torch sees no GPU')
    for name in ('batch', 'channels', 'repeats'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserInputError(f'--{name} {value}: must be at least 1')
    for shape in args.shapes or ():
        if not re.fullmatch('[1-9][0-9]*x[1-9][0-9]*', shape):
            raise UserInputError(f'--shapes {shape}: must be HEIGHTxWIDTH, as 25x42')


def run(args: argparse.Namespace) -> None:
    check(args)
    args.on_cuda = args.device.startswith('cuda')
    args.shapes = args.shapes or (CUDA_SHAPES if args.on_cuda else CPU_SHAPES)
    args.batch = args.batch or (2 if args.on_cuda else 1)
    steps, clear = build_steps(args)
    seconds, losses = measure_time(args, steps, clear)
    memory = {name: measure_memory(args, steps[name], clear) for name in VARIANTS}

    device = (
        torch.cuda.get_device_name(args.device)
        if args.on_cuda
        else f'CPU, {torch.get_num_threads()} threads'
    )
    print(
        f'{device}; torch {torch.__version__}; {args.batch} x '
        f'{args.channels} x ({", ".join(args.shapes)})'
        f'{", mixed precision" if args.amp else ""}; median of '
        f'{args.repeats} forward and backward passes'
    )
    print(f'{"":12}{"time":>14}{"peak memory":>16}')
    for name in VARIANTS:
        print(
            f'{name:12}{seconds[name] * 1000:>11.1f} ms'
            f'{memory[name] / 2**20:>12.1f} MiB'
        )
    reference, ours = VARIANTS
    print(
        f'{"ratio":12}{seconds[ours] / seconds[reference]:>13.2f}x'
        f'{memory[ours] / memory[reference]:>15.2f}x'
    )

    difference = abs(losses[ours] / losses[reference] - 1).item()
    print(
        f'losses: {losses[reference].item():.6f} and '
        f'{losses[ours].item():.6f}, relative difference {difference:.1e}'
    )
    if not difference < (1e-2 if args.amp else 1e-4):
        sys.exit('the two losses do not agree')


def build_steps(args: argparse.Namespace) -> tuple[dict[str, Step], Clear]:
    """Build each variant's forward and backward pass, on the same tensors."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    sizes = [tuple(map(int, shape.split('x'))) for shape in args.shapes]
    review = Review([args.channels] * len(sizes), [args.channels] * len(sizes)).to(
        device
    )
    features, targets = (
        [torch.randn(args.batch, args.channels, *size, device=device) for size in sizes]
        for _ in range(2)
    )
    features = [feature.requires_grad_() for feature in features]
    params = dict([*review.named_parameters(), *review.named_buffers()])

    def textbook_loss() -> Tensor:
        reviewed = textbook.review(params, features, sizes)
        losses = map(textbook.hcl, reviewed, targets)
        return sum(losses, torch.zeros((), device=device))

    def step(compute_loss: Step) -> Tensor:
        amp_dtype = torch.float16 if device.type == 'cuda' else torch.bfloat16
        with torch.autocast(device.type, amp_dtype, enabled=args.amp):
            loss = compute_loss()
        loss.backward()
        return loss.detach()

    def clear() -> None:
        for tensor in (*review.parameters(), *features):
            tensor.grad = None

    losses = dict(
        textbook=textbook_loss, mmreviewkd=lambda: review.loss(features, targets).sum()
    )
    return {name: partial(step, loss) for name, loss in losses.items()}, clear


def measure_time(
    args: argparse.Namespace, steps: dict[str, Step], clear: Clear
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Measure each variant's median time in seconds, and its loss."""
    wait = torch.cuda.synchronize if args.on_cuda else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    losses: dict[str, Tensor] = {}
    for repeat in range(args.repeats + 2):  # the first two are warm-up
        for name in VARIANTS:
            clear()
            wait()
            start = time.perf_counter()
            losses[name] = steps[name]()
            wait()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds[name]) for name in VARIANTS}
    return medians, losses


def measure_memory(args: argparse.Namespace, step: Step, clear: Clear) -> int:
    """Measure the peak bytes that one step allocates beyond those already in use."""
    clear()
    if args.on_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'trace.json')
        profiler.export_chrome_trace(path)
        with open(path) as file:
            events = json.load(file)['traceEvents']
    changes = sorted(
        (event['ts'], event['args']['Bytes'])
        for event in events
        if event.get('name') == '[memory]'
    )
    return max(accumulate(change for _, change in changes))
