"""Time and peak memory of the review, against the formula as it is written.

Compares forward plus backward of ``Review.loss`` with ``tests/textbook.py``,
which computes the same losses step by step and leaves gradients to autograd.

Time: medians of interleaved runs (A B A B ...) in this process.

Peak memory: what one step adds to the memory in use before it, gradients and
scratch space of the kernels included. On CUDA, torch's own count of allocated
bytes. On the CPU the operating system's: the high-water mark of the resident
memory (``VmHWM`` in ``/proc/self/status``, so on Linux only) of a fresh process
for each variant, less the resident memory just before the step; a step on tiny
features comes first, so that libraries are loaded and threads started.

Examples:
    python tools/benchmark_review.py
    python tools/benchmark_review.py --device cuda --amp
    python tools/benchmark_review.py --shapes 50x84 25x42 13x21 --channels 64
"""
import argparse
import multiprocessing
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mmreviewkd.models import Review  # noqa: E402
from tests import textbook  # noqa: E402

VARIANTS = ('textbook', 'mmreviewkd')
# an image of 800x1344 on CUDA, of 400x672 elsewhere, at strides 4 to 64
CUDA_SHAPES = ['200x336', '100x168', '50x84', '25x42', '13x21']
CPU_SHAPES = ['100x168', '50x84', '25x42', '13x21', '7x11']


def parse_args():
    parser = argparse.ArgumentParser(
        description='Time and peak memory of the review')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda')
    parser.add_argument(
        '--shapes',
        nargs='+',
        help='HEIGHTxWIDTH of each level, shallow to deep '
        f'(CUDA: {" ".join(CUDA_SHAPES)}; CPU: {" ".join(CPU_SHAPES)})')
    parser.add_argument(
        '--batch', type=int, help='images per batch (CUDA: 2; CPU: 1)')
    parser.add_argument(
        '--channels', type=int, default=256, help='of student and teacher')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on CUDA, bfloat16 on the CPU')
    parser.add_argument(
        '--repeats', type=int, default=7, help='timed runs of each variant')
    args = parser.parse_args()
    on_cuda = args.device.startswith('cuda')
    args.shapes = args.shapes or (CUDA_SHAPES if on_cuda else CPU_SHAPES)
    args.batch = args.batch or (2 if on_cuda else 1)
    return args


def build_steps(args, shapes):
    """Each variant's forward and backward pass, on the same tensors."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    sizes = [tuple(map(int, shape.split('x'))) for shape in shapes]
    review = Review([args.channels] * len(sizes),
                    [args.channels] * len(sizes)).to(device)
    features, targets = ([
        torch.randn(args.batch, args.channels, *size, device=device)
        for size in sizes
    ] for _ in range(2))
    features = [feature.requires_grad_() for feature in features]
    params = dict([*review.named_parameters(), *review.named_buffers()])

    def textbook_loss():
        reviewed = textbook.review(params, features, sizes)
        return sum(map(textbook.hcl, reviewed, targets))

    def step(compute_loss):
        amp_dtype = torch.float16 if device.type == 'cuda' else torch.bfloat16
        with torch.autocast(device.type, amp_dtype, enabled=args.amp):
            loss = compute_loss()
        loss.backward()
        return loss.detach()

    def clear():
        for tensor in (*review.parameters(), *features):
            tensor.grad = None

    losses = dict(
        textbook=textbook_loss,
        mmreviewkd=lambda: review.loss(features, targets).sum())
    return {name: partial(step, loss) for name, loss in losses.items()}, clear


def measure_time(args):
    """Median seconds and loss of each variant."""
    steps, clear = build_steps(args, args.shapes)
    on_cuda = args.device.startswith('cuda')
    seconds, losses = {name: [] for name in VARIANTS}, {}
    for repeat in range(args.repeats + 2):  # two to warm up
        for name in VARIANTS:
            clear()
            if on_cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            losses[name] = steps[name]()
            if on_cuda:
                torch.cuda.synchronize()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[name])
            for name in VARIANTS}, losses


def measure_memory(args, name):
    """Peak bytes that one step adds; to be run in a fresh process."""
    warm_up, _ = build_steps(args, ['8x8', '4x4'])
    warm_up[name]()
    steps, clear = build_steps(args, args.shapes)
    if args.device.startswith('cuda'):
        steps[name]()  # cuDNN chooses its kernels on the first step
        clear()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        steps[name]()
        return torch.cuda.max_memory_allocated() - before
    before = resident_memory()['VmRSS']
    steps[name]()
    return resident_memory()['VmHWM'] - before


def resident_memory():
    """Bytes now (VmRSS) and at most so far (VmHWM)."""
    with open('/proc/self/status') as file:
        lines = [line.split() for line in file if line.startswith('Vm')]
    return {name.rstrip(':'): int(kilobytes) * 1024
            for name, kilobytes, _ in lines}


def main():
    args = parse_args()
    memory = {}
    if args.device.startswith('cuda') or sys.platform == 'linux':
        with multiprocessing.get_context('spawn').Pool(
                1, maxtasksperchild=1) as pool:
            for name in VARIANTS:
                memory[name] = pool.apply(measure_memory, (args, name))
    seconds, losses = measure_time(args)

    device = torch.cuda.get_device_name(
    ) if args.device.startswith('cuda') else (
        f'CPU, {torch.get_num_threads()} threads')
    print(f'{device}; torch {torch.__version__}; {args.batch} x '
          f'{args.channels} x ({", ".join(args.shapes)})'
          f'{", mixed precision" if args.amp else ""}; median of '
          f'{args.repeats} forward and backward passes')
    print(f'{"":12}{"time":>12}{"peak memory":>16}')
    for name in VARIANTS:
        megabytes = f'{memory[name] / 2**20:.1f} MiB' if memory else 'unknown'
        print(f'{name:12}{seconds[name] * 1000:>9.1f} ms{megabytes:>16}')
    reference, ours = VARIANTS
    ratio = (f'{memory[ours] / memory[reference]:.2f}x'
             if memory else 'unknown')
    print(f'{"ratio":12}{seconds[ours] / seconds[reference]:>11.2f}x'
          f'{ratio:>16}')

    difference = abs(losses[ours] / losses[reference] - 1).item()
    print(f'losses: {losses[reference].item():.6f} and '
          f'{losses[ours].item():.6f}, relative difference {difference:.1e}')
    if not difference < (1e-2 if args.amp else 1e-4):
        sys.exit('the two losses do not agree')


if __name__ == '__main__':
    main()
