"""The log of a run: no traceback where the message says what to do, all of it for a defect."""

from __future__ import annotations

import logging

import pytest

from schemas.errors import EnvironmentTrouble, UserError
from tasks.progress import tell


def logged(logger: str, error: Exception, text: str) -> logging.LogRecord | None:
    """What becomes of a record with the traceback of an error; None if it is dropped."""
    assert callable(tell)  # the filters come with its module
    of = (type(error), error, None)
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, text, (), of)
    return record if logging.getLogger(logger).filter(record) else None


@pytest.mark.parametrize("logger", ["prefect.flow_runs", "prefect.task_runs"])
@pytest.mark.parametrize("error", [UserError("mend it"), EnvironmentTrouble("start it")])
def test_what_is_told_in_words_has_no_traceback(logger: str, error: Exception) -> None:
    record = logged(logger, error, "Task run failed - Retry 1/3 will start in 5 seconds")
    assert record is not None and record.exc_info is None
    assert logged(logger, error, "Engine execution exited with unexpected exception") is None


@pytest.mark.parametrize("logger", ["prefect.flow_runs", "prefect.task_runs"])
def test_a_defect_keeps_its_traceback(logger: str) -> None:
    record = logged(logger, KeyError("gene"), "Engine execution exited with unexpected exception")
    assert record is not None and record.exc_info is not None
