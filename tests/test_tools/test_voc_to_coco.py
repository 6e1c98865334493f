"""VOC XML files to one COCO file."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/voc_to_coco.py'
XML = """<annotation><size><width>64</width><height>48</height></size>
<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>5</ymin>
<xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>"""


def call(*args):
    argv, sys.argv = sys.argv, ['voc_to_coco.py', *map(str, args)]
    try:
        runpy.run_path(str(TOOL), run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv


def test_converts(tmp_path, capsys):
    folder = tmp_path / 'xml'
    folder.mkdir()
    (folder / 'b.xml').write_text(XML.format(label='WBC', x1=11))
    (folder / 'a.xml').write_text(XML.format(label='RBC', x1=20))
    out = tmp_path / 'new' / 'train.json'
    assert call(folder, out, '--classes', 'RBC', 'WBC') is None
    assert '2 images, 1 boxes, 1 without area' in capsys.readouterr().out
    coco = COCO(str(out))
    assert [i['file_name'] for i in coco.dataset['images']] == ['a.jpg', 'b.jpg']
    (box,) = coco.dataset['annotations']
    assert box['bbox'] == [11, 5, 9, 25] and box['area'] == 225
    assert (box['image_id'], box['category_id']) == (1, 2)
    assert coco.dataset['images'][0]['width'] == 64


@pytest.mark.parametrize(
    'text, message',
    [
        (None, 'has no .xml files'),
        (XML.format(label='dog', x1=1), 'class "dog" is not one of RBC'),
        ('<html>', 'is no VOC file'),
        ('<annotation/>', 'is no VOC file'),
    ],
)
def test_bad_input_leaves_nothing(tmp_path, text, message):
    folder = tmp_path / 'xml'
    folder.mkdir()
    if text:
        (folder / 'a.xml').write_text(text)
    assert message in call(folder, tmp_path / 'out.json', '--classes', 'RBC')
    assert not list(tmp_path.glob('out*'))
    assert 'no such folder' in call(tmp_path / 'none', 'x', '--classes', 'a')


def test_written_file_is_json(tmp_path):
    folder = tmp_path / 'xml'
    folder.mkdir()
    (folder / 'a.xml').write_text(XML.format(label='RBC', x1=1))
    call(folder, tmp_path / 'out.json', '--classes', 'RBC')
    assert json.loads((tmp_path / 'out.json').read_text())['categories'] == [
        dict(id=1, name='RBC')
    ]
