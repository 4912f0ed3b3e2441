"""Which engine is taken and what it is given, and what makes its result complete.

The engines do not run here: that they agree is `exact/test_engine`, how long they take
`exact/test_work`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from model.design import ScreenDesign
from model.engines import NoIntegral, complete, cost, needed_bytes, run_engine, seeds
from model.exact.proposal import NotIntegrable
from model.exact.workers import ThisProcess
from model.identified import NotIdentified
from model.loo import log_likelihood_group
from model.memory import Sizes, fit_bytes
from model.on_progress import nobody
from model.predictive import data_groups, draw_prior, looked_at, replicate_cells, thin
from schemas.parameters import FitParameters, Priors, Sampling
from schemas.posterior import CONTRACTS
from tests.designs import design_from_rows, nested_rows
from tests.model.test_convergence import INTEGRATED

ROWS = nested_rows(n_genes=3, n_lines=4, n_guides=2, n_replicates=2)[0]
DESIGN = design_from_rows(ROWS)
DIMS = ("chain", "draw")


class Engines:
    """Stands for both engines: what they were given, and what the exact one says of itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: dict[str, tuple[Any, ...]] = {}
        self.diagnostics: dict[str, float] | str = dict(INTEGRATED)
        self.integrated = xr.DataTree()
        self.sampled = xr.DataTree()
        monkeypatch.setattr("model.engines.exact.sample", self.exact)
        monkeypatch.setattr("model.engines.nuts.sample", self.nuts)
        monkeypatch.setattr("model.engines.build_model", lambda *given: ("model of", *given))

    def exact(self, *given: Any) -> xr.DataTree:
        self.given["exact"] = given
        if isinstance(self.diagnostics, str):
            raise NotIntegrable(self.diagnostics)
        self.integrated["sample_stats"] = xr.DataTree(xr.Dataset(self.diagnostics))
        return self.integrated

    def nuts(self, *given: Any) -> xr.DataTree:
        self.given["nuts"] = given
        return self.sampled


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    return Engines(monkeypatch)


def first_seed(seed: int) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


@pytest.mark.parametrize("engine", ["auto", "exact"])
def test_an_integration_that_can_be_relied_on_is_the_result(engines, engine):
    parameters, workers = FitParameters(engine=engine, seed=5), ThisProcess()

    def told(done: int, total: int) -> None: ...

    tree = run_engine(DESIGN, parameters, told, workers)
    assert tree is engines.integrated
    assert tree.attrs == {"engine": "exact"}
    assert engines.given == {"exact": (DESIGN, parameters, first_seed(5), told, workers)}


def test_where_nothing_is_said_nobody_is_told_and_this_process_works(engines):
    run_engine(DESIGN, FitParameters())
    *_, told, workers = engines.given["exact"]
    assert told is nobody and isinstance(workers, ThisProcess)


def sampled_by(parameters: FitParameters, told: Any) -> tuple[Any, ...]:
    """What NUTS is to be given."""
    return (
        ("model of", parameters.model, DESIGN, parameters.priors),
        CONTRACTS[parameters.model],
        parameters.sampling,
        first_seed(parameters.seed),
        told,
    )


def test_nuts_that_is_asked_for_samples_at_once(engines):
    parameters = FitParameters(engine="nuts", seed=6, sampling=Sampling(draws=77))
    tree = run_engine(DESIGN, parameters, print)
    assert tree is engines.sampled
    assert tree.attrs == {"engine": "nuts"}
    assert engines.given == {"nuts": sampled_by(parameters, print)}


def test_nuts_samples_where_the_integration_fails_and_every_reason_is_kept(engines):
    engines.diagnostics |= {"pareto_k": 0.9, "interpolation_error": 0.2, "log_evidence": np.nan}
    parameters = FitParameters(
        seed=6, priors=Priors.model_validate({"sigma": "Exponential(2)"}), model="m4_zero_mean"
    )
    tree = run_engine(DESIGN, parameters, print)
    assert tree is engines.sampled
    assert tree.attrs["engine"] == "nuts"
    first, second = tree.attrs["fell_back"].split("engine nuts; ")
    assert "Pareto k" in first and "log evidence is nan" in second  # the other is to be reviewed
    assert engines.given["nuts"] == sampled_by(parameters, print)


