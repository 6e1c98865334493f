"""What mmengine computes over and over, and what never changes."""

import functools

from mmengine.config import config as config_module
from mmengine.config import utils as config_utils
from yapf.yapflib import yapf_api


def remember(patch):
    """Have each config formatted, and each metafile of mmdet read, only once.

    A Runner formats its config for log, file and checkpoint, a third of a second
    each; a config with a base of mmdet's reads all of mmdet's metafiles.

    Args:
        patch (pytest.MonkeyPatch): It takes back what is set here.
    """
    # OneDL's imports it anew at each call
    owner = config_module if hasattr(config_module, 'FormatCode') else yapf_api
    format_code = owner.FormatCode
    formatted = {}

    def format_once(text, style_config, **options):
        key = (text, *sorted(style_config.items()))
        if key not in formatted:
            formatted[key] = format_code(text, style_config=style_config, **options)
        return formatted[key]

    patch.setattr(owner, 'FormatCode', format_once)
    patch.setattr(config_utils, 'load', functools.cache(config_utils.load))
