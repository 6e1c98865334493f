"""``mmreviewkd benchmark step`` measures the steps of any distillation config."""

import json

from mmreviewkd.commands import main
from mmreviewkd.commands.benchmark_step import make_batch, measure_loading
from mmreviewkd.commands.training_steps import build_models, compile_parts
from mmreviewkd.methods.auto_weight import AutoWeight
from mmreviewkd.methods.review.review import _compiled_loss
from tests.support.classifiers import classifier
from tests.support.commands import exit_code
from tests.support.detectors import tiny_detector
from tests.support.markdown import read_table

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict

ROWS = ['student', 'teacher', 'methods', 'distilled']


def write(folder, student, teacher, **replaced):
    """A config of a distillation, whose teacher has no checkpoint."""
    model = dict(
        type='ReviewKD',
        student=student,
        teacher=dict(config=teacher, checkpoint='https://example.com/none.pth'),
        review=dict(weight=1.0),
        **replaced.pop('model', {}),
    )
    settings = dict(
        dict(
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type='CocoDataset', ann_file='none.json'),
            ),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='SGD', lr=1e9, momentum=0.9),
                accumulative_counts=2,
                clip_grad=dict(max_norm=1.0),
            ),
        ),
        **replaced,
    )
    path = folder / 'distil.py'
    Config(ConfigDict(settings)).dump(str(path))
    return path


def benchmark(path, *args):
    file = path.with_suffix('.json')
    options = ('--device', 'cpu', '--repeats', '1', '--json', file)
    main(['benchmark', 'step', *map(str, (path, *options, *args))])
    return json.loads(file.read_text())


@pytest.mark.parametrize('family', ['mask_rcnn', 'retinanet'])
@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_detectors(family, amp, tmp_path, capsys):
    path = write(tmp_path, tiny_detector(family), tiny_detector(family, 6, 12))
    result = benchmark(path, '--size', '64x96', *amp)
    strides = (4, 8, 16, 32, 64) if family == 'mask_rcnn' else (8, 16, 32, 64, 128)
    assert result['settings'] == dict(
        config='distil',
        batch=2,
        size='64x96',
        levels=[f'stride {stride}' for stride in strides],
        amp=bool(amp),
        repeats=1,
    )
    seconds, peaks = result['seconds'], result['peak_bytes']
    assert list(seconds) == ROWS
    # the peaks of such small models are nearly alike, and what the profiler lists at
    # one moment has no order: 1 to 2 % from run to run
    assert peaks['distilled'] > 0.95 * peaks['student'] > 0
    printed = capsys.readouterr().out
    assert 'distil; CPU, 1 threads' in printed and '2 x 3x64x96' in printed
    table = read_table(printed)
    assert list(table) == ROWS
    assert table['distilled'] == [
        f'{1000 * seconds["distilled"]:.1f} ms',
        f'{seconds["distilled"] / seconds["student"]:.2f}x',
        f'{2 / seconds["distilled"]:.1f}',
        f'{peaks["distilled"] / 2**20:.0f} MiB',
    ]
    assert table['teacher'][-1] == ''
    ratio = seconds['distilled'] / (seconds['student'] + seconds['teacher'])
    assert f'distilled / (student + teacher): {ratio:.2f}x' in printed
    assert 'none.json' in result['loading']['missing']
    assert 'data loading: no data (no such file or folder: none.json' in printed


@pytest.mark.parametrize('amp', [[], ['--amp']])
def test_classifiers_with_several_methods_and_data(amp, tmp_path):
    np.savez(tmp_path / 'a.npz', x=np.zeros((10, 32, 32, 3), np.uint8), y=range(10))
    path = write(
        tmp_path,
        classifier(),
        classifier(14, (6, 6, 12, 24)),
        model=dict(
            logits=dict(type='KDLoss'),
            methods=dict(
                at=dict(type='AttentionTransfer', weight=10.0),
                sp=dict(type='SimilarityPreserving', weight=0.0),
            ),
        ),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='as_is'),
            dataset=dict(
                type='ArchiveImages', path=str(tmp_path / 'a.npz'), num_classes=10
            ),
        ),
    )
    result = benchmark(path, *amp)
    assert result['settings']['batch'] == 4
    assert result['settings']['size'] == '32x32'
    assert list(result['seconds']) == ROWS
    assert result['loading']['images_per_second'] > 0


