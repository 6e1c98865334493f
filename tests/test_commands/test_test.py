"""Testing, and what ends it before it begins."""

import json

from tests.support.commands import call, refused
from tests.support.logs import average_precision


def test_settings_of_a_test(project):
    assert (
        refused(
            'test',
            project / 'plain.py',
            'none.pth',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            'test_dataloader.batch_size=x',
        )
        == "test_dataloader.batch_size='x': must be a whole number >= 1"
    )
    assert not (project / 'run').exists()


def test_pictures_without_a_hook_that_draws_them(project):
    for flags in (['--show'], ['--show-dir', 'shown']):
        config, options = project / 'plain.py', 'default_hooks.visualization=None'
        given = [*flags, '--cfg-options', options, '--work-dir', project / 'run']
        assert refused('test', config, 'none.pth', *given) == (
            f'{flags[0]}: {config} has no default_hooks.visualization, which draws '
            "predictions, such as dict(type='DetVisualizationHook') of detectors"
        )
    assert not (project / 'run').exists()


def test_our_test_agrees_and_writes_predictions(run):
    project, work_dir = run
    out = project / 'predictions.pkl'
    assert (
        call(
            'test',
            project / 'distil.py',
            work_dir / 'epoch_2.pth',
            '--work-dir',
            project / 'ours',
            '--out',
            out,
        )
        is None
    )
    (path,) = (project / 'ours').glob('*/*.json')
    assert (
        json.loads(path.read_text())['coco/bbox_mAP'] == average_precision(work_dir)[1]
    )
    assert out.stat().st_size
    # the teacher need not be there
    assert (
        call(
            'test',
            project / 'distil.py',
            work_dir / 'epoch_2.pth',
            '--work-dir',
            project / 'gone',
            '--cfg-options',
            'model.teacher.checkpoint=gone.pth',
        )
        is None
    )
    assert 'must end in .pkl' in call(
        'test', project / 'distil.py', work_dir / 'epoch_2.pth', '--out', 'x'
    )
    assert (
        call(
            'test',
            project / 'plain.py',
            work_dir / 'epoch_2.pth',
            '--tta',
            '--show-dir',
            'shown',
            '--work-dir',
            project / 'tta',
        )
        is None
    )
    assert len(list((project / 'tta').glob('*/shown/*.png'))) == 4
