"""Refuses to test a model that its checkpoint does not fill completely."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..compat.unwrap import unwrap
from ..models.weights import load_whole


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Stop the run if a checkpoint does not fill the whole model.

    mmengine only warns about missing tensors. That is right for a run that starts
    from other weights, but makes a test meaningless. Parts that only the checkpoint
    has, such as the review, are skipped.

    Examples:
        >>> hook = HOOKS.build(dict(type='StrictLoadHook'))
        >>> custom_hooks = [dict(type='StrictLoadHook')]  # in a config
    """

    # runs before other hooks look at the weights
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the file after it is read, before mmengine loads it into the model.

        Raises:
            UserInputError: Tensors are missing or of another shape, or the
                checkpoint has a deeper backbone.
        """
        load_whole(unwrap(runner.model), checkpoint, runner.cfg.get('load_from'))
