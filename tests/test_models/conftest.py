"""The kinds of students, for tests of what holds for each of them."""

from tests.support.students import KINDS, Kind

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(scope='module', params=KINDS)
def kind(request, tmp_path_factory):
    """Of the kinds that a test names with ``indirect=True``, or of all, each."""
    init_default_scope('mmdet')
    return Kind(request.param, tmp_path_factory.mktemp('teachers'))
