"""Checkpoint files that would do harm where they are not read as data."""

from tests.support.malicious import arrays, bombs, code, nested, objects, tensors

FILES = {
    **code.FILES,
    **nested.FILES,
    **arrays.FILES,
    **tensors.FILES,
    **bombs.FILES,
    **objects.FILES,
}
"""For each, what its refusal must name, and what writes it to a path."""
