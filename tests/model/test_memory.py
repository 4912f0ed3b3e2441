"""What a fit is expected to take, held against what fits have been measured to take."""

from __future__ import annotations

import pytest

from model.engines import cost
from model.memory import Sizes, fit_bytes, in_words, reading_bytes
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows, nested_rows

WHOLE = Sizes(genes=18_000, cell_lines=1100, guides=72_000)

# Peaks of a process less what it held with the design in place, bytes: VmHWM, two cores.
MEASURED = (
    # Engine alone, of `benchmarks.growth`: 3.4 GB less 1.43 GB of design and 0.42 GB of libraries.
    ("m4", WHOLE, 2000, True, 1.6e9),
    ("m4", Sizes(2000, 300, 8000), 8000, True, 1.1e9),
    ("m4", Sizes(300, 60, 1200), 2000, False, 0.51e9),
    ("m4_nested", Sizes(800, 150, 3200), 4000, True, 0.61e9),
)


def settings(model: str = "m4", draws: int = 8000, **sampling: object) -> FitParameters:
    return FitParameters.model_validate(
        {"model": model, "sampling": {"draws": draws // 4, **sampling}}
    )


@pytest.mark.parametrize(("model", "sizes", "draws", "exact", "measured"), MEASURED)
def test_the_estimate_is_within_a_third_of_what_was_measured(
    model, sizes, draws, exact, measured, monkeypatch
):
    monkeypatch.setattr("model.memory.n_threads", lambda: 2)  # as it was
    expected = fit_bytes(sizes, settings(model, draws), exact=exact)
    assert 2 / 3 < expected / measured < 4 / 3


@pytest.mark.parametrize("exact", [True, False])
def test_more_of_anything_takes_more(exact):
    few = Sizes(2000, 200, 8000)
    base = fit_bytes(few, settings(), exact=exact)
    assert fit_bytes(Sizes(8000, 200, 32_000), settings(), exact=exact) > base
    assert fit_bytes(few, settings(draws=80_000), exact=exact) > base
    assert fit_bytes(few, settings("m4_nested"), exact=exact) > base


def test_log_likelihood_and_predictive_cells_are_counted():
    nuts = settings(draws=2000)
    base = fit_bytes(WHOLE, nuts, exact=False)
    kept = settings(draws=2000, log_likelihood=True, predictive_cells=2_000_000)
    assert fit_bytes(WHOLE, kept, exact=False) > base + 4e9


def test_the_sums_of_a_whole_release_are_counted_twice_while_they_are_read():
    assert reading_bytes(WHOLE) == pytest.approx(2.2e9, rel=0.02)


# By hand, of 10 genes, 4 lines and 30 guides, 2 chains of 100 draws (128 points), 100 predictive
# draws of cells of 60 measurements.
SMALL = Sizes(genes=10, cell_lines=4, guides=30)
DRAWS = 8 * 200 * (7 + 10 + 10 + 4)
NESTED_DRAWS = 8 * 200 * (10 + 10 + 10 + 4 + 30)
CHECKS = 8 * 2 * 100 * 20 + 2 * 8 * 200 * 10
KEPT_CHECKS = 8 * 3 * 100 * 20 + 2 * 8 * 200 * 10
BLOCKS = 8 * (3 * 10 * 4 + 3 * 10 * 4)
NESTED_BLOCKS = 8 * (3 * 30 * 4 + 3 * 10 * 4)
NODES, NESTED_NODES = 8 * 49 * 25, 8 * 49 * 126
POINTS = 8 * 256 * 7
EFFECTS = 3 * 8 * 200 * 10
PASS = 4 * 8 * 2_000_000


def few(model: str = "m4", **sampling: object) -> FitParameters:
    """Settings of fewer draws than anybody may ask for."""
    given = settings(model, 400)
    return given.model_copy(update={"sampling": given.sampling.model_copy(update=sampling)})


@pytest.mark.parametrize(
    ("model", "exact", "kept", "n_bytes"),
    [
        ("m4", True, False, DRAWS + max(BLOCKS + NODES + POINTS + EFFECTS, CHECKS)),
        (
            "m4_nested",
            True,
            False,
            NESTED_DRAWS + NESTED_BLOCKS + NESTED_NODES + POINTS + EFFECTS * 5 // 2 + PASS,
        ),
        ("m4", False, False, DRAWS + 300_000_000 + 2 * DRAWS),
        ("m4", True, True, DRAWS + max(BLOCKS + NODES + POINTS + EFFECTS, KEPT_CHECKS)),
    ],
)
def test_the_bytes_of_a_small_fit_are_those_reckoned_by_hand(
    model, exact, kept, n_bytes, monkeypatch
):
    monkeypatch.setattr("model.memory.n_threads", lambda: 1)
    given = few(model, chains=2, predictive_draws=100, predictive_cells=60, log_likelihood=kept)
    assert fit_bytes(SMALL, given, exact=exact) == n_bytes


@pytest.mark.parametrize("genes", [1, 50])
def test_the_sums_of_every_node_are_kept(genes, monkeypatch):
    monkeypatch.setattr("model.memory.n_threads", lambda: 2)
    given = few(chains=1, predictive_draws=1, predictive_cells=1)
    sizes = Sizes(genes, 1000, genes)
    draws = 8 * 100 * (7 + 2 * genes + 1000)
    engine = 8 * 6 * genes * 1000 + 8 * 1003**2 * 25 + 8 * 128 * 1003 + 3 * 8 * 100 * genes
    assert fit_bytes(sizes, given, exact=True) == draws + engine


@pytest.mark.parametrize("guides", [20, 60])
def test_the_nested_model_has_more_nodes(guides, monkeypatch):
    monkeypatch.setattr("model.memory.n_threads", lambda: 1)
    given = few("m4_nested", chains=1, predictive_draws=1, predictive_cells=1)
    draws = 8 * 100 * (10 + 2 * 20 + 1000 + guides)
    engine = 8 * 3 * (guides + 20) * 1000 + 8 * 1003**2 * 126 + 8 * 128 * 1003
    effects = 3 * 8 * 100 * (2 * 20 + guides) / 2
    expected = draws + engine + effects + PASS
    assert fit_bytes(Sizes(20, 1000, guides), given, exact=True) == expected


def test_every_thread_passes_over_a_block_of_the_nested_model(monkeypatch):
    given = few("m4_nested", chains=2, predictive_draws=100, predictive_cells=60)
    expected = []
    for n in (1, 3):
        monkeypatch.setattr("model.memory.n_threads", lambda n=n: n)
        expected.append(fit_bytes(SMALL, given, exact=True))
    assert expected[1] - expected[0] == 2 * PASS


def test_a_single_gene_has_all_guides(monkeypatch):
    monkeypatch.setattr("model.memory.n_threads", lambda: 1)
    given = few("m4_nested", chains=2, predictive_draws=100, predictive_cells=60)
    draws = 8 * 200 * (10 + 1 + 1 + 4 + 4)
    engine = (
        8 * (3 * 4 * 4 + 3 * 4) + NESTED_NODES + 8 * 256 * 7 + 3 * 8 * 200 * (2 + 4) // 2 + PASS
    )
    assert fit_bytes(Sizes(genes=1, cell_lines=4, guides=4), given, exact=True) == draws + engine


@pytest.mark.parametrize(("sizes", "cells"), [(Sizes(10, 40, 10), 60), (Sizes(1, 40, 4), 15)])
def test_predictive_draws_are_of_so_many_guide_line_cells(sizes, cells):
    given = few(chains=2, predictive_draws=10_000, predictive_cells=60)
    draws = 8 * 200 * (7 + 2 * sizes.genes + 40)
    checks = 8 * 2 * 10_000 * cells + 2 * 8 * 200 * sizes.genes
    assert fit_bytes(sizes, given, exact=True) == draws + checks


def test_the_effects_of_a_block_at_a_time_are_drawn_by_every_thread(monkeypatch):
    given = few(chains=1, predictive_draws=1, predictive_cells=1)
    sizes = Sizes(8000, 1000, 8000)
    expected = []
    for n in (1, 3):
        monkeypatch.setattr("model.memory.n_threads", lambda n=n: n)
        expected.append(fit_bytes(sizes, given, exact=True))
    of_a_block = 3 * 8 * 100 * 2_000_000 / 3000
    assert expected[1] - expected[0] == pytest.approx(2 * of_a_block, abs=1)


def test_the_bytes_read_are_those_reckoned_by_hand():
    assert reading_bytes(Sizes(genes=2, cell_lines=3, guides=5)) == 2 * (150 + 48) + 2 * 48


def test_the_cost_tells_memory_and_leaving_lines_out():
    said = cost(design_from_rows(nested_rows(6, 7, 3, 2)[0]), FitParameters())
    assert "MB more memory, then about 1 s for leaving out cell lines and lineages" in said


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (1, "10 MB"),
        (10_000_000, "10 MB"),
        (10_000_001, "20 MB"),
        (333e6, "340 MB"),
        (1e9, "1.0 GB"),
        (3.44e9, "3.4 GB"),
    ],
)
def test_amounts_are_told_as_people_say_them(n_bytes, words):
    assert in_words(n_bytes) == words


def test_sampling_settings_are_those_of_a_fit():
    assert settings(draws=8000).sampling == Sampling(draws=2000)
