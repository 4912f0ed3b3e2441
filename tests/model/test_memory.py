"""The memory a fit is expected to take, against measured peaks and against sums by hand."""

import pytest

from model.memory import Sizes, fit_bytes, in_words, reading_bytes
from schemas.parameters import FitParameters

WHOLE = Sizes(genes=18_000, cell_lines=1100, guides=72_000)
SMALL = Sizes(genes=10, cell_lines=4, guides=30)


def settings(model: str, draws: int = 100, chains: int = 2, **sampling: object) -> FitParameters:
    """Settings of draws and cells that may be fewer than a fit is allowed."""
    given = FitParameters.model_validate({"model": model})
    update = {"draws": draws, "chains": chains, **sampling}
    return given.model_copy(update={"sampling": given.sampling.model_copy(update=update)})


@pytest.mark.parametrize(
    ("model", "sizes", "draws", "exact", "measured"),
    [
        # Peaks of a process less what it held with the design in place, bytes: VmHWM, two cores.
        # The engine alone: 3.4 GB less 1.43 GB of design and 0.42 GB of libraries.
        ("m4", WHOLE, 2000, True, 1.6e9),
        ("m4", Sizes(2000, 300, 8000), 8000, True, 1.1e9),
        ("m4", Sizes(300, 60, 1200), 2000, False, 0.51e9),
        ("m4_nested", Sizes(800, 150, 3200), 4000, True, 0.61e9),
    ],
)
def test_the_estimate_is_within_a_third_of_what_was_measured(
    model, sizes, draws, exact, measured, monkeypatch
):
    monkeypatch.setattr("model.memory.n_threads", lambda: 2)
    expected = fit_bytes(sizes, settings(model, draws // 4, 4), exact=exact)
    assert 2 / 3 < expected / measured < 4 / 3


NODES, NESTED_NODES = 8 * 49 * 25, 8 * 49 * 126
POINTS, EFFECTS, PASS = 8 * 256 * 7, 8 * 200 * 10, 4 * 8 * 2_000_000
DRAWS, NESTED_DRAWS = 8 * 200 * (7 + 10 + 10 + 4), 8 * 200 * (10 + 10 + 10 + 4 + 30)
ENGINE = NESTED_NODES + POINTS
NESTED = NESTED_DRAWS + 8 * 480 + ENGINE + 7.5 * EFFECTS + 3 * PASS
MANY, KEPT = {"predictive_draws": 10_000}, {"predictive_draws": 10_000, "log_likelihood": True}
# Each of the threads draws the effects of a block of 2,000,000 / 3,000 genes.
LARGE = 8 * (200 * 17_007 + 6 * 8_000_000 + 1003**2 * 25 + 256 * 1003 + 3 * 200 * 2_000)


@pytest.mark.parametrize(
    ("model", "sizes", "exact", "sampling", "n_threads", "n_bytes"),
    [
        ("m4", SMALL, True, {}, 1, DRAWS + 8 * 240 + NODES + POINTS + 3 * EFFECTS),
        ("m4_nested", SMALL, True, {}, 3, NESTED),
        ("m4_nested", Sizes(1, 4, 4), True, {}, 1, 8 * 200 * 29 + 8 * 60 + ENGINE + PASS),
        ("m4", SMALL, False, {}, 1, 3 * DRAWS + 300_000_000),
        ("m4", SMALL, True, KEPT, 1, DRAWS + 8 * 3 * 10_000 * 20 + 2 * EFFECTS),
        ("m4", Sizes(1, 40, 4), True, MANY, 1, 8 * (200 * 49 + 2 * 10_000 * 15 + 2 * 200)),
        ("m4", Sizes(8000, 1000, 8000), True, {}, 3, LARGE),
    ],
)
def test_the_bytes_of_a_fit_are_those_counted_by_hand(
    model, sizes, exact, sampling, n_threads, n_bytes, monkeypatch
):
    monkeypatch.setattr("model.memory.n_threads", lambda: n_threads)
    given = settings(model, **{"predictive_draws": 100, "predictive_cells": 60} | sampling)
    assert fit_bytes(sizes, given, exact=exact) == n_bytes


def test_the_sums_of_a_screen_are_counted_twice_while_they_are_read():
    assert reading_bytes(Sizes(genes=2, cell_lines=3, guides=5)) == 2 * (150 + 48) + 2 * 48


def test_amounts_are_in_units_people_use():
    amounts = (1, 10_000_000, 10_000_001, 10**9, 3_440_000_000)
    assert [*map(in_words, amounts)] == ["10 MB", "10 MB", "20 MB", "1.0 GB", "3.4 GB"]
