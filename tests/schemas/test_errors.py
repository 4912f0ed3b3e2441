"""What is behind an error: an interruption, a full disk, no memory; and what to do about it."""

import pytest

from schemas.errors import describe_os_error, memory_error, operating_system_error, was_interrupted


def raised(outer: BaseException, inner: BaseException) -> BaseException:
    """Return an exception as it arrives: `outer`, raised while `inner` was handled."""
    with pytest.raises(type(outer)) as caught:
        try:
            raise inner
        finally:
            raise outer
    return caught.value


def test_an_interruption_is_found_at_the_root():
    assert not was_interrupted(None)
    assert was_interrupted(raised(ConnectionError(), KeyboardInterrupt()))
    assert not was_interrupted(raised(ConnectionError(), ValueError()))
    assert was_interrupted(ValueError("Error calling function `_ser_model`: KeyboardInterrupt: "))


def test_what_the_machine_refuses_is_reported_with_what_to_do():
    full = "No space left on device"
    for error, words in [
        (OSError(28, full, "/a"), f"/a: {full}; make room"),
        (OSError(28, full, "/a", None, "/b"), f"/b: {full}; make room"),
        (OSError(24, "Too many open files"), "raise the limit on open files (ulimit -n)"),
        (OSError("odd"), "odd; check the path, the permissions and the free disk space"),
    ]:
        assert words in describe_os_error(error)


def test_what_the_machine_refused_is_found_behind_errors_of_libraries():
    full = OSError(28, "No space left on device")
    assert operating_system_error(raised(ValueError(), full)) is full
    assert operating_system_error(raised(ValueError(), FileNotFoundError(2, "none"))) is None
    for asked in (MemoryError(), RuntimeError("can't start new thread")):
        assert memory_error(raised(ValueError("of a library"), asked)) is asked
    assert memory_error(raised(ValueError("of ours"), OSError())) is None