def test_the_limits_of_an_integration_are_those_of_the_settings(engines):
    strict = FitParameters.model_validate({"thresholds": {"pareto_k_max": 0.05}})
    assert "0.05" in run_engine(DESIGN, strict).attrs["fell_back"]


def test_an_integration_asked_for_is_the_result_even_where_it_fails(engines):
    engines.diagnostics |= {"pareto_k": 0.9}
    tree = run_engine(DESIGN, FitParameters(engine="exact"))
    assert tree is engines.integrated
    assert tree.attrs == {"engine": "exact"}
    assert "nuts" not in engines.given


def test_what_cannot_be_integrated_is_sampled_or_refused(engines):
    engines.diagnostics = "zero where its search begins"
    assert run_engine(DESIGN, FitParameters()).attrs == {
        "engine": "nuts",
        "fell_back": "zero where its search begins",
    }
    with pytest.raises(NoIntegral) as refused:
        run_engine(DESIGN, FitParameters(engine="exact"))
    assert str(refused.value) == (
        "expected a posterior that the exact engine can integrate, got none: "
        "zero where its search begins; take --engine nuts"
    )


def test_a_screen_that_a_model_cannot_tell_apart_reaches_no_engine(engines):
    once = design_from_rows(ROWS.drop_duplicates(["guide", "cell_line"]))
    with pytest.raises(NotIdentified, match="m4_nested cannot"):
        run_engine(once, FitParameters(model="m4_nested"))
    assert engines.given == {}
    assert run_engine(once, FitParameters(model="m4")) is engines.integrated


# ---- complete


def drawn(parameters: FitParameters, design=DESIGN, **attributes: str) -> xr.DataTree:
    """What an engine leaves: 80 draws, here of the prior, in two chains."""
    chains = [draw_prior(parameters.model, design, Priors(), 40, seed) for seed in (1, 2)]
    posterior = xr.concat(
        [one.assign_coords(chain=[number]) for number, one in enumerate(chains)], "chain"
    )
    statistics = xr.Dataset({"diverging": (DIMS, np.zeros((2, 40), bool))})
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})
    tree.attrs = attributes
    return tree


@pytest.mark.parametrize("log_likelihood", [False, True])
def test_a_result_is_completed_by_seeds_of_its_own(log_likelihood):
    parameters = FitParameters(
        model="m4_zero_mean",
        seed=11,
        priors=Priors.model_validate({"mu_alpha": "Normal(7, 0.1)"}),
        sampling=Sampling(predictive_draws=50, log_likelihood=log_likelihood),
    )
    tree = drawn(parameters, engine="exact", fell_back="", imported_from="x.nc", other="1")
    full = complete(tree, DESIGN, parameters)
    posterior = tree["posterior"].to_dataset()
    _, for_prior, for_its_replicates, for_replicates, _, _ = map(
        int, np.random.SeedSequence(11).generate_state(6)
    )
    prior = draw_prior("m4_zero_mean", DESIGN, parameters.priors, 50, for_prior)
    kept = thin(posterior, 50)
    assert kept.sizes["draw"] == 25
    expected = {
        "posterior": posterior,
        "sample_stats": tree["sample_stats"].to_dataset(),
        "prior": prior,
        "prior_predictive": replicate_cells(prior, DESIGN, for_its_replicates),
        "posterior_predictive": replicate_cells(kept, DESIGN, for_replicates),
        **data_groups(DESIGN),
    }
    if log_likelihood:
        expected["log_likelihood"] = log_likelihood_group(kept, DESIGN)
    assert set(full.children) == set(expected)
    for name, group in expected.items():
        xr.testing.assert_equal(full[name].to_dataset(), group)
    assert full.attrs == {
        "model": "m4_zero_mean",
        "engine": "exact",
        "fell_back": "",
        "imported_from": "x.nc",
        "seed": 11,
    }


