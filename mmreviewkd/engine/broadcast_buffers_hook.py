"""Several processes validate one model, the one that the checkpoint has."""

from mmdet.registry import HOOKS
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Give every process the first one's buffers before a validation.

    While it trains, each process of mmengine's gathers statistics of its own
    in BatchNorm, and the first one's are saved. Without this hook the others
    validate their share of the images with theirs, and the result is no
    checkpoint's.

    ``mmreviewkd train`` and ``mmreviewkd distill`` add the hook on their own.
    """

    # also after EMAHook has exchanged the weights
    priority = 'VERY_LOW'

    def before_val_epoch(self, runner: Runner) -> None:
        for buffer in runner.model.buffers():
            broadcast(buffer)
