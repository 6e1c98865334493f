"""The list of a table's runs, and the lists in docs/results."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.configs import load_config
from mmreviewkd.tables import read_table, report_table
from tests.support.paths import ROOT
from tests.support.tables import TABLE, write_table

import pytest

FOLDERS = sorted(path.parent for path in ROOT.glob('docs/results/*/table.yml'))


def test_reads_rows_in_their_order(tmp_path):
    folder = write_table(tmp_path / 'mine')
    table = read_table(str(folder))
    assert table.name == 'mine' and table.seeds == [0, 1, 2]
    assert [row.name for row in table.rows] == ['alone', 'kd', 'pkd']
    assert [row.work_dir.format(seed=2) for row in (*table.first, *table.rows)] == [
        'work_dirs/teacher',
        'work_dirs/head',
        'work_dirs/tables/mine/alone_2',
        'work_dirs/tables/mine/kd_2',
        'work_dirs/tables/other/pkd_2',
    ]
    assert table.result(table.rows[1], 2) == str(folder / 'kd_2.json')
    assert [row.name for row in table.chosen(['pkd', 'alone'])] == ['alone', 'pkd']
    assert table.chosen(None) == table.rows
    with pytest.raises(UserInputError, match="no row 'kdd'; near names: kd, pkd"):
        table.chosen(['alone', 'kdd'])


def test_options_and_weight_of_a_row(tmp_path):
    more = 'config: kd.py, options: [model.review.weight=2], weight: 2'
    folder = write_table(tmp_path / 'mine', TABLE.replace('config: kd.py', more))
    _, kd, pkd = read_table(str(folder)).rows
    assert (kd.options, kd.weight) == (['model.review.weight=2'], 2)
    assert (pkd.options, pkd.weight) == ([], None)


@pytest.mark.parametrize(
    'text, message',
    [
        ('title: [', 'while parsing'),
        ('title: a', 'must have title, metrics, seeds, options, first, rows and noth'),
        ('- a', 'must have title'),
        (TABLE + 'more: 1', 'must have title'),
        (TABLE.replace('seeds: [0, 1, 2]', 'seeds: []'), 'no rows, no metrics or no s'),
        (TABLE.replace('config: kd.py', 'confg: kd.py'), 'must be a NAME: with title'),
        (TABLE.replace('{title: KD, config: kd.py}', 'kd.py'), 'must be a NAME: with'),
        (
            TABLE.replace('runs_of: other', 'alone: kdd'),
            "pkd is compared with 'kdd', which is no row; near names: kd, pkd",
        ),
        (
            TABLE.replace('runs_of: other', 'seeds: [2, 3]'),
            'pkd has seed 3, and alone, which it is compared with, has not',
        ),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, message):
    folder = write_table(tmp_path / 'mine', text)
    with pytest.raises(UserInputError) as error:
        read_table(str(folder))
    line = str(error.value)
    assert line.startswith(str(folder)) and message in line and '\n' not in line


def test_a_folder_without_a_list_is_refused(tmp_path):
    with pytest.raises(UserInputError, match='has no table.yml'):
        read_table(str(tmp_path))


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda folder: folder.name)
def test_rows_of_ours_differ_in_the_model_and_its_warm_up_alone(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    table = read_table(str(folder))
    alone, *others = [load_config(row.config).to_dict() for row in table.rows]
    # where the teachers' own runs leave them
    teachers = {
        f'{row.work_dir}/epoch_{load_config(row.config).train_cfg.max_epochs}.pth'
        for row in table.first
    }
    for row, cfg in zip(table.rows[1:], others):
        options = dict(option.split('=', 1) for option in row.options)
        teacher = options.get(
            'model.teacher.checkpoint',
            cfg['model'].get('teacher', {}).get('checkpoint'),
        )
        # what rescale_teacher.py makes is beside the one that it is made of
        assert teacher is None or teacher.replace('_x10/', '/') in teachers, row.name
        differing = {
            key
            for key in {*alone, *cfg}
            if key in ('train_dataloader', *alone) and alone.get(key) != cfg.get(key)
        }
        if row.config.endswith(
            'candidate.py'
        ):  # a method of docs/results/candidates.py
            differing -= {'custom_imports'}
        # the student alone, under other settings, is the same config
        assert differing == ({'model'} if cfg != alone else set()), row.name
        assert {hook['type'] for hook in cfg.get('custom_hooks', [])} <= {
            'ReviewWeightHook',
            'ReviewGradientHook',
        }


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda folder: folder.name)
def test_the_page_has_the_figures_that_are_kept(folder):
    table = read_table(str(folder))
    weights = table.name.startswith(('weights', 'held-out', 'stable', 'published'))
    page = ROOT / 'docs' / ('weights.md' if weights else 'results/tables.md')
    page = page.read_text(encoding='utf-8')
    text = page.split(f'<!-- {table.name} -->\n\n')[1].split('\n\n<!-- / -->')[0]
    for path in folder.glob('*.json'):
        assert path.stat().st_size < 20_000
    shown = [part for part in text.split('\n\n') if not part.startswith('![')]
    assert '\n\n'.join(shown) == report_table(str(folder))
