"""The score compared with finite differences of the density of single measurements."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.base.array import array_stats
from scipy import stats

from model.score import score_draws, scores
from schemas.parameters import Priors
from schemas.posterior import CONTRACTS, GROUPS
from tests.designs import covariance_of_cells, design_from_rows, unbalanced_rows

PRIORS = Priors.model_validate(
    {"mu_alpha": "Normal(-0.3, 0.8)", "sigma_beta": "HalfNormal(0.7)", "sigma": "Exponential(2)"}
)
ROWS = unbalanced_rows()
DESIGN = design_from_rows(ROWS)


def log_density(point: dict[str, Any]) -> float:
    """The joint density of docs/models.md, of single measurements; standard deviations as logs."""
    gene, line, guide = (
        pd.Index(labels).get_indexer(pd.Index(ROWS[dim])) for dim, labels in DESIGN.labels.items()
    )
    mean = point["alpha_g"][gene] + point["gamma_c"][line] + point["beta_g"][gene] * ROWS.rna
    mean = mean + point.get("delta_k", np.zeros(len(DESIGN.guides)))[guide]
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **point}
    density = stats.multivariate_normal.logpdf(ROWS.logfc, mean, covariance_of_cells(ROWS, sd))
    for name, (centre, scale) in GROUPS.items():
        if name in point:
            density += stats.norm.logpdf(point[name], point.get(centre, 0), point[scale]).sum()
    families: dict[str, Any] = {
        "Normal": stats.norm.logpdf,
        "Exponential": lambda x, rate: stats.expon.logpdf(x, scale=1 / rate),
        "HalfNormal": lambda x, scale: stats.halfnorm.logpdf(x, scale=scale),
    }
    for name in set(point) - set(GROUPS):
        prior = getattr(PRIORS, name)
        density += families[prior.family](point[name], *prior.arguments)
        density += np.log(point[name]) if name.startswith("sigma") else 0
    return float(density)


def draws_of(model: str, n_chains: int, n_draws: int) -> xr.Dataset:
    random = np.random.default_rng(3)
    variables = {}
    for name, dims in CONTRACTS[model].variables.items():
        sizes = (n_chains, n_draws, *(len(DESIGN.labels[dim]) for dim in dims))
        values = random.normal(0, 0.4, sizes)
        variables[name] = (("chain", "draw", *dims), np.exp(values) if "sigma" in name else values)
    used = {dim for dims in CONTRACTS[model].variables.values() for dim in dims}
    return xr.Dataset(variables, {dim: [*DESIGN.labels[dim]] for dim in used})


@pytest.mark.parametrize("model", CONTRACTS)
def test_the_score_is_the_derivative_of_the_density_of_single_measurements(model):
    posterior = draws_of(model, 1, 1)
    point = {name: posterior[name].to_numpy()[0, 0] for name in CONTRACTS[model].variables}
    score, random, step = score_draws(posterior, DESIGN, PRIORS), np.random.default_rng(1), 1e-5
    for _ in range(30):
        direction = {name: random.normal(size=np.shape(value)) for name, value in point.items()}
        ends = [
            log_density({
                name: value * np.exp(by * direction[name]) if name.startswith("sigma")
                else value + by * direction[name]
                for name, value in point.items()
            })
            for by in (step, -step)
        ]  # fmt: skip
        found = sum((score[name][0, 0] * along).sum() for name, along in direction.items())
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-4)


def test_the_table_has_mean_and_error_of_the_score_of_each_parameter():
    posterior = draws_of("m4_nested", 2, 20)
    score = score_draws(posterior, DESIGN, PRIORS)
    alone = score_draws(posterior.isel(chain=[1], draw=[7]), DESIGN, PRIORS)
    expected = []
    for name, dims in CONTRACTS["m4_nested"].variables.items():
        np.testing.assert_allclose(score[name][1, 7], alone[name][0, 0], err_msg=name)
        for at, label in enumerate(DESIGN.labels[dims[0]] if dims else [""]):
            own = score[name][..., at] if dims else score[name]
            z = own.mean() / array_stats.mcse(own, method="mean")
            parameter = f"{name}[{label}]" if dims else name
            expected.append((parameter, own.mean() / own.std(ddof=1), float(z)))
    table = scores(posterior, DESIGN, PRIORS)
    expected = pd.DataFrame(expected, columns=["parameter", "shift", "z"])
    pd.testing.assert_frame_equal(table, expected)
    still = posterior.isel(draw=[0] * 60, chain=[0, 0])
    with np.errstate(divide="raise", invalid="raise"):
        table = scores(still, DESIGN, PRIORS)
    # Draws that do not move are no evidence.
    assert not ((table["shift"].abs() <= 0.1) | (table["z"].abs() <= 5)).any()
