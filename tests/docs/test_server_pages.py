"""Pages about servers, stored runs and tables can be followed (`tests/docs/conftest.py`).

Two files, so that two processes share the pages.
"""

import pytest

from tests.docs.walks import ANALYSIS, WALKS

pytestmark = [pytest.mark.slow, pytest.mark.integration]


@pytest.mark.parametrize("page", [page for page in WALKS if page not in ANALYSIS])
def test_the_page_can_be_followed(page, reader, request):
    reader.walk_through(page, request)
