"""The command that repeats a fit: read by the command line, it gives the same settings."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from cyclopts import App

from deployments.command_line import main
from deployments.exit_codes import DONE
from deployments.options import FitOptions
from flows.tracked_posterior import FitOutcome
from schemas.parameters import FitParameters
from tasks.artifacts import write_artifacts
from tasks.reproduce import command_for, import_command
from tests.tasks.fits import REPORT, results_of

GENES = tuple(f"GENE{number} ({number})" for number in range(1, 1001))
BY_OPTIONS: dict[str, dict[str, object]] = {
    "the defaults": {},
    "the exact engine": {"engine": "exact", "sampling": {"draws": 500, "chains": 8}},
    "options": {
        "model": "m4_zero_mean",
        "seed": 7,
        "sampling": {"sampler": "pymc", "draws": 60, "tune": 70, "target_accept": 0.95},
        "priors": {"mu_beta": "Normal(0, 0.5)", "sigma": "HalfNormal(2)"},
        "filters": {
            "genes": GENES,
            "without_cell_lines": ("ACH-000001",),
            "lineages": ("Skin", "Ovary/Fallopian Tube"),
        },
    },
}
BY_FILE: dict[str, dict[str, object]] = {
    "thresholds": {"thresholds": {"max_divergence_share": 1e-05}},
    "preparation": {"preparation": {"min_rna_sd": 0.25}},
    "contract": {"contract": {"max_abs_logfc": 20.0}},
    "predictive draws": {"sampling": {"predictive_draws": 60}},
    "predictive cells": {"sampling": {"predictive_cells": 1000}},
    "calls": {"calls": {"error_max": 0.01}},
    "influence": {"influence": {"change_min": 2.0}},
    "a comma in a label": {"filters": {"lineages": ("Skin, other",)}},
    "options beside": {
        "thresholds": {"rhat_max": 1.05},
        "priors": {"mu_beta": "Normal(0, 0.5)"},
        "filters": {"genes": GENES},
        "sampling": {"draws": 60},
    },
}


def read_back(command: str) -> FitParameters:
    """What `screenbayes fit` makes of a command."""
    app = App(result_action="return_value")

    @app.command
    def fit(dataset: str, *, options: FitOptions = FitOptions()) -> FitParameters:
        assert dataset == "my screen.yaml"
        return options.fit_parameters()

    found = app(shlex.split(command)[1:])
    assert isinstance(found, FitParameters)
    return found


@pytest.mark.parametrize("settings", (BY_OPTIONS | BY_FILE).values(), ids=BY_OPTIONS | BY_FILE)
def test_the_command_repeats_the_fit_beside_the_artifacts_of_the_run(
    settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = FitParameters.model_validate(settings)
    write_artifacts(results_of(parameters), REPORT, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert read_back(command_for("my screen.yaml", parameters)) == parameters


@pytest.mark.parametrize("settings", (BY_OPTIONS | BY_FILE).values(), ids=BY_OPTIONS | BY_FILE)
def test_the_command_repeats_the_import_beside_the_artifacts_of_the_run(
    settings: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect_free_import: list[FitParameters],
) -> None:
    parameters = FitParameters.model_validate(settings)
    write_artifacts(results_of(parameters), REPORT, tmp_path)
    monkeypatch.chdir(tmp_path)
    command = import_command("old.nc", "my screen.yaml", parameters)
    assert main(shlex.split(command)[1:]) == DONE
    (came,) = prefect_free_import
    # Model, engine and draws are those of the trace.
    for name in ("seed", "priors", "filters", "preparation", "contract", "thresholds"):
        assert getattr(came, name) == getattr(parameters, name)


@pytest.fixture
def prefect_free_import(monkeypatch: pytest.MonkeyPatch) -> list[FitParameters]:
    """The parameters that the command hands to the flow, which is not run."""
    came: list[FitParameters] = []

    def run(trace: str, dataset: str, parameters: FitParameters) -> FitOutcome:
        assert (trace, dataset) == ("old.nc", "my screen.yaml")
        came.append(parameters)
        return FitOutcome("0" * 32, "there", None)

    monkeypatch.setattr("flows.import_trace.import_trace", run)
    return came


def test_only_nuts_is_told_how_to_sample() -> None:
    commands = {
        engine: command_for("my screen.yaml", FitParameters.model_validate({"engine": engine}))
        for engine in ("auto", "nuts", "exact")
    }
    for option in ("--sampler nutpie", "--tune 2000", "--target-accept 0.8"):
        assert option in commands["auto"] and option in commands["nuts"]
        assert option not in commands["exact"]
    assert "--draws 2000" in commands["exact"]


@pytest.mark.parametrize(("cases", "needed"), [(BY_OPTIONS, False), (BY_FILE, True)])
def test_the_file_is_needed_only_for_what_options_cannot_say(
    cases: dict[str, dict[str, object]], needed: bool
) -> None:
    for settings in cases.values():
        command = command_for("my screen.yaml", FitParameters.model_validate(settings))
        assert ("--parameters parameters.json" in command) == needed
