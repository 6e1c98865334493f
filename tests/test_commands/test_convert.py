"""``mmreviewkd convert``, whose files mmdet then reads."""

import json

from tests.support.commands import call

import pytest
from mmdet.datasets import CocoDataset
from PIL import Image

pytest.importorskip('supervision')

VOC = ('--images', 'images', '--classes', 'a')


@pytest.fixture
def yolo(tmp_path):
    tmp_path = tmp_path / "Hans' data"
    texts = dict(train=['1 0.5 0.5 0.1 0.2\n0 0.2 0.2 0.1 0.1', ''], val=[None])
    for split, each in texts.items():
        for kind in ('images', 'labels'):
            (tmp_path / kind / split).mkdir(parents=True)
        for i, text in enumerate(each):
            Image.new('RGB', (200, 100)).save(tmp_path / f'images/{split}/{i}.jpg')
            if text is not None:
                (tmp_path / f'labels/{split}/{i}.txt').write_text(text)
    path = tmp_path / 'data.yaml'
    path.write_text('train: images/train\nval: images/val\nnames: [crab, fish]\n')
    return path


def test_yolo(yolo, capsys):
    tmp_path = yolo.parent
    call('convert', yolo, tmp_path / 'coco')
    assert sorted(p.name for p in (tmp_path / 'coco').iterdir()) == [
        *('train.json', 'val.json')
    ]
    printed = capsys.readouterr().out
    assert (
        'train: 2 images, of which 1 have no boxes; 2 boxes: 1 crab, 1 fish' in printed
    )
    assert 'no box in val is a crab, a fish' in printed
    # what it prints is what mmdet takes
    block = printed[printed.index('# train') :].split('\n\n')[0]
    settings = eval(block.partition('\n')[2].replace('dataset=', ''))
    assert settings.pop('type') == 'CocoDataset'
    dataset = CocoDataset(
        **settings, filter_cfg=dict(filter_empty_gt=False), pipeline=[]
    )
    assert dataset.metainfo['classes'] == ('crab', 'fish') and len(dataset) == 2
    first = dataset.get_data_info(0)
    assert [box['bbox_label'] for box in first['instances']] == [1, 0]
    assert first['instances'][0]['bbox'] == pytest.approx([90, 40, 110, 60])
    assert first['img_path'] == str(tmp_path / 'images/train/0.jpg')


def test_an_invalid_box_leaves_nothing(yolo, capsys):
    tmp_path = yolo.parent
    (tmp_path / 'labels/val/0.txt').write_text('0 1.5 0.5 0.1 0.2')
    line = call('convert', yolo, tmp_path / 'coco')
    assert line.startswith('error: ') and line.endswith(
        'labels/val/0.txt: box 1 reaches beyond the image. Correct them, '
        'or leave them out with --skip-invalid'
    )
    assert not (tmp_path / 'coco').exists()
    call('convert', yolo, tmp_path / 'coco', '--skip-invalid')
    assert 'left out: ' in capsys.readouterr().out
    assert json.loads((tmp_path / 'coco/val.json').read_text())['annotations'] == []


def test_voc(tmp_path, capsys):
    for name in ('xml', 'images'):
        (tmp_path / name).mkdir()
    Image.new('RGB', (200, 100)).save(tmp_path / 'images/a.png')
    (tmp_path / 'xml/a.xml').write_text(
        '<annotation><object><name>fish</name><bndbox><xmin>11</xmin><ymin>21</ymin>'
        '<xmax>30</xmax><ymax>40</ymax></bndbox></object><object><name>crab</name>'
        '<difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>'
        '<ymax>5</ymax></bndbox></object></annotation>'
    )
    out = tmp_path / 'new' / 'train.json'
    flags = ('--images', tmp_path / 'images', '--classes', 'crab', 'fish')
    call('convert', tmp_path / 'xml', out, *flags)
    content = json.loads(out.read_text())
    assert content['annotations'][0]['bbox'] == [10, 20, 20, 20]
    assert [a['category_id'] for a in content['annotations']] == [2, 1]
    assert [a['iscrowd'] for a in content['annotations']] == [0, 1]
    printed = capsys.readouterr().out
    assert '1 boxes: 0 crab, 1 fish\ndifficult boxes beside them, which are' in printed
    assert 'no box in train is a crab' in printed
    assert content['images'][0]['file_name'] == 'a.png'
    assert 'is replaced' not in printed
    call('convert', tmp_path / 'xml', out, *flags, '--zero-based')
    assert f'the former {out} is replaced\n' in capsys.readouterr().out
    assert json.loads(out.read_text())['annotations'][0]['bbox'] == [11, 21, 19, 19]
    assert [p.name for p in out.parent.iterdir()] == ['train.json']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['data.yaml', 'out', '--classes', 'a'], '--classes is for a folder of VOC f'),
        (['data.yaml', 'out', '--zero-based'], '--zero-based is for a folder of VOC f'),
        (['images', 'out.json'], 'a folder of VOC files needs --images and --classes'),
        (['images', 'out', *VOC], 'ends in .json'),
        (
            ['none.txt', 'out'],
            "none.txt must be YOLO's data.yaml, or a folder of VOC's",
        ),
        (['none.yaml', 'out'], 'none.yaml: [Errno 2] No such file'),
        (
            ['data.yaml', 'data.yaml'],
            'error: data.yaml/train.json cannot be written: Not a directory',
        ),
        (['data.yaml', 's3://a'], "'s3://a/train.json' is no path of a file to write"),
        (['data.yaml', 'a' * 300], 'a/train.json cannot be written: File name too l'),
        (
            ['images', 'folder.json', *VOC],
            'error: folder.json is a folder; name the file to',
        ),
        (
            ['images', 'data.yaml/a/b.json', *VOC],
            'data.yaml/a/b.json cannot be written: Not a',
        ),
    ],
)
def test_arguments_that_do_not_go_together(
    yolo, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(yolo.parent)
    (yolo.parent / 'folder.json').mkdir()
    line = call('convert', *arguments)
    assert message in line and '\n' not in line
    assert not capsys.readouterr().out  # no image has been read
    assert sorted(p.name for p in yolo.parent.iterdir()) == [
        *('data.yaml', 'folder.json', 'images', 'labels')
    ]
