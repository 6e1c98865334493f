"""Time and peak memory of steps that are compared with each other.

Time: medians of interleaved runs (A B C A B C ...) in this process. On CUDA the device
has finished before a clock is started or stopped.

Peak memory: the maximum that torch has allocated at any time during one step,
beyond what it held before. Outputs, gradients and all kept or temporary tensors
count; scratch space inside kernels does not. On CUDA this is
``torch.cuda.max_memory_allocated``; on the CPU it is the highest running sum of
the allocations and releases that ``torch.profiler`` records.
"""

import argparse
import json
import os.path as osp
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import median
from typing import Any, Callable, Optional

import torch
from torch.profiler import ProfilerActivity, profile

from ..errors import UserInputError
from ..tables.markdown import markdown_table
from ..version import __version__
from .arguments import add_path

Step = Callable[[], Any]


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the flags ``--device`` and ``--json``, which all benchmarks have."""
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu, cuda or cuda:N',
    )
    add_path(parser, '--json', metavar='FILE', help='also write the results here')


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of benchmarks that measure forward and backward passes."""
    add_device(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on CUDA, bfloat16 on the CPU',
    )
    parser.add_argument(
        '--compile', action='store_true', help='also measure it with torch.compile'
    )
    parser.add_argument(
        '--repeats', type=int, default=7, help='timed runs of each row of the table'
    )


def check_arguments(args: argparse.Namespace, *counts: str) -> None:
    """Refuse a device that is not there, and counts below 1.

    Args:
        args (Namespace): The parsed arguments.
        counts (str): Names of the arguments that are a count or a list of counts.

    Raises:
        UserInputError: A value cannot be used; the message names the flag.
    """
    name, number = args.device, args.device.rpartition(':')[2]
    if not re.fullmatch('cpu|cuda|cuda:[0-9]+', name):
        raise UserInputError(f'--device {name}: must be cpu, cuda or cuda:N')
    if name != 'cpu':
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not gpus or (number.isdecimal() and int(number) >= gpus):
            sees = f'{gpus} of them' if gpus else 'no GPU'
            raise UserInputError(f'--device {name}: torch sees {sees}')
        torch.cuda.set_device(torch.device(name).index or 0)
    for flag in counts:
        values = getattr(args, flag)
        for value in values if isinstance(values, list) else [values]:
            if value is not None and value < 1:
                flag = flag.replace('_', '-')
                raise UserInputError(f'--{flag} {value}: must be at least 1')


def read_size(flag: str, value: str) -> tuple[int, int]:
    """Read a size such as ``'25x42'``.

    Raises:
        UserInputError: The text is no size; the message names the flag.
    """
    if not re.fullmatch('[1-9][0-9]*x[1-9][0-9]*', value):
        raise UserInputError(f'--{flag} {value}: must be HEIGHTxWIDTH, as 25x42')
    height, width = map(int, value.split('x'))
    return height, width


def half_precision(device: str) -> torch.dtype:
    """Return the dtype of mixed precision on a device."""
    return torch.float16 if device.startswith('cuda') else torch.bfloat16


def machine(device: str) -> dict[str, str]:
    """Return the names of the device and of the versions that were measured."""
    name = (
        torch.cuda.get_device_name(device)
        if device.startswith('cuda')
        else f'CPU, {torch.get_num_threads()} threads'
    )
    return dict(device=name, torch=torch.__version__, mmreviewkd=__version__)


def seconds_of(step: Step, device: str) -> float:
    """Measure the time of one step."""
    wait = torch.cuda.synchronize if device.startswith('cuda') else lambda: None
    wait()
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def median_seconds(
    steps: Mapping[str, Step],
    repeats: int,
    device: str,
    prepare: Optional[Step] = None,
    warm_up: int = 2,
) -> dict[str, float]:
    """Measure the median time of each step, one run of each in turn.

    Args:
        steps (Mapping[str, Callable]): The steps by name.
        repeats (int): Timed runs of each.
        device (str): The device that they run on.
        prepare (Callable, optional): Called before each run, which is not timed.
        warm_up (int): Runs of each that are not timed, before the others.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(-warm_up, repeats):
        for name, step in steps.items():
            if prepare:
                prepare()
            taken = seconds_of(step, device)
            if repeat >= 0:
                seconds[name].append(taken)
    return {name: median(values) for name, values in seconds.items()}


def compile_seconds(step: Step, device: str, prepare: Optional[Step] = None) -> float:
    """Measure the first run of a compiled step, in which it is compiled.

    Raises:
        UserInputError: torch cannot compile it here; the message has the reason.
    """
    if prepare:
        prepare()
    try:
        return seconds_of(step, device)
    except RuntimeError as error:
        if not type(error).__module__.startswith(('torch._dynamo', 'torch._inductor')):
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), '')
        raise UserInputError(f'--compile: {type(error).__name__}: {reason}') from error


def peak_memory(step: Step, device: str, prepare: Optional[Step] = None) -> int:
    """Measure the peak bytes that one step allocates beyond those already in use."""
    if prepare:
        prepare()
    if device.startswith('cuda'):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'trace.json')
        profiler.export_chrome_trace(path)
        with open(path, encoding='utf-8') as file:
            events = json.load(file)['traceEvents']
    changes = [event for event in events if event.get('name') == '[memory]']
    # those of one microsecond, which older versions of torch do not tell apart, are in
    # their order
    changes.sort(key=lambda event: event['ts'])
    return max(accumulate(event['args']['Bytes'] for event in changes), default=0)


def show(title: str, rows: Sequence[dict[str, str]], lines: Sequence[str] = ()) -> None:
    """Print the results: what was measured, a Markdown table, and lines below it."""
    print('\n\n'.join([title, markdown_table(rows), *lines]), flush=True)


def write_json(path: Optional[str], result: dict[str, Any]) -> None:
    """Write the results to the file of ``--json``, if there is one.

    Raises:
        UserInputError: The file cannot be written.
    """
    if path is None:
        return
    try:
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(result, file, indent=2)
            file.write('\n')
    except OSError as error:
        raise UserInputError(f'--json {path}: {error.strerror}') from None
