"""Faults of annotations and images end a run in one line, by their file."""

import shutil

from mmreviewkd.compat import load_from_local
from mmreviewkd.engine.check_data import named_images
from mmreviewkd.errors import UnreadableImageError
from tests.support.commands import call, process
from tests.support.images import png
from tests.support.paths import ROOT

import pytest


@pytest.fixture
def data(coco, tmp_path):
    """A copy of the data, and what makes the tools use it."""
    root = tmp_path / 'data'
    shutil.copytree(coco, root)
    return root, [
        '--cfg-options',
        'train_cfg.max_epochs=1',
        *(
            f'{split}_dataloader.dataset.data_root={root}'
            for split in ('train', 'val', 'test')
        ),
        *(f'{split}_evaluator.ann_file={root}/val.json' for split in ('val', 'test')),
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 1])
def test_a_header_of_60000_by_60000_pixels(project, data, workers):
    root, options = data
    for path in (root / 'train').glob('*.png'):
        path.write_bytes(png(60000, 60000))
    result = process(
        ROOT / 'tools' / 'train.py',
        'distil.py',
        *options,
        f'train_dataloader.num_workers={workers}',
        cwd=project,
    )
    assert result.returncode == 1 and 'Traceback' not in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f'error: image {root}/train/')
    assert last.endswith('cannot be read: error: pixels <= CV_IO_MAX_IMAGE_PIXELS')


@pytest.mark.slow
def test_annotations_that_the_tools_cannot_use(project, data):
    root, options = data
    cut(root / 'val.json')
    message = f'annotation file {root}/val.json is no JSON, or is cut short: '
    run = ['--work-dir', project / 'run']
    assert call('train', project / 'distil.py', *run, *options).startswith(
        f'error: val data: {message}'
    )
    assert call('test', project / 'plain.py', 'none.pth', *run, *options).startswith(
        f'error: test data: {message}'
    )
    assert call('check_teacher', project / 'distil.py', *options).startswith(
        f'error: {message}'
    )
    assert not list((project / 'run').glob('*.pth'))


def test_only_the_metrics_file_is_bad(project, data, coco):
    root, options = data
    cut(root / 'val.json')
    options.append(f'val_dataloader.dataset.data_root={coco}')
    # read in part by the tool itself
    assert call(
        'check_teacher', project / 'distil.py', '--num-images', 2, *options
    ).startswith(f'error: annotation file {root}/val.json is no JSON')


@pytest.mark.slow
def test_an_inherited_palette(project, data):
    _, options = data
    palette = 'metainfo.palette=[(220,20,60)]'
    assert (
        call(
            'train',
            project / 'plain.py',
            '--work-dir',
            project / 'run',
            *options,
            *(
                f'{split}_dataloader.dataset.{palette}'
                for split in ('train', 'val', 'test')
            ),
        )
        is None
    )
    (log,) = (project / 'run').glob('*/*.log')
    assert (
        log.read_text().count(
            'WARNING - metainfo.palette has 1 colours for 2 classes; generated '
            'ones are used instead'
        )
        == 1
    )
    checkpoint = load_from_local(str(project / 'run' / 'epoch_1.pth'))
    assert len(checkpoint['meta']['dataset_meta']['palette']) == 2
    # mmdet's visualizer would stop at the second class
    assert (
        call(
            'test',
            project / 'plain.py',
            project / 'run' / 'epoch_1.pth',
            '--show-dir',
            'shown',
            '--work-dir',
            project / 'tested',
            *options,
            f'test_dataloader.dataset.{palette}',
        )
        is None
    )


class Dataset(list):
    def get_data_info(self, index):
        return dict(img_path=self[index])


class Runner:
    """A runner that has built its validation data alone."""

    class val_loop:
        class dataloader:
            dataset = Dataset()

    train_loop = None


def test_all_that_are_missing_or_empty_are_listed(tmp_path):
    paths = [str(tmp_path / f'{i}.png') for i in range(8)]
    (tmp_path / '0.png').write_bytes(b'something')
    (tmp_path / '1.png').touch()
    error = UnreadableImageError('image X cannot be read')

    def stopped(*paths):
        Runner.val_loop.dataloader.dataset = Dataset(paths)
        with pytest.raises(UnreadableImageError) as raised:
            with named_images(Runner, 'train', 'val'):
                raise error
        return raised.value

    assert str(stopped(*paths[:3], 's3://bucket/x.png')) == (
        f'images are missing or empty: {paths[1]}, {paths[2]}'
    )
    assert str(stopped(*paths)) == (
        f'images are missing or empty: {", ".join(paths[1:6])}, ... 7 in all'
    )
    # decoded in vain: what was said stays
    assert stopped(paths[0]) is error
    with pytest.raises(KeyError), named_images(Runner, 'val'):
        raise KeyError('something else')
