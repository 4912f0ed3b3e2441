"""The two kinds of error shown without a traceback. Any other exception is a bug.

A message says what was expected, what was found, and what to do.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

MEMORY_REMEDIES = (
    "use fewer draws (--draws) or genes (--genes), lower sampling.predictive_cells, close other "
    "programs, or use a larger machine"
)
"""Remedies for too little memory."""


class UserError(ValueError):
    """An error the user can correct: a table, a dataset file, an option. Exit code 2."""


class ExternalServiceError(Exception):
    """A failure of storage, of a server or of the machine. Exit code 3."""


_REMEDIES = {
    errno.ENOSPC: "make room there: the disk is full or out of inodes",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose a writable location",
    errno.EACCES: "correct the permissions, or choose another location",
    errno.EPERM: "correct the permissions, or choose another location",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many files open",
}


def describe_os_error(error: OSError) -> str:
    """Return the path, the error of the operating system, and the remedy."""
    where = error.filename2 or error.filename  # filename2: target of a copy
    what = f"{where}: {error.strerror}" if where else str(error)
    remedy = _REMEDIES.get(
        error.errno or 0, "check the path, the permissions and the free disk space"
    )
    return f"{what}; {remedy}"


def operating_system_error(error: BaseException) -> OSError | None:
    """Return the OSError with a known remedy that caused `error`, or None; libraries wrap it."""
    for one in _causes(error):
        if isinstance(one, OSError) and one.errno in _REMEDIES:
            return one
    return None


def memory_error(error: BaseException) -> BaseException | None:
    """Return the failed allocation that caused `error`, or None."""
    for one in _causes(error):
        # A thread needs a stack; Python has no error class for a failed allocation of one.
        if isinstance(one, MemoryError) or "can't start new thread" in str(one):
            return one
    return None


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error.

    Ctrl-C also reaches the embedded servers, and the first failure may be a call to one of them.
    Libraries in another language (pydantic) may keep only the name of the exception.
    """
    return any(
        isinstance(one, KeyboardInterrupt) or KeyboardInterrupt.__name__ in str(one)
        for one in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its causes and its contexts."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
