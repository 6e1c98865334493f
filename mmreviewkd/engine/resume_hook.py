"""Lets a resumed run draw the same random numbers as an uninterrupted one."""

from collections.abc import Iterator
from typing import Any, Callable, Optional

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner, get_priority

from ..compat.saving import latest_whole_checkpoint
from ..errors import UserInputError
from .random_state import check_random_state, random_state, set_random_state
from .remembered_settings import remember, warn_of_other_settings
from .worker_seeds import WorkerSeeds


@HOOKS.register_module()
class ResumeHook(Hook):
    """Make a resumed run continue with exactly the numbers of an uninterrupted one.

    mmengine's checkpoints hold weights, optimizer and schedules. The hook adds
    the random states of torch, CUDA, NumPy and Python of every process, as
    ``random_states``, and a resumed run starts from them. A checkpoint without
    them is resumed as mmengine does it. Validation leaves the states unchanged, so
    that a run's numbers do not depend on how often it validates. What the data
    loader's workers draw depends only on seed, process, worker and epoch
    (:class:`WorkerSeeds`); in iteration-based loops, mmengine itself fast-forwards
    them.

    A resumed run warns if it has another number of processes, workers or images,
    or another batch size.

    ``mmreviewkd train`` and ``mmreviewkd distill`` add the hook themselves. For
    mmdet's ``tools/train.py``, add it to the config.

    Raises:
        UserInputError: The file to resume from has weights only.

    Examples:
        >>> hook = HOOKS.build(dict(type='ResumeHook'))
        >>> custom_hooks = [dict(type='ResumeHook')]  # in a config
    """

    # after all hooks that draw random numbers, and before CheckpointHook
    priority = get_priority('VERY_LOW') - 1

    def __init__(self) -> None:
        # the states of all processes, valid until the next iteration
        self.states: Optional[list[dict]] = None
        self.data: Optional[dict] = None  # describes the run that is resumed
        self.batches_done = 0
        # the seed that the data loader was built with
        self.seed: Optional[int] = None
        self.worker_seeds: Optional[WorkerSeeds] = None

    # ------------------------------------------------------------------ save
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[dict] = None,
    ) -> None:
        self.batches_done = batch_idx + 1
        if any(_saves_now(hook, runner) for hook in runner.hooks):
            self.states = all_gather_object(random_state())

    def after_train_epoch(self, runner: Runner) -> None:
        self.batches_done = 0
        self.states = all_gather_object(random_state())

    def before_val(self, runner: Runner) -> None:
        self.states = all_gather_object(random_state())

    def after_val(self, runner: Runner) -> None:
        assert self.states is not None  # gathered by before_val
        set_random_state(self.states[runner.rank])

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        self.states = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the states; mmengine calls it in the first process only."""
        remember(runner.model, checkpoint['meta'])
        states = self.states
        if states is None and runner.world_size == 1:
            states = [random_state()]
        if states is not None:
            checkpoint['random_states'] = states
            checkpoint['meta']['data'] = dict(
                _data(runner), seed=self.seed, batches_done=self.batches_done
            )

    # ---------------------------------------------------------------- resume
    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        # kept here, since mmengine replaces runner.seed by the checkpoint's seed
        self.seed = runner.seed
        meta = checkpoint.get('meta') or {}
        self.states = checkpoint.get('random_states')
        self.data = meta.get('data')
        if not runner.cfg.get('resume'):
            return
        try:
            _check_resumable(checkpoint, meta)
        except UserInputError as error:
            file = runner.cfg.get('load_from') or latest_whole_checkpoint(
                runner.work_dir
            )
            raise UserInputError(
                f'cannot resume from {file}: {error}. To start a new run with '
                f'its weights: --cfg-options load_from={file}, without '
                '--resume'
            ) from None
        warn_of_other_settings(runner.model, meta)

    def before_train(self, runner: Runner) -> None:
        by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
        resumed = runner.iter > 0
        if not resumed:
            self.seed = runner.seed
        states, data = (self.states, self.data) if resumed else (None, None)
        if states and data:
            self._use_seed(runner, by_iteration, data['seed'])
            _warn_of_other_draws(runner, by_iteration, data)
        elif resumed:
            runner.logger.info(
                'The checkpoint has no random states: what is '
                'drawn at random starts anew from the seed'
            )
        loader = runner.train_dataloader
        # in iteration-based loops the workers have already started
        if loader.num_workers and not by_iteration:
            assert self.seed is not None  # of this run, or of the resumed one
            self.worker_seeds = loader.worker_init_fn = WorkerSeeds(
                loader.worker_init_fn, self.seed, runner.rank
            )
            # Without it torch draws from the training's random state when workers
            # start. Persistent workers start once, but once more in a resumed run.
            loader.generator = torch.Generator()
        if not states or not data or len(states) != runner.world_size:
            return
        state = states[runner.rank]
        if by_iteration:
            loop = runner.train_loop
            # mmengine 0.10.12 can be told to skip no batches
            skips = not getattr(loop, 'fast_forward_on_resume', False)
            loop.dataloader_iterator = _CallingAfter(
                loop.dataloader_iterator,
                runner.iter if skips else 0,
                lambda: set_random_state(state),
            )
        else:
            set_random_state(state)

    def before_train_epoch(self, runner: Runner) -> None:
        if self.worker_seeds is not None:
            self.worker_seeds.begin(runner.epoch)

    def _use_seed(self, runner: Runner, by_iteration: bool, seed: int) -> None:
        """Shuffle with the seed of the run that is resumed.

        If the config has no seed, mmengine has drawn a new one and built the data
        loader with it.
        """
        randomness = runner.cfg.get('randomness') or {}
        different = randomness.get('diff_rank_seed', False)
        if different:  # the file has the seed of the first process
            seed += runner.rank
        if seed == self.seed or 'train_dataloader' not in runner.cfg:
            return
        self.seed = seed
        loop = runner.train_loop
        loop.dataloader = runner.build_dataloader(
            dict(runner.cfg.train_dataloader, dataset=loop.dataloader.dataset),
            seed=seed,
            diff_rank_seed=different,
        )
        if by_iteration:
            loop.dataloader_iterator = type(loop.dataloader_iterator)(loop.dataloader)


def _warn_of_other_draws(runner: Runner, by_iteration: bool, saved: dict) -> None:
    """Warn if the resumed run differs from the saved one."""
    now = _data(runner)
    other = [
        f'{name} {saved[name]} (now: {now[name]})'
        for name in now
        if now[name] != saved[name]
    ]
    if other:
        runner.logger.warning(
            f'This run was saved with another {", ".join(other)}; what is '
            'drawn at random differs from here on'
        )
    if saved['batches_done'] and not by_iteration:
        runner.logger.warning(
            f'The checkpoint was saved after {saved["batches_done"]} batches '
            f"of epoch {runner.epoch + 1}; mmengine starts that epoch's "
            'batches anew'
        )


def _data(runner: Runner) -> dict:
    """Return what decides which process or worker draws numbers for which image."""
    loader = runner.train_dataloader
    return dict(
        num_processes=runner.world_size,
        num_workers=loader.num_workers,
        batch_size=getattr(loader.batch_sampler, 'batch_size', None),
        num_images=len(loader.dataset),
    )


def _saves_now(hook: Hook, runner: Runner) -> bool:
    """Whether a hook saves a checkpoint after this iteration."""
    return (
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
    )


def _check_resumable(checkpoint: dict, meta: dict) -> None:
    """Check that a checkpoint has all that mmengine and the hook resume from.

    Raises:
        UserInputError: The message says what is missing or damaged.
    """
    if 'optimizer' not in checkpoint or not {'epoch', 'iter'} <= set(meta):
        raise UserInputError('it has weights, but no optimizer, epoch or iteration')
    states, data = checkpoint.get('random_states'), meta.get('data')
    seed = meta.get('seed')
    for name, holds in (
        ('optimizer', isinstance(checkpoint['optimizer'], dict)),
        ('message_hub', isinstance(checkpoint.get('message_hub'), dict)),
        ('meta.epoch', _is_count(meta['epoch'])),
        ('meta.iter', _is_count(meta['iter'])),
        ('meta.seed', seed is None or (_is_count(seed) and seed < 2**32)),
        ('meta.data', data is None or _is_data(data)),
        ('random_states', states is None or isinstance(states, list)),
    ):
        if not holds:
            raise UserInputError(f'its {name} is not what a run saves there')
    for state in states or ():
        check_random_state(state)


def _is_data(value: Any) -> bool:
    names = (
        'num_processes',
        'num_workers',
        'batch_size',
        'num_images',
        'seed',
        'batches_done',
    )
    return isinstance(value, dict) and all(
        name in value and (value[name] is None or _is_count(value[name]))
        for name in names
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


class _CallingAfter:
    """Iterator that calls a function after a given number of items."""

    def __init__(
        self, iterator: Iterator, steps: int, function: Callable[[], None]
    ) -> None:
        self.iterator, self.steps, self.function = iterator, steps, function

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if not self.steps:
            self.function()
        self.steps -= 1
        return next(self.iterator)

    def skip_iter(self, count: int) -> None:
        """Replace the method of mmengine 0.10.12, with which workers draw nothing."""
        for _ in range(count):
            next(self)
