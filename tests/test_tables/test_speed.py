"""One row for each result of a benchmark."""

import json

from mmreviewkd.tables.speed import read_results, speed_tables
from tests.support.markdown import read_table

MACHINE = dict(device='A GPU', torch='2.9', mmreviewkd='0.1.0')
REVIEW = dict(
    benchmark='review',
    machine=MACHINE,
    settings=dict(
        shapes=['8x8', '4x4'],
        batch=2,
        channels=[16, 32],
        out_channels=[16, 32],
        amp=False,
        repeats=7,
    ),
    seconds=dict(textbook=0.2, convolutions=0.08, mmreviewkd=0.1, compiled=0.05),
    peak_bytes=dict(textbook=2000, convolutions=500, mmreviewkd=1000, compiled=900),
)
STEP = dict(
    benchmark='step',
    machine=MACHINE,
    settings=dict(config='pair', batch=4, size='64x96', amp=True, repeats=7),
    seconds=dict(student=0.1, teacher=0.05, methods=0.02, distilled=0.18),
    peak_bytes=dict(student=1000, distilled=1100),
)
LOADING = dict(
    benchmark='loading', machine=MACHINE, images_per_second={'per batch': 76409.4}
)


def test_rows_have_the_ratios(tmp_path):
    for name, result in dict(b=REVIEW, a=STEP, c=LOADING, d=[1], e=dict(x=1)).items():
        (tmp_path / f'{name}.json').write_text(json.dumps(result))
    results = read_results(tmp_path)
    assert list(results) == ['a', 'b', 'c']
    text = speed_tables(results)
    review, step, loading = (read_table(part) for part in text.split(':\n')[1:])
    where = 'A GPU, torch 2.9'
    assert review['b'] == [
        *('2 x 16/32 x 8x8 ...', 'float32', '100.0', '0.50x', '0.50x', '1.25x'),
        *('0.50x', where),
    ]
    assert step['a'] == [
        *('4 x 64x96', 'mixed', '100', '50', '180', '1.80x', '1.20x', '1.10x'),
        *('22.2', '', where),
    ]
    assert loading['c'] == ['76409', where]
    assert speed_tables({}) == ''
