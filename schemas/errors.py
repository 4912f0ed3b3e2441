"""The two kinds of error that are told without a traceback. Anything else is a defect of ours.

A message says what was expected, what came, and what to do.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

MEMORY_MENDS = (
    "take fewer draws (--draws) or genes (--genes), lower sampling.predictive_cells, end other "
    "programs, or take a larger machine"
)
"""What to do where memory does not suffice."""


class UserError(ValueError):
    """Something the user can mend: a table, a dataset file, an option. Exit code 2."""


class EnvironmentTrouble(Exception):
    """Storage, a server or the machine does not do its part. Exit code 3."""


_MENDS = {
    errno.ENOSPC: "make room there: the disk has no space, or no place for more files",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "name a place that may be written to",
    errno.EACCES: "correct the permissions, or name another place",
    errno.EPERM: "correct the permissions, or name another place",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many files open",
}


def told(error: OSError) -> str:
    """Say what the machine refused, where, and what to do."""
    where = error.filename2 or error.filename  # of a copy, the copy
    what = f"{where}: {error.strerror}" if where else str(error)
    mend = _MENDS.get(error.errno or 0, "check the path, the permissions and the space on the disk")
    return f"{what}; {mend}"


def refused_by_the_machine(error: BaseException) -> OSError | None:
    """Return what the machine refused, where that is what is behind an error; libraries wrap it."""
    for one in _behind(error):
        if isinstance(one, OSError) and one.errno in _MENDS:
            return one
    return None


def without_memory(error: BaseException) -> BaseException | None:
    """Return what asked for memory in vain, where that is behind an error."""
    for one in _behind(error):
        # A thread wants a stack; Python has no error of its own for one that has no room.
        if isinstance(one, MemoryError) or "can't start new thread" in str(one):
            return one
    return None


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the root of an error.

    It reaches the embedded servers too, and what fails first may be a call to one of them. Of one
    that reaches a library in another language, as pydantic's, no more than the name may be left.
    """
    return any(
        isinstance(one, KeyboardInterrupt) or KeyboardInterrupt.__name__ in str(one)
        for one in _behind(error)
    )


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those it was raised from or amid."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
