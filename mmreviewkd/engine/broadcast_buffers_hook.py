"""Lets several processes validate the same model, the one in the checkpoint."""

from mmdet.registry import HOOKS
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Copy the buffers of the first process to all others before a validation.

    During training, each of mmengine's processes gathers BatchNorm statistics of its
    own, and those of the first one are saved. Without this hook the other processes
    validate their share of the images with other statistics than the checkpoint's.

    ``mmreviewkd train`` and ``mmreviewkd distill`` add the hook themselves.

    Examples:
        >>> hook = HOOKS.build(dict(type='BroadcastBuffersHook'))
        >>> custom_hooks = [dict(type='BroadcastBuffersHook')]  # in a config
    """

    # runs after EMAHook has swapped the weights
    priority = 'VERY_LOW'

    def before_val_epoch(self, runner: Runner) -> None:
        for buffer in runner.model.buffers():
            broadcast(buffer)
