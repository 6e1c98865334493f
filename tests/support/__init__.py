"""What tests share: each file one idea."""

import contextlib

# a Python without pytest writes checkpoints for one with it: honest_files.py
with contextlib.suppress(ImportError):
    import pytest

    pytest.register_assert_rewrite(__name__)
