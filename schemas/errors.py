"""The two kinds of error that are told without a traceback. Anything else is a defect of ours.

A message says what was expected, what came, and what to do.
"""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can mend: a table, a dataset file, an option. Exit code 2."""


class EnvironmentTrouble(Exception):
    """Storage, a server or the machine does not do its part. Exit code 3."""


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the root of an error.

    It reaches the embedded servers too, and what fails first may be a call to one of them.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
