#!/usr/bin/env python
"""Show where the time of the review goes, by operator.

    OMP_NUM_THREADS=1 python docs/results/speed/profile_review.py

takes the flags of mmreviewkd benchmark review. It needs the package, installed or by
PYTHONPATH; docs/results/speed/profile_review.txt is what it printed.
"""

import argparse

from mmreviewkd.commands import benchmark_review
from mmreviewkd.engine.one_line_errors import one_line_errors

from torch.profiler import ProfilerActivity, profile

STEPS = 3


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmark_review.add_arguments(parser)
    args = parser.parse_args()
    benchmark_review.read_arguments(args)
    steps, _, clear = benchmark_review.build_steps(args)
    for _ in range(2):
        steps['mmreviewkd']()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            clear()
            steps['mmreviewkd']()
    # torch counts microseconds
    seconds = {
        event.key: event.self_cpu_time_total / STEPS / 1e6
        for event in profiler.key_averages()
    }
    total = sum(seconds.values())
    print(f'{total:.2f} s a step')
    for name in sorted(seconds, key=lambda name: -seconds[name])[:12]:
        share = 100 * seconds[name] / total
        print(f'{name:40s} {seconds[name]:8.3f} s {share:5.1f} %')


if __name__ == '__main__':
    with one_line_errors():
        main()
