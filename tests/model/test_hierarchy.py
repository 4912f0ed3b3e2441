"""The PyMC models against single measurements, as docs/models.md states them."""

import tempfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.design import ScreenDesign
from model.guide_lines import guide_lines
from model.hierarchy import build_model
from model.nested import draw_guide_lines
from schemas.parameters import Priors
from schemas.posterior import CONTRACTS, GROUPS
from tests.designs import (
    NESTED_SDS,
    covariance_of_cells,
    design_from_rows,
    nested_rows,
    unbalanced_rows,
)
from tests.model.exact.dense import COLUMNS
from tests.model.exact.pieces import MODELS

FAMILIES: dict[str, Any] = {
    "Normal": stats.norm,
    "Exponential": lambda rate: stats.expon(scale=1 / rate),
    "HalfNormal": lambda scale: stats.halfnorm(scale=scale),
}
PRIORS = Priors.model_validate(
    {
        "mu_alpha": "Normal(-0.3, 0.8)",
        "mu_gamma": "Normal(0.2, 1.5)",
        "mu_beta": "Normal(0.4, 0.6)",
        "sigma_alpha": "Exponential(0.7)",
        "sigma_gamma": "HalfNormal(1.3)",
        "sigma_beta": "Exponential(2)",
        "sigma": "HalfNormal(0.6)",
        "sigma_guide": "Exponential(4)",
        "sigma_gene_line": "HalfNormal(2.1)",
        "sigma_guide_line": "Exponential(1.7)",
    }
)


def log_density_of_rows(
    rows: pd.DataFrame, design: ScreenDesign, point: dict[str, np.ndarray]
) -> float:
    """The log density of all measurements and parameters, eps and zeta integrated out."""
    mean, log_density = np.zeros(len(rows)), 0.0
    for name in set(GROUPS) & set(point):
        labels = list(getattr(design, f"{COLUMNS[name]}s"))
        effects = point[name][[labels.index(label) for label in rows[COLUMNS[name]]]]
        mean += effects * (rows.rna.to_numpy() if name == "beta_g" else 1)
        mu, sigma = GROUPS[name]
        centre = point.get(mu, np.zeros(()))
        log_density += float(np.sum(stats.norm.logpdf(point[name], centre, point[sigma])))
    for name, value in point.items():
        if name not in GROUPS:
            prior = getattr(PRIORS, name)
            log_density += FAMILIES[prior.family](*prior.arguments).logpdf(value)
        if name.startswith("sigma"):
            log_density += float(np.log(value))  # PyMC samples log sigma
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **point}
    covariance = covariance_of_cells(rows, sd)
    return log_density + stats.multivariate_normal.logpdf(rows.logfc, mean, covariance)


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")  # SD of RNA over one line
@pytest.mark.parametrize("rows", [unbalanced_rows(), nested_rows(1, 1, 1, 1)[0]])
@pytest.mark.parametrize("name", MODELS)
def test_the_density_is_that_of_single_measurements(name, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    design = design_from_rows(rows)
    model = build_model(name, design, PRIORS)
    log_density = model.compile_logp(mode="FAST_COMPILE")
    variables = list(CONTRACTS[name].variables)
    contract = model.compile_fn(
        model.replace_rvs_by_values([model[of] for of in variables]),
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    random = np.random.default_rng(1)
    ours, theirs = [], []
    for _ in range(6):
        free = {
            of: random.normal(0, 0.7, np.shape(value))
            for of, value in model.initial_point().items()
        }
        point = dict(zip(variables, contract(free), strict=True))
        stretch = 0.0  # every other change of variables has a constant Jacobian
        if name == "m4_nested":
            step = contract(free | {"mu_gamma_standard": free["mu_gamma_standard"] + 1})
            stretch = np.log(step[variables.index("mu_gamma")] - point["mu_gamma"])
        ours.append(float(log_density(free)))
        theirs.append(log_density_of_rows(rows, design, point) + float(stretch))
    # Equal up to a constant: the density of the data given their sufficient statistics.
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9)
    for dim in ("gene", "cell_line", *(["guide"] if name == "m4_nested" else [])):
        assert model.coords[dim] == design.labels[dim]
    assert list(tmp_path.iterdir()) == []  # PyTensor would keep generated source there


def test_draws_of_the_means_have_the_covariance_of_single_measurements():
    rows = unbalanced_rows()
    cells = guide_lines(design_from_rows(rows))
    random = np.random.default_rng(1)
    sds = [np.array(NESTED_SDS[f"sigma{of}"]) for of in ("", "_gene_line", "_guide_line")]
    draws = [draw_guide_lines(cells, cells.mean, *sds, rng=random) for _ in range(6000)]
    group = rows.groupby(["guide", "cell_line"]).ngroup().to_numpy()
    averaging = np.eye(cells.count.size)[:, group] / cells.count[:, None]
    covariance = averaging @ covariance_of_cells(rows, NESTED_SDS) @ averaging.T
    np.testing.assert_allclose(np.mean(draws, axis=0), cells.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(np.transpose(draws)), covariance, atol=0.05)
