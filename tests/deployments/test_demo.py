"""How much the demonstration draws, by engine; that it reproduces the table is integration."""

from __future__ import annotations

import pytest

from deployments import command_line
from deployments.options import FitOptions


class Asked(Exception):
    """Raised with the number of draws, instead of a fit."""


@pytest.fixture
def draws_asked_for(tmp_path, monkeypatch):
    """Function from options to the draws a chain that the demonstration asks for."""

    def fit(dataset, parameters):
        raise Asked(parameters.sampling.draws)

    monkeypatch.setattr(command_line, "_fit", fit)
    monkeypatch.chdir(tmp_path)

    def asked(options: FitOptions) -> int:
        with pytest.raises(Asked) as stop:
            command_line.demo(options=options)
        return stop.value.args[0]

    return asked


@pytest.mark.parametrize(
    ("options", "draws"),
    [
        (FitOptions(), 2000),
        (FitOptions(engine="exact"), 2000),
        (FitOptions(engine="nuts"), 20_000),
        (FitOptions(engine="nuts", draws=500), 500),
        (FitOptions(engine="exact", draws=500), 500),
    ],
)
def test_only_nuts_needs_many_draws(options, draws, draws_asked_for):
    assert draws_asked_for(options) == draws


def test_an_engine_of_a_settings_file_counts_too(tmp_path, draws_asked_for):
    (tmp_path / "nuts.yaml").write_text("engine: nuts\n")
    assert draws_asked_for(FitOptions(parameters=tmp_path / "nuts.yaml")) == 20_000
