"""Pascal VOC's format: boxes of XML files."""

from mmreviewkd.conversion import read_voc
from mmreviewkd.errors import UserInputError

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('supervision')

OBJECT = (
    '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin>'
    '<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>'
)


@pytest.fixture
def folders(tmp_path):
    """Writes ``{stem: XML or None}`` and an image for each."""

    def write(texts):
        for name in ('xml', 'images'):
            (tmp_path / name).mkdir()
        for stem, text in texts.items():
            Image.new('RGB', (200, 100)).save(tmp_path / f'images/{stem}.jpg')
            if text is not None:
                (tmp_path / f'xml/{stem}.xml').write_text(text)
        return str(tmp_path / 'xml'), str(tmp_path / 'images')

    return write


def annotation(*objects):
    return (
        f'<annotation>{"".join(OBJECT.format(*each) for each in objects)}</annotation>'
    )


@pytest.mark.parametrize('zero_based', [False, True])
def test_boxes(folders, zero_based):
    given = folders(
        {
            'b': annotation(('fish', 11, 21, 30, 40), ('crab', 1, 1, 200, 100)),
            'a': annotation(),
        }
    )
    first, second = read_voc(*given, ['crab', 'fish'], zero_based)
    assert (first.file_name, len(first.boxes)) == ('a.jpg', 0)
    assert (second.file_name, second.size) == ('b.jpg', (200, 100))
    assert list(second.labels) == [1, 0]
    shift = [zero_based, zero_based, 0, 0]
    np.testing.assert_array_equal(
        second.boxes, np.array([[10, 20, 30, 40], [0, 0, 200, 100]]) + shift
    )


def test_difficult_boxes_keep_their_order(folders):
    boxes = [('crab', x, 1, x + 9, 9) for x in (1, 21, 41, 61)]
    text = annotation(*boxes)
    for flag in (
        '<difficult>1</difficult>',
        '<difficult>0</difficult>',
        '<difficult/>',
    ):
        text = text.replace('</bndbox></object>', f'</bndbox>{flag}</object >', 1)
    (image,) = read_voc(*folders({'a': text}), ['crab'])
    assert image.boxes[:, 0].tolist() == [0, 20, 40, 60]
    assert image.difficult == [True, False, False, False]


@pytest.mark.parametrize(
    'text, message',
    [
        ('<annotation>', 'a.xml is no VOC file: no element found'),
        ('<html></html>', 'a.xml is no VOC file: its first tag is html'),
        ('<?xml version="1.0" encoding="no"?><annotation/>', 'VOC file: unknown enc'),
        ('<annotation><object/></annotation>', 'a.xml is no VOC file: '),
        (
            annotation(('crabb', 1, 1, 2, 2)),
            'a.xml: class "crabb" is none of --classes',
        ),
        (annotation(('crabb', 1, 1, 2, 2)), 'near names: crab'),
        (annotation(('crab', 1, 'x', 2, 2)), "a.xml is no VOC file: Invalid 'ymin'"),
        (
            annotation(('crab', 1, 1, 2, 2)).replace(
                '</object>', '<difficult>maybe</difficult></object>'
            ),
            "a.xml is no VOC file: invalid literal .* 'maybe'",
        ),
        (None, 'a: there is no .xml file of that name in .*xml'),
    ],
)
def test_a_file_that_cannot_be_read(folders, text, message):
    given = folders({'a': text, 'b': annotation()})
    with pytest.raises(UserInputError, match=message) as error:
        list(read_voc(*given, ['crab', 'fish']))
    assert '\n' not in str(error.value)


def test_an_annotation_without_its_image(folders, tmp_path):
    given = folders({'a': annotation()})
    (tmp_path / 'xml/gone.xml').write_text(annotation())
    with pytest.raises(UserInputError, match='gone.xml: there is no image of that na'):
        list(read_voc(*given, ['crab']))


def test_no_files(folders, tmp_path):
    given = folders({'a': None})
    with pytest.raises(UserInputError, match='has no .xml files'):
        list(read_voc(*given, ['crab']))