def test_gradients_are_measured_in_a_step_of_their_own(tmp_path, monkeypatch):
    measured = []
    update = AutoWeight.update
    monkeypatch.setattr(
        AutoWeight, 'update', lambda *given: measured.append(1) or update(*given)
    )
    path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    given = ('--batch', 3, '--cfg-options', 'model.review.weight=auto')
    result = benchmark(path, *given)
    assert list(result['seconds']) == [*ROWS, 'distilled, measuring']
    # the first pass, the first usual step, and two to warm up and the one that counts
    assert len(measured) == 5


def test_a_pair_without_losses_to_measure(tmp_path):
    path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    result = benchmark(path, '--batch', 3, '--cfg-options', 'model.review.weight=0.0')
    assert list(result['seconds']) == ['student', 'teacher', 'distilled']


def test_a_config_without_data():
    assert measure_loading(Config()) == dict(missing='None has no train_dataloader')


def test_the_student_alone_sees_no_rotated_copies(tmp_path):
    student = classifier()
    student['data_preprocessor']['rotations'] = True
    path = write(tmp_path, student, classifier(14, (6, 6, 12, 24)))
    models = build_models(Config.fromfile(path), 'cpu')
    assert models['distilled'].data_preprocessor.rotations
    assert not models['student'].data_preprocessor.rotations


def test_the_student_alone_has_the_weights_of_the_distilled(tmp_path):
    path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    models = build_models(Config.fromfile(path), 'cpu')
    own = models['student'].state_dict()
    for name, value in models['distilled'].state_dict().items():
        if name in own:
            assert torch.equal(value, own[name]), name
    assert set(own) <= set(models['distilled'].state_dict())


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that torch.compile traces; they run as they are, without a compiler."""
    graphs = []
    compile_ = torch.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def quick(step, mode='default'):
        return compile_(step, backend=backend)

    monkeypatch.setattr('torch.compile', quick)
    torch._dynamo.reset()
    _compiled_loss.cache_clear()
    yield graphs
    _compiled_loss.cache_clear()


@pytest.mark.slow
def test_compiled(tmp_path, graphs, capsys):
    path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    result = benchmark(path, '--compile', '--compile-mode', 'reduce-overhead')
    new = ['student, compiled', 'distilled, compiled']
    assert list(result['seconds']) == [*ROWS, *new]
    assert list(result['compile_seconds']) == new
    assert result['settings']['compile_mode'] == 'reduce-overhead'
    # both students, the teacher and the review, each in one piece
    assert len(graphs) == 4
    assert 'first run of distilled, compiled: ' in capsys.readouterr().out


@pytest.mark.parametrize(
    'kind', ['classifier', pytest.param('detector', marks=pytest.mark.slow)]
)
def test_compiled_parts_give_the_same_losses(kind, tmp_path, graphs):
    if kind == 'classifier':
        path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    else:
        models = tiny_detector('retinanet'), tiny_detector('retinanet', 6, 12)
        path = write(tmp_path, *models)
    cfg = Config.fromfile(path)
    eager, compiled = (build_models(cfg, 'cpu') for _ in range(2))
    compile_parts(compiled, 'default')
    batch = make_batch(eager['student'], 2, (64, 64))
    for name, model in eager.items():
        data = model.data_preprocessor(batch, False)
        expected, got = (each[name](**data, mode='loss') for each in (eager, compiled))
        assert len(expected) > (name == 'distilled')
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert graphs


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--batch', '0'], '--batch 0: must be at least 1'),
        (['--size', '800'], '--size 800: must be HEIGHTxWIDTH, as 25x42'),
        (['--compile-mode', 'x'], '--compile-mode x is for --compile'),
        (['--device', 'cuda'], '--device cuda: torch sees no GPU'),
        (
            ['--cfg-options', 'model.type=ImageClassifier'],
            'distils nothing: its model is a ImageClassifier, not a ReviewKD',
        ),
        (['--cfg-options', 'optim_wrapper=None'], 'distil.py has no optim_wrapper'),
        (
            ['--cfg-options', 'train_dataloader=None'],
            'distil.py has no train_dataloader',
        ),
        (
            ['--cfg-options', 'model.teacher=None'],
            'ReviewKD needs teacher=dict(config=..., checkpoint=..., ',
        ),
    ],
)
def test_what_cannot_be_measured(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    path = write(tmp_path, classifier(), classifier(14, (6, 6, 12, 24)))
    code = exit_code('benchmark', 'step', str(path), *arguments)
    assert code.startswith('error: ') and message in code and '\n' not in code


def test_a_config_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = exit_code('benchmark', 'step', 'x.py')
    assert code.startswith('error: config x.py does not exist')
