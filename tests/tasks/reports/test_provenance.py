"""The command that repeats a fit: the command line makes the same settings of it."""

import shlex

import pytest
from cyclopts import App

from deployments.cli.app import main
from deployments.cli.exit_codes import DONE
from deployments.cli.options import FitOptions
from flows.fit_pipeline import FitOutcome
from schemas.parameters import FitParameters
from tasks.reports.provenance import command_for, import_command
from tasks.tracking.artifacts import PARAMETERS_FILE

GENES = tuple(f"GENE{number} ({number})" for number in range(1, 101))
BY_OPTIONS: dict[str, dict[str, object]] = {
    "the defaults": {},
    "the exact engine": {"engine": "exact", "sampling": {"draws": 500, "chains": 8}},
    "options": {
        "model": "m4_zero_mean",
        "seed": 7,
        "sampling": {"sampler": "pymc", "draws": 60, "tune": 70, "target_accept": 0.95},
        "priors": {"mu_beta": "Normal(-0.5, 1e-05)", "sigma": "HalfNormal(0.12345678)"},
        "filters": {
            "genes": GENES,
            "without_cell_lines": ("ACH-000001",),
            "lineages": ("Skin", "Ovary/Fallopian Tube"),
        },
    },
}
BY_FILE: dict[str, dict[str, object]] = {
    "predictive draws": {"sampling": {"predictive_draws": 60}},
    "a comma in a label": {"filters": {"lineages": ("Skin, other",)}},
    "options beside": {"thresholds": {"rhat_max": 1.05}, **BY_OPTIONS["options"]},
}
SETTINGS = BY_OPTIONS | BY_FILE
fit_command = App(result_action="return_value")


@fit_command.command
def fit(dataset: str, *, options: FitOptions = FitOptions()) -> FitParameters:
    """Return the settings that `screenbayes fit` makes of its options."""
    assert dataset == "my screen.yaml"
    return options.fit_parameters()


@pytest.mark.parametrize("case", SETTINGS)
def test_the_command_repeats_fit_and_import_beside_the_artifacts(case, tmp_path, monkeypatch):
    parameters = FitParameters.model_validate(SETTINGS[case])
    (tmp_path / PARAMETERS_FILE).write_text(parameters.model_dump_json(indent=2))
    monkeypatch.chdir(tmp_path)
    command = command_for("my screen.yaml", parameters)
    assert fit_command(shlex.split(command)[1:]) == parameters
    assert (f"--parameters {PARAMETERS_FILE}" in command) == (case in BY_FILE)

    came = []

    def run(*given: object) -> FitOutcome:
        came.append(given)
        return FitOutcome("0" * 32, "there", None)

    monkeypatch.setattr("flows.import_trace.import_trace", run)
    assert main(shlex.split(import_command("old.nc", "my screen.yaml", parameters))[1:]) == DONE
    ((trace, dataset, imported, *_),) = came
    assert (trace, dataset) == ("old.nc", "my screen.yaml")
    # Model, engine and draws are those of the trace.
    for name in ("seed", "priors", "filters", "preparation", "contract", "thresholds"):
        assert getattr(imported, name) == getattr(parameters, name)
