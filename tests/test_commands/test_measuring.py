"""What the benchmarks have in common: times, memory, devices and compilation."""

import argparse
import json
from pathlib import Path

from mmreviewkd.commands.measuring import (
    check_arguments,
    compile_seconds,
    median_seconds,
    peak_memory,
)
from mmreviewkd.errors import UserInputError

import pytest
import torch


def test_steps_run_in_turn_and_each_is_prepared():
    calls = []
    medians = median_seconds(
        dict(a=lambda: calls.append('a'), b=lambda: calls.append('b')),
        repeats=2,
        device='cpu',
        prepare=lambda: calls.append('-'),
        warm_up=1,
    )
    assert calls == ['-', 'a', '-', 'b'] * 3
    assert list(medians) == ['a', 'b'] and min(medians.values()) >= 0


def test_the_median_is_of_the_runs_after_the_warm_up(monkeypatch):
    # each run takes the next of these
    taken = iter([100.0, 1.0, 2.0, 9.0])
    clock = iter([])

    def now():
        nonlocal clock
        value = next(clock, None)
        if value is None:
            clock = iter([next(taken)])
            return 0.0
        return value

    monkeypatch.setattr('time.perf_counter', now)
    medians = median_seconds(dict(a=lambda: None), 3, 'cpu', warm_up=1)
    assert medians == dict(a=2.0)


def test_peak_memory_counts_what_is_freed_again():
    kept = []

    def step():
        for _ in range(3):  # one at a time
            torch.ones(1000, dtype=torch.float64) + 1
        kept.append(torch.ones(500, dtype=torch.float64))

    peak = peak_memory(step, 'cpu')
    assert 2 * 8000 <= peak < 3 * 8000
    assert len(kept) == 1
    assert peak_memory(lambda: None, 'cpu') == 0


def test_peak_memory_of_changes_at_one_time(monkeypatch):
    # two allocations and a release in one microsecond, then one that is before them
    changes = [(7, 100), (7, 50), (7, -100), (3, 10)]
    events = [
        dict(name='[memory]', ts=time, args=dict(Bytes=size)) for time, size in changes
    ]

    def export(profiler, path):
        Path(path).write_text(json.dumps(dict(traceEvents=events)))

    monkeypatch.setattr('torch.profiler.profile.export_chrome_trace', export)
    assert peak_memory(lambda: None, 'cpu') == 160


@pytest.mark.parametrize(
    'gpus, device, message',
    [
        (0, 'cuda', '--device cuda: torch sees no GPU'),
        (0, 'cuda:1', '--device cuda:1: torch sees no GPU'),
        (2, 'cuda:2', '--device cuda:2: torch sees 2 of them'),
        (2, 'cuda:-1', '--device cuda:-1: must be cpu, cuda or cuda:N'),
    ],
)
def test_devices_that_are_not_there(gpus, device, message, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpus > 0)
    monkeypatch.setattr('torch.cuda.device_count', lambda: gpus)
    with pytest.raises(UserInputError) as error:
        check_arguments(argparse.Namespace(device=device))
    assert str(error.value) == message


def test_code_that_cannot_be_compiled():
    torch._dynamo.reset()

    def step(x):
        torch._dynamo.graph_break()
        return x

    compiled = torch.compile(step, fullgraph=True, backend='eager')
    with pytest.raises(UserInputError, match='^--compile: Unsupported: .*') as error:
        compile_seconds(lambda: compiled(torch.ones(1)), 'cpu')
    assert '\n' not in str(error.value)

    def fail():
        raise RuntimeError('its own')

    with pytest.raises(RuntimeError, match='its own'):
        compile_seconds(fail, 'cpu')
