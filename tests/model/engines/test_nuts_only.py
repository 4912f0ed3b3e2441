"""A model that only NUTS can take: `auto` samples it, `exact` refuses, and the analysis adapts."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest

from model.engines.nuts import plain
from model.engines.nuts.helpers import coords, prior, slopes
from model.engines.run import NoIntegral, describe_cost, run_engine
from model.fit import PreparedScreen, analyse
from model.likelihood.linear_predictor import linear_predictor
from model.prediction.portable import predict_logfc, thin_draws
from model.screen.design import guide_lines
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters
from tests.designs import design_from_rows, nested_rows
from tests.tasks.fits import dataset_of, inclusion_of_fit, results_of

NAME = "m4_guides"
SPEC = replace(MODEL_SPECS["m4_nested"], gene_line_sd="", guide_line_sd="")
DESIGN = design_from_rows(nested_rows(4, 8, 2, 2)[0])


def build(spec, design, priors):
    """Guides of a gene differ, pairs do not."""
    units = guide_lines(design)
    labels = coords(design, unit=units.count.size) | {"guide": list(design.guides)}
    with pm.Model(coords=labels) as model:
        effects = slopes(SPEC, priors)
        for effect in SPEC.effects:
            if effect.name not in effects:
                mean = prior(effect.mean, getattr(priors, effect.mean)) if effect.mean else 0.0
                sd = prior(effect.sd, getattr(priors, effect.sd))
                effects[effect.name] = pm.Normal(effect.name, mean, sd, dims=effect.dim)
        sigma = prior("sigma", priors.sigma)
        mean = linear_predictor(SPEC, effects, units)
        pm.Normal("mean", mean, sigma / np.sqrt(units.count), observed=units.mean, dims="unit")
        pm.Gamma("ss", units.within_df / 2, 1 / (2 * sigma**2), observed=units.within_ss)
    return model


@pytest.fixture
def parameters(monkeypatch) -> FitParameters:
    monkeypatch.setitem(MODEL_SPECS, NAME, SPEC)
    monkeypatch.setitem(plain.MODELS, NAME, build)
    given = FitParameters.model_validate({"sampling": {"draws": 100, "tune": 200, "chains": 2}})
    return given.model_copy(update={"model": NAME})


def test_exact_refuses_with_the_reason(parameters):
    exact = parameters.model_copy(update={"engine": "exact"})
    with pytest.raises(NoIntegral, match=r"m4_guides: .*only some of the effects.*--engine nuts"):
        run_engine(DESIGN, exact)


def test_auto_samples_and_the_analysis_answers_for_what_it_can(parameters):
    assert "leaving out" not in describe_cost(DESIGN, parameters)
    sampled = run_engine(DESIGN, parameters)
    assert sampled.attrs["engine"] == "nuts" and "fell_back" not in sampled.attrs
    parts = results_of()
    screen = PreparedScreen(
        dataset_of(),
        parameters,
        parts.validation,
        parts.preparation,
        DESIGN,
        inclusion_of_fit(),
        (),
    )
    found = analyse(sampled, screen)
    assert found.influence is None, "needs the exact engine"
    assert np.isfinite(found.loo.cells["elpd_loo"]).all()
    assert len(found.effects) == len(DESIGN.genes) and len(found.checks) > 5
    draws = thin_draws(found.tree["posterior"].dataset, DESIGN)
    at_rna = {"rna": np.zeros(1)}
    mean, low, high = predict_logfc(draws, DESIGN.genes[:1], DESIGN.cell_lines[:1], at_rna)
    assert low < mean < high


def test_no_two_models_have_the_same_variables():
    variables = [frozenset(spec.variables) for spec in MODEL_SPECS.values()]
    assert len(set(variables)) == len(variables)
