"""Numbers that people set, looked at before a run starts."""

from mmreviewkd.engine.check_settings import check_settings
from mmreviewkd.errors import UserInputError

import pytest
from mmengine.config import Config

INF, NAN = float('inf'), float('nan')


def config():
    loader = dict(batch_size=2, num_workers=2, persistent_workers=True)
    return Config(
        dict(
            optim_wrapper=dict(
                type='OptimWrapper',
                accumulative_counts=2,
                optimizer=dict(type='SGD', lr=0.01, weight_decay=0),
                clip_grad=dict(max_norm=35, norm_type=2),
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, end=5),
                dict(type='MultiStepLR', milestones=[8, 11]),
            ],
            train_cfg=dict(max_epochs=12, val_interval=1),
            randomness=dict(seed=None),
            auto_scale_lr=dict(base_batch_size=16),
            train_dataloader=loader,
            val_dataloader=dict(loader),
            val_cfg=dict(),
            val_evaluator=dict(type='CocoMetric'),
            default_scope='mmdet',
        )
    )


def problems(*splits, **options):
    """What is said of a config with these settings; nothing if it is fine."""
    cfg = config()
    cfg.merge_from_dict(
        {key.replace('__', '.'): value for key, value in options.items()},
        allow_list_keys=True,
    )
    try:
        check_settings(cfg, *(splits or ('train', 'val')))
    except UserInputError as error:
        assert '\n' not in str(error)
        return str(error)


LR = 'optim_wrapper__optimizer__lr'
DECAY = 'optim_wrapper__optimizer__weight_decay'
NORM = 'optim_wrapper__clip_grad__max_norm'
COUNTS = 'optim_wrapper__accumulative_counts'
SEED, SIZE = 'randomness__seed', 'train_dataloader__batch_size'
STEPS = 'param_scheduler__1__milestones'
WHOLE = 'a whole number >= 1'


@pytest.mark.parametrize(
    'setting, value, kind',
    [
        *((LR, v, 'a number >= 0') for v in ('fast', -0.1, NAN, None, True)),
        *((DECAY, v, 'a number >= 0') for v in ('1e-4x', -1e-4, [1e-4])),
        *((NORM, v, 'a number > 0') for v in (0, 'big')),
        *((COUNTS, v, WHOLE) for v in (0, 1.5)),
        *((SIZE, v, WHOLE) for v in (0, -1, 'x', 2.0, True, None)),
        *(
            (f'{split}_dataloader__num_workers', v, 'a whole number >= 0')
            for split in ('train', 'val')
            for v in (-1, 1.5, 'x')
        ),
        *(
            (SEED, v, 'a whole number from 0 to 4294967295, or None')
            for v in ('x', -1, 1.5, 2**32)
        ),
        *(
            (f'train_cfg__{name}', v, WHOLE)
            for name in ('max_epochs', 'max_iters', 'val_interval')
            for v in (0, 'twelve', 0.5)
        ),
        *((STEPS, v, 'a list of whole numbers') for v in (8, '8', ['a'], [0.5])),
        ('auto_scale_lr__base_batch_size', 0, WHOLE),
    ],
)
def test_what_cannot_be(setting, value, kind):
    path = setting.replace('__', '.')
    assert problems(**{setting: value}) == f'{path}={value!r}: must be {kind}'


@pytest.mark.parametrize(
    'setting, value',
    [
        (LR, 1),
        (LR, 0),
        (DECAY, 0.0),
        (NORM, INF),
        (SEED, 0),
        (SEED, 2**32 - 1),
        (SIZE, 1),
        (STEPS, ()),
        ('optim_wrapper__clip_grad', None),
        ('param_scheduler', None),
        ('param_scheduler', dict(_delete_=True, milestones=(3,))),
        ('randomness__seed', 3),
        ('optim_wrapper', dict(generator=dict(optimizer=dict(lr='fast')))),
        ('optim_wrapper__optimizer__type', 'torch.optim.AdamW'),
    ],
)
def test_what_can(setting, value):
    assert problems(**{setting: value}) is None


