"""The command refuses spoiled tables before anything is fitted.

What each rule refuses is tested without a command, in `tests.spoiled`.
"""

import random

import pytest
import yaml

from deployments.cli.app import main
from deployments.cli.exit_codes import BAD_INPUT
from tests.integration.runs import runs_in
from tests.spoiled.spoil import complete_release
from tests.spoiled.spoils import SPOILS

SPOILED = (
    "flag in UsedByChronos of guide_map",
    "an empty file",
    "no file",
    "a repeated guide",
    "a repeated model",
    "plain_label in Gene of nonessential",
)


@pytest.mark.integration
def test_a_fit_of_spoiled_tables_reports_all_of_them_and_leaves_no_run(working_folder, capsys):
    release, chosen = complete_release(), [one for one in SPOILS if one.name in SPOILED]
    for spoil in chosen:
        release, _ = spoil.change(release, random.Random(1))
    dataset = release.write(working_folder)
    file = working_folder / "dataset.yaml"
    file.write_text(yaml.safe_dump(dataset.model_dump(exclude_none=True)))
    assert main(["fit", str(file)]) == BAD_INPUT
    told = capsys.readouterr().err
    assert all(f"{spoil.rule}: {spoil.table}" in told for spoil in chosen) and len(chosen) == 6
    assert runs_in(working_folder) == []
