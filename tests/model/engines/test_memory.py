"""The memory a fit is expected to take, against measured peaks."""

import pytest

from model.engines.memory import Sizes, choose_draws, fit_bytes
from schemas.parameters import FitParameters, Sampling

WHOLE = Sizes(genes=18_000, cell_lines=1100, guides=72_000)


def settings(model: str, draws: int = 100, chains: int = 2, **sampling: object) -> FitParameters:
    """Settings of draws and cells that may be fewer than a fit is allowed."""
    given = FitParameters.model_validate({"model": model})
    update = {"draws": draws, "chains": chains, **sampling}
    return given.model_copy(update={"sampling": given.sampling.model_copy(update=update)})


@pytest.mark.parametrize(
    ("model", "sizes", "draws", "engine", "measured"),
    [
        # Peaks of a process less what it held with the design in place, bytes: VmHWM, two cores.
        # The engine alone: 3.4 GB less 1.43 GB of design and 0.42 GB of libraries.
        ("m4", WHOLE, 2000, "exact", 1.6e9),
        ("m4", Sizes(2000, 300, 8000), 8000, "exact", 1.1e9),
        ("m4", Sizes(300, 60, 1200), 2000, "nuts", 0.51e9),
        ("m4_nested", Sizes(800, 150, 3200), 4000, "exact", 0.61e9),
    ],
)
def test_the_estimate_is_within_a_third_of_what_was_measured(
    model, sizes, draws, engine, measured, monkeypatch
):
    monkeypatch.setattr("model.engines.memory.n_threads", lambda: 2)
    expected = fit_bytes(sizes, settings(model, draws // 4, 4), engine)
    assert 2 / 3 < expected / measured < 4 / 3


@pytest.mark.parametrize(
    ("engine", "sizes", "given", "draws"),
    [
        ("gibbs", Sizes(100, 40, 400), None, 1000),
        ("gibbs", Sizes(2000, 40, 8000), None, 500),
        ("exact", Sizes(2000, 40, 8000), None, 2000),
        ("gibbs", WHOLE, None, 500),
        ("gibbs", WHOLE, 4000, 4000),
    ],
)
def test_a_large_screen_has_fewer_draws_where_none_are_asked_for(engine, sizes, given, draws):
    parameters = FitParameters(sampling=Sampling(draws=given))
    assert choose_draws(parameters, sizes, engine).sampling.draws == draws
