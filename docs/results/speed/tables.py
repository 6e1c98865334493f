#!/usr/bin/env python
"""Make the table and the plot of docs/speed.md from what measure.sh has measured.

It needs the package, installed or by PYTHONPATH.
"""

from pathlib import Path

from mmreviewkd.tables.markdown import markdown_table
from mmreviewkd.tables.page import find_place
from mmreviewkd.tables.plot import save_plot
from mmreviewkd.tables.speed import read_results

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / 'speed.md'
PLOT = HERE.parents[1] / 'images' / 'speed.svg'
MISSING = 'not run'
THREADS = {1: 'one thread', 2: 'two threads'}


def ratio(kind, name, *others):
    """What reads a ratio of a result, of ``kind`` seconds or peak_bytes."""

    def read(result):
        values = result[kind]
        return f'{values[name] / sum(values[other] for other in others):.2f}x'

    return read


def speed(name):
    return lambda result: f'{result["images_per_second"][name]:,.0f} images/s'


PEAK = ('peak_bytes', 'mmreviewkd', 'textbook')
TO_BOTH = ('seconds', 'distilled', 'student', 'teacher')
# what the table shows: the result's name, without threads, and what is read of it
ROWS = {
    'review, 256 channels, to the formula: time': (
        'review_256',
        ratio('seconds', 'mmreviewkd', 'textbook'),
    ),
    'review, 256 channels, to the formula: memory': ('review_256', ratio(*PEAK)),
    'review, 256 channels, to its convolutions': (
        'review_256',
        ratio('seconds', 'mmreviewkd', 'convolutions'),
    ),
    'review, 64 channels, to the formula: time': (
        'review_64',
        ratio('seconds', 'mmreviewkd', 'textbook'),
    ),
    'review, 64 channels, to the formula: memory': ('review_64', ratio(*PEAK)),
    'review, 64 channels, to its convolutions': (
        'review_64',
        ratio('seconds', 'mmreviewkd', 'convolutions'),
    ),
    'review, CIFAR, to the formula: time': (
        'review_cifar',
        ratio('seconds', 'mmreviewkd', 'textbook'),
    ),
    'review, CIFAR, to its convolutions': (
        'review_cifar',
        ratio('seconds', 'mmreviewkd', 'convolutions'),
    ),
    'review, CIFAR, compiled, to its convolutions': (
        'review_cifar_compiled',
        ratio('seconds', 'compiled', 'convolutions'),
    ),
    'step, CIFAR, to student + teacher': ('step_cifar', ratio(*TO_BOTH)),
    'step, Faster R-CNN, to student + teacher': ('step_r50', ratio(*TO_BOTH)),
    'the same with bfloat16 for teacher and review': (
        'step_r50_bfloat16',
        ratio(*TO_BOTH),
    ),
    'step, Faster R-CNN, to the student: time': (
        'step_r50',
        ratio('seconds', 'distilled', 'student'),
    ),
    'step, Faster R-CNN, to the student: memory': (
        'step_r50',
        ratio('peak_bytes', 'distilled', 'student'),
    ),
    'loading of CIFAR, a batch at a time': ('loading', speed('per batch')),
    'loading of CIFAR, image by image': ('loading', speed('per image, 0 workers')),
    'loading of CIFAR, image by image, two workers': (
        'loading',
        speed('per image, 2 workers'),
    ),
}


def table(results):
    """The table of the page; what is not measured is marked."""
    measured_once = {'review_cifar_compiled', 'loading'}  # with two threads
    rows = []
    for title, (name, read) in ROWS.items():
        row = {'': title}
        for threads, column in THREADS.items():
            result = results.get(f'{name}_{threads}')
            unknown = '' if name in measured_once and threads == 1 else MISSING
            row[column] = read(result) if result else unknown
        rows.append(row)
    return markdown_table(rows)


def series(results, prefix, label):
    """Labels, and the results whose names start with a prefix, small ones first."""

    def cells(result):
        settings = result['settings']
        height, width = map(int, settings['size'].split('x'))
        return settings['batch'], height * width, len(settings['levels'])

    found = [each for name, each in results.items() if name.startswith(f'{prefix}_')]
    found.sort(key=cells)
    return [label(result['settings']) for result in found], found


def plot(results):
    """How time and memory of a step grow; None if nothing is measured."""
    panels = {
        'image size (1 image)': ('size', lambda settings: settings['size']),
        'images of 240x320': ('batch', lambda settings: str(settings['batch'])),
        'levels in the review (480x640)': (
            'levels',
            lambda settings: str(len(settings['levels'])),
        ),
    }
    shown = {
        title: series(results, prefix, label)
        for title, (prefix, label) in panels.items()
    }
    if not all(found for _, found in shown.values()):
        return None
    figure = Figure(figsize=(10, 5), layout='constrained')
    FigureCanvasAgg(figure)
    times, memories = figure.subplots(2, 3, sharey='row')
    for column, (title, (labels, found)) in enumerate(shown.items()):
        for name in ('distilled', 'student', 'teacher'):
            values = [result['seconds'][name] for result in found]
            times[column].plot(labels, values, marker='o', label=name)
            if name in found[0]['peak_bytes']:
                peaks = [result['peak_bytes'][name] / 2**20 for result in found]
                memories[column].plot(labels, peaks, marker='o')
        memories[column].set_xlabel(title)
    for axes in (*times, *memories):
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
    times[0].set_ylabel('seconds per step')
    memories[0].set_ylabel('peak memory (MiB)')
    times[0].legend(frameon=False)
    return figure


def main():
    results = read_results(HERE)
    find_place(str(PAGE), 'speed').write(table(results))
    figure = plot(results)
    if figure:
        save_plot(figure, str(PLOT))


if __name__ == '__main__':
    main()