def test_all_of_them_in_one_line():
    assert problems(**{LR: -1, SIZE: 0, 'val_dataloader__num_workers': -1}) == (
        'optim_wrapper.optimizer.lr=-1: must be a number >= 0; '
        'train_dataloader.batch_size=0: must be a whole number >= 1; '
        'val_dataloader.num_workers=-1: must be a whole number >= 0'
    )
    assert problems('val', **{LR: -1, SIZE: 0}) is None


@pytest.mark.parametrize(
    'setting, value, what',
    [
        ('default_hooks__checkpoint__interval', 'x', 'a whole number; -1 saves'),
        ('default_hooks__logger__interval', 0, 'a whole number >= 1'),
        ('log_level', 'LOUD', 'a level of logging, such as INFO'),
        ('model', 'foo', 'a dict'),
        ('train_dataloader__dataset', 5, 'a dict'),
    ],
)
def test_what_stops_a_run_later(setting, value, what):
    path = setting.replace('__', '.')
    assert problems(**{setting: value}).startswith(f'{path}={value!r}: must be {what}')


NO_VALIDATION = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)


@pytest.mark.parametrize(
    'splits, options, problem',
    [
        (['train', 'val'], NO_VALIDATION, None),
        (
            ['val'],
            dict(val_dataloader=None, val_evaluator=None),
            'val_dataloader=None: val_cfg must be None as well, or neither',
        ),
        (
            ['train', 'val'],
            dict(val_evaluator=None),
            'val_evaluator=None: must be given beside val_dataloader',
        ),
        (
            ['train'],
            dict(train_cfg=None),
            'train_cfg=None: must be given beside train_dataloader',
        ),
        (
            ['train'],
            dict(optim_wrapper=None),
            'optim_wrapper=None: must be given beside train_dataloader',
        ),
        (
            ['train'],
            dict(train_dataloader=None),
            'train_dataloader=None: the config has no data to train with',
        ),
        (['test'], {}, 'test_dataloader=None: the config has no data to test with'),
    ],
)
def test_a_split_is_whole_or_not_there(splits, options, problem):
    assert problems(*splits, **options) == problem


def test_a_value_where_a_dict_belongs():
    assert (
        problems(optim_wrapper__clip_grad=35)
        == 'optim_wrapper.clip_grad=35: must be a dict'
    )
    assert (
        problems(optim_wrapper='SGD', train_dataloader=4)
        == "optim_wrapper='SGD': must be a dict; train_dataloader=4: must be a "
        'dict'
    )


@pytest.mark.parametrize(
    'loop, hook, works',
    [
        (dict(type='IterBasedTrainLoop', max_iters=9), {}, False),
        (dict(by_epoch=False, max_iters=9), dict(by_epoch=True), False),
        (dict(type='IterBasedTrainLoop', max_iters=9), dict(by_epoch=False), True),
        (dict(by_epoch=True, max_epochs=9), {}, True),
        (dict(type='EpochBasedTrainLoop', max_epochs=9), {}, True),
    ],
)
def test_epochs_in_a_run_of_iterations(loop, hook, works):
    hooks = [dict(type='EMAHook'), dict(type='mmdet.ReviewWeightHook', **hook)]
    loop = dict(loop, _delete_=True)
    assert problems(train_cfg=loop, custom_hooks=hooks) == (
        None
        if works
        else 'custom_hooks.1: ReviewWeightHook (--warmup) counts epochs, and '
        'train_cfg iterations: set by_epoch=False, and points in iterations'
    )


def test_keys_of_a_data_loader():
    assert problems(train_dataloader__num_worker=2).startswith(
        'train_dataloader has no argument num_worker; near names: num_workers'
    )
    assert (
        problems(
            train_dataloader__num_batch_per_epoch=2, train_dataloader__pin_memory=True
        )
        is None
    )
    assert (
        problems(val_dataloader__num_workers=0)
        == 'val_dataloader.persistent_workers=True: must be False where '
        'num_workers is 0'
    )


def test_an_optimizer_that_does_not_exist():
    # in every scope, the config's and mmengine's
    for name in ('SDG', 'mmdet.SDG', 'sgdd'):
        assert problems(optim_wrapper__optimizer__type=name).startswith(
            f"optim_wrapper.optimizer: type='{name}' is not in the "
            'mmdet::optimizer registry; near names: SGD'
        )
