"""Dataset files and settings that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.exit_codes import BAD_INPUT
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NOT_A_DATASET = (
    (
        "no dataset file of this name",
        "a path at which nothing is",
        None,
        ("no-such.yaml",),
    ),
    ("an empty dataset file", "a file of no bytes", "", ("name",)),
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            text,
            marks=fault(
                Area.SETTINGS, what, made=made, code=BAD_INPUT, told=told, left=Left.AS_BEFORE
            ),
            id=what,
        )
        for what, made, text, told in NOT_A_DATASET
    ],
)
def test_a_dataset_file_that_cannot_be_used(text: str | None, command: Command) -> None:
    path: Path = command.folder / "no-such.yaml"
    if text is not None:
        path.write_text(text)
    command("validate", path)
