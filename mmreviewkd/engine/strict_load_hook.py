"""A test of a model that its checkpoint fills only in part is no test."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from ..models.weights import load_whole


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Stop where a checkpoint does not fill the whole model.

    mmengine warns of missing tensors and goes on without them, which a run
    that starts from other weights wants, and a test does not. Other parts that
    the checkpoint has, such as the review, are skipped.
    """

    # before other hooks look for the weights
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Called between reading the file and filling the model.

        Raises:
            UserInputError: Tensors are missing or of another shape, or the
                backbone is a deeper one.
        """
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        load_whole(model, checkpoint, runner.cfg.get('load_from'))
