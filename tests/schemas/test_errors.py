"""What counts as an interruption."""

from __future__ import annotations

import pytest

from schemas.errors import was_interrupted


def raised(outer: BaseException, inner: BaseException | None = None) -> BaseException:
    """An exception as it arrives: `outer`, raised while `inner` was being handled."""
    with pytest.raises(type(outer)) as caught:
        try:
            if inner is not None:
                raise inner
        finally:
            raise outer
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), True),
        (raised(ConnectionError(), KeyboardInterrupt()), True),
        (raised(ConnectionError(), ValueError()), False),
        (raised(ConnectionError()), False),
    ],
)
def test_interrupt_at_the_root(error, expected):
    assert was_interrupted(error) is expected
