"""torch.compile of models in which features are recorded and gradients measured.

torch 2.1 to 2.14: compiled code is not made anew when a module gets a hook, so that
hooks such as those that record features would not be called.
"""

import torch


def notice_hooks() -> None:
    """Let torch.compile look for hooks that were not there when it compiled."""
    # not at the top: its import takes a second
    from torch._dynamo import config

    config.skip_nnmodule_hook_guards = False


def keep_buffers() -> None:
    """Let code that is compiled from here on be differentiated more than once.

    torch 2.6 to 2.14: the backward pass of compiled code otherwise uses up what
    another one needs, such as that in which gradients are measured.
    """
    from torch._functorch import config

    if hasattr(config, 'donated_buffer'):
        config.donated_buffer = False


def is_compiling() -> bool:
    """Whether this code is being compiled; torch tells it from 2.3 on."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()
