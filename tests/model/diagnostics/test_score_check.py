"""The score compared with finite differences of the density of single measurements."""

from typing import get_args

import numpy as np
import pytest

from model.diagnostics.score_check import score_draws, scores
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import LinearModelName, Priors
from tests.designs import design_from_rows, random_draws, unbalanced_rows
from tests.model.engines.exact.dense import log_density_of_rows

PRIORS = Priors.model_validate(
    {"mu_alpha": "Normal(-0.3, 0.8)", "sigma_beta": "HalfNormal(0.7)", "sigma": "Exponential(2)"}
)
ROWS = unbalanced_rows()
DESIGN = design_from_rows(ROWS)


@pytest.mark.parametrize("model", get_args(LinearModelName))
def test_the_score_is_the_derivative_of_the_density_of_single_measurements(model):
    posterior = random_draws(MODEL_SPECS[model], DESIGN.labels, 1, 1)
    point = {name: posterior[name].to_numpy()[0, 0] for name in MODEL_SPECS[model].variables}
    score, random, step = score_draws(posterior, DESIGN, PRIORS), np.random.default_rng(1), 1e-5
    for _ in range(30):
        direction = {name: random.normal(size=np.shape(value)) for name, value in point.items()}
        ends = [
            log_density_of_rows(ROWS, DESIGN, PRIORS, {
                name: value * np.exp(by * direction[name]) if name.startswith("sigma")
                else value + by * direction[name]
                for name, value in point.items()
            })
            for by in (step, -step)
        ]  # fmt: skip
        found = sum((score[name][0, 0] * along).sum() for name, along in direction.items())
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-4)


def test_draws_that_do_not_move_are_no_evidence():
    drawn = random_draws(MODEL_SPECS["m4_nested"], DESIGN.labels, 1, 1)
    still = drawn.isel(draw=[0] * 60, chain=[0, 0])
    with np.errstate(divide="raise", invalid="raise"):
        table = scores(still, DESIGN, PRIORS)
    assert not ((table["shift"].abs() <= 0.1) | (table["z"].abs() <= 5)).any()
