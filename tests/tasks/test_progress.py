"""The log of a run has a traceback for a defect, and none where the message says what to do."""

from __future__ import annotations

import logging

import pytest

import tasks.progress  # noqa: F401  # adds the filters
from schemas.errors import EnvironmentTrouble, UserError

LAST = "Engine execution exited with unexpected exception"


@pytest.mark.parametrize("logger", ["prefect.flow_runs", "prefect.task_runs"])
@pytest.mark.parametrize(
    ("error", "text", "kept", "traceback"),
    [
        (UserError("correct it"), "Task run failed - Retry 1/3", True, False),
        (EnvironmentTrouble("start it"), "Task run failed - Retry 1/3", True, False),
        (UserError("correct it"), LAST, False, False),
        (KeyError("gene"), LAST, True, True),
    ],
)
def test_only_a_defect_keeps_its_traceback(logger, error, text, kept, traceback):
    of = (type(error), error, None)
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, text, (), of)
    assert bool(logging.getLogger(logger).filter(record)) == kept
    assert (record.exc_info is not None) == traceback