def test_what_is_not_known_of_a_result_is_not_said():
    parameters = FitParameters(sampling=Sampling(predictive_draws=50), seed=3)
    assert complete(drawn(parameters), DESIGN, parameters).attrs == {"model": "m4", "seed": 3}


def test_a_large_screen_has_replicates_and_likelihoods_of_a_part():
    design = design_from_rows(nested_rows(n_genes=12, n_lines=50, n_guides=2, n_replicates=1)[0])
    sampling = Sampling(predictive_draws=50, predictive_cells=1000, log_likelihood=True)
    parameters = FitParameters(sampling=sampling)
    full = complete(drawn(parameters, design), design, parameters)
    part = looked_at(design, 1000)
    assert len(part.genes) == 10
    for name in ("prior_predictive", "posterior_predictive", "log_likelihood", "observed_data"):
        assert full[name].sizes["cell"] == 500
    assert full["prior"].sizes["gene"] == 12
    assert full["constant_data"]["gene"].to_numpy().tolist() == list(part.genes)


def test_a_result_that_is_not_of_its_model_is_refused():
    with pytest.raises(ValueError, match="posterior contract"):
        complete(drawn(FitParameters(model="m4")), DESIGN, FitParameters(model="m4_zero_mean"))


def test_every_use_has_a_seed_of_its_own():
    assert seeds(103) == np.random.SeedSequence(103).generate_state(6).tolist()
    assert all(type(one) is int for one in seeds(103))


# ---- cost


@pytest.mark.parametrize(
    ("seconds", "told", "afterwards"),
    [
        (0.2, "1 s", "1 s"),
        (99.9, "100 s", "9 min"),
        (100.0, "2 min", "9 min"),
        (181.0, "4 min", "16 min"),
    ],
)
def test_the_cost_is_told_in_a_sentence(seconds, told, afterwards, monkeypatch):
    parameters = FitParameters(sampling=Sampling(draws=50_000, chains=4, tune=3000))

    def fitting(design: ScreenDesign, given: FitParameters) -> float:
        assert design is DESIGN and given is parameters
        return seconds

    def leaving_out(name: str, design: ScreenDesign) -> float:
        assert name == "m4" and design is DESIGN
        return 5 * seconds

    monkeypatch.setattr("model.engines.expected_seconds", fitting)
    monkeypatch.setattr("model.engines.leaving_out_seconds", leaving_out)
    monkeypatch.setattr("model.engines.fit_bytes", lambda *_, exact: 3.4e9 if exact else 1.2e9)
    # 7 hyperparameters, 3 + 3 effects of genes, 4 of lines; 17 numbers of 8 bytes, 200,000 draws.
    assert cost(DESIGN, parameters) == (
        f"17 parameters, 12 gene-line cells, 4 x 50,000 draws, about {told}, a posterior of 27 MB, "
        f"about 3.4 GB more memory, then about {afterwards} for leaving out cell lines and lineages"
    )
    assert cost(DESIGN, parameters.model_copy(update={"engine": "nuts"})) == (
        "17 parameters, 12 gene-line cells, 4 chains of 3,000 + 50,000 steps, a posterior of 27 MB,"
        f" about 1.2 GB more memory, then about {afterwards} for leaving out cell lines and "
        "lineages"
    )


def test_cells_without_measurements_do_not_count(monkeypatch):
    monkeypatch.setattr("model.engines.expected_seconds", lambda *_: 1.0)
    rows = ROWS[(ROWS.gene != "g001") | (ROWS.cell_line != "c002")]
    assert "17 parameters, 11 gene-line cells, " in cost(design_from_rows(rows), FitParameters())


@pytest.mark.parametrize("engine", ["auto", "exact", "nuts"])
def test_the_memory_is_that_of_the_engine_to_begin_with(engine):
    parameters = FitParameters(engine=engine)
    sizes = Sizes(genes=3, cell_lines=4, guides=6)
    expected = fit_bytes(sizes, parameters, exact=engine != "nuts")
    assert needed_bytes(DESIGN, parameters) == expected
