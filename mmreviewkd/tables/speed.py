"""Tables of many results of ``mmreviewkd benchmark``, a row for each."""

import json
from pathlib import Path
from typing import Any

from .markdown import markdown_table


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the files that ``--json`` wrote into a folder, by their names.

    Other JSON files are left out.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        content = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(content, dict) and 'benchmark' in content:
            results[path.stem] = content
    return results


def speed_tables(results: dict[str, dict[str, Any]]) -> str:
    """Format results as Markdown: a table for each kind of benchmark.

    Args:
        results (dict[str, dict]): Results by name, as :func:`read_results` returns
            them.
    """
    parts = []
    for kind, row, about in (
        ('review', _review_row, 'The review alone, forward and backward:'),
        ('step', _step_row, 'Whole training steps, in milliseconds:'),
        ('loading', _loading_row, 'Loading of CIFAR-sized images, images/s:'),
    ):
        rows = [
            dict({'': name}, **row(result), on=_device(result))
            for name, result in results.items()
            if result['benchmark'] == kind
        ]
        if rows:
            parts.append(f'{about}\n\n{markdown_table(rows)}')
    return '\n\n'.join(parts)


def _device(result: dict[str, Any]) -> str:
    return f'{result["machine"]["device"]}, torch {result["machine"]["torch"]}'


def _precision(settings: dict[str, Any]) -> str:
    return 'mixed' if settings['amp'] else 'float32'


def _review_row(result: dict[str, Any]) -> dict[str, str]:
    settings, seconds, peaks = (
        result[key] for key in ('settings', 'seconds', 'peak_bytes')
    )
    ours, textbook = seconds['mmreviewkd'], seconds['textbook']
    memory = peaks['mmreviewkd'] / peaks['textbook']
    compiled = seconds.get('compiled')
    widths = '/'.join(map(str, dict.fromkeys(settings['channels'])))
    return {
        'levels': f'{settings["batch"]} x {widths} x {settings["shapes"][0]} ...',
        'precision': _precision(settings),
        'ms': f'{1000 * ours:.1f}',
        'to textbook': f'{ours / textbook:.2f}x',
        'memory to textbook': f'{memory:.2f}x',
        'to convolutions': f'{ours / seconds["convolutions"]:.2f}x',
        'compiled': f'{compiled / ours:.2f}x' if compiled else '',
    }


def _step_row(result: dict[str, Any]) -> dict[str, str]:
    settings, seconds, peaks = (
        result[key] for key in ('settings', 'seconds', 'peak_bytes')
    )
    student, distilled = seconds['student'], seconds['distilled']
    compiled = seconds.get('distilled, compiled')
    return {
        'images': f'{settings["batch"]} x {settings["size"]}',
        'precision': _precision(settings),
        'student': f'{1000 * student:.0f}',
        'teacher': f'{1000 * seconds["teacher"]:.0f}',
        'distilled': f'{1000 * distilled:.0f}',
        'to student': f'{distilled / student:.2f}x',
        'to student + teacher': f'{distilled / (student + seconds["teacher"]):.2f}x',
        'memory to student': f'{peaks["distilled"] / peaks["student"]:.2f}x',
        'images/s': f'{settings["batch"] / distilled:.1f}',
        'compiled': f'{compiled / distilled:.2f}x' if compiled else '',
    }


def _loading_row(result: dict[str, Any]) -> dict[str, str]:
    speeds = result['images_per_second'].items()
    return {name: f'{speed:.0f}' for name, speed in speeds}
