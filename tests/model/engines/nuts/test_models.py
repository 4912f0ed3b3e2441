"""The PyMC models against single measurements, as docs/models.md states them."""

import tempfile

import numpy as np
import pytest
import xarray as xr
from scipy import special

from model.engines.nuts.nested import draw_guide_lines
from model.engines.nuts.plain import MODELS, build_model
from model.engines.nuts.sparse_slopes import add_slopes, sampled_variables
from model.prediction.predictive import draw_prior
from model.screen.design import guide_lines
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import Priors
from tests.designs import (
    NESTED_SDS,
    covariance_of_cells,
    design_from_rows,
    nested_rows,
    unbalanced_rows,
)
from tests.model.engines.exact.dense import (
    log_density_of_rows,
    log_density_of_screen,
    screen_genes,
    slope_components,
)

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


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")  # SD of RNA over one line
@pytest.mark.parametrize(
    ("name", "rows"),
    [*((name, unbalanced_rows()) for name in MODELS), ("m4_nested", nested_rows(1, 1, 1, 1)[0])],
)
def test_the_density_is_that_of_single_measurements(name, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    design = design_from_rows(rows)
    model = build_model(name, design, PRIORS)
    log_density = model.compile_logp(sum=False, mode="FAST_COMPILE")
    variables = list(sampled_variables(MODEL_SPECS[name]))
    dense = log_density_of_screen if name == "m4_screen" else log_density_of_rows
    contract = model.compile_fn(
        model.replace_rvs_by_values([model[of] for of in variables]),
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    random = np.random.default_rng(1)
    ours, theirs = [], []
    for _ in range(6):
        free = {of: random.normal(0, 0.7, np.shape(x)) for of, x in model.initial_point().items()}
        point = dict(zip(variables, contract(free), strict=True))
        stretch = 0.0  # every other change of variables has a constant Jacobian
        if name == "m4_nested":
            step = contract(free | {"mu_gamma_standard": free["mu_gamma_standard"] + 1})
            stretch = np.log(step[variables.index("mu_gamma")] - point["mu_gamma"])
        ours.append(sum(term.sum() for term in log_density(free)))
        theirs.append(dense(rows, design, PRIORS, point) + float(stretch))
    # Equal up to a constant: the density of the data given their sufficient statistics.
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), rtol=1e-9)
    for dim in ("gene", "cell_line", *(["guide"] if MODEL_SPECS[name].guide_effect else [])):
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


def test_slopes_are_drawn_from_their_dense_conditional():
    rows, spec, n_draws = unbalanced_rows(), MODEL_SPECS["m4_screen"], 4000
    design = design_from_rows(rows)
    prior = draw_prior("m4_screen", design, PRIORS, 1, 3)
    point = {name: values[0, 0].to_numpy() for name, values in prior.items()}
    repeated = prior[list(sampled_variables(spec))].isel(draw=np.zeros(n_draws, int))
    tree = xr.DataTree.from_dict({"posterior": repeated, "sample_stats": xr.Dataset()})
    found = add_slopes(tree, spec, design, 1)["posterior"].dataset
    assert list(found) == list(spec.variables)
    average = point | {"alpha_g": np.full(3, point["mu_alpha"]), "delta_k": 0 * point["delta_k"]}
    of_points = (screen_genes(rows, design, of) for of in (point, average))
    for g, (given, integrated) in enumerate(zip(*of_points, strict=True)):
        components, mean = slope_components(spec.mixture, *given[:3])
        weights = special.softmax(np.log(point["pi"]) + components)
        slope = found["beta_g"][0, :, g].to_numpy()
        assert (slope != 0).mean() == pytest.approx(1 - weights[0], abs=0.03)
        assert slope.mean() == pytest.approx(weights @ mean, abs=4 * slope.std() / n_draws**0.5)
        deviation, x, *covariances = integrated
        components, _ = slope_components(spec.mixture, deviation, x, sum(covariances))
        expected = 1 - special.softmax(np.log(point["pi"]) + components)[0]
        np.testing.assert_allclose(found["included_g"][0, :, g], expected, rtol=1e-8)
