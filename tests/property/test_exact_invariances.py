"""What must change nothing in the exact engine, or a known thing: labels, order, units, levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.exact.blocks import cut
from model.exact.collapse import collapse
from model.exact.engine import sample
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tests.designs import design_from_rows, nested_rows
from tests.model.exact.pieces import MODELS, Pieces, random_rows
from tests.property.releases import examples

SEEDS = st.integers(0, 2**32 - 1)
COLUMNS = ("gene", "cell_line", "guide")
OF = {"alpha_g": "gene", "beta_g": "gene", "gamma_c": "cell_line", "delta_k": "guide"}
"""What each effect is one of."""


@st.composite
def screens(draw: st.DrawFn) -> pd.DataFrame:
    """Unbalanced screens of all sizes, as long tables."""
    return random_rows(
        draw(SEEDS),
        draw(st.integers(1, 5)),
        draw(st.integers(2, 5)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
    )


def priors(alpha: float = 0.7, beta: float = -0.4, unit: float = 1.0, rna: float = 1.0) -> Priors:
    """Priors whose centres and units can be moved."""
    return Priors.model_validate(
        {
            "mu_alpha": f"Normal({alpha * unit!r}, {2 * unit!r})",
            "mu_gamma": f"Normal(0, {2 * unit!r})",
            "mu_beta": f"Normal({beta * unit / rna!r}, {0.5 * unit / rna!r})",
        }
    )


class Solved:
    """Log likelihood and conditional means at some standard deviations."""

    def __init__(
        self, model: ModelName, rows: pd.DataFrame, log_sd: dict[str, float], prior: Priors
    ) -> None:
        theta = np.array([value for name, value in log_sd.items() if _has(model, name)])
        pieces = Pieces(model, rows, theta, seed=len(rows), priors=prior)
        assert pieces.marginal.hyperparameters == tuple(n for n in log_sd if _has(model, n))
        self.log_likelihood = float(pieces.factored.log_likelihood[0])
        self.means: dict[tuple[str, str], float] = {}
        for name, values in pieces.means().items():
            if name in OF and (name != "delta_k" or model == "m4_nested"):
                labels = getattr(pieces.design, f"{OF[name]}s")
                self.means |= {
                    (name, label): float(value) for label, value in zip(labels, values, strict=True)
                }
            elif name not in OF:
                self.means[name, ""] = float(values[0])


def _has(model: ModelName, name: str) -> bool:
    nested = ("sigma_guide", "sigma_gene_line", "sigma_guide_line")
    return model == "m4_nested" or name not in nested


def log_sds(seed: int) -> dict[str, float]:
    names = ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma")
    nested = ("sigma_guide", "sigma_gene_line", "sigma_guide_line")
    return {
        name: float(np.random.default_rng([seed, i]).normal(0, 0.7))
        for i, name in enumerate((*names, *nested))
    }


def assert_same(found: Solved, expected: Solved, log_likelihood: float = 0.0) -> None:
    """The log likelihood may differ by a known number, the means not."""
    assert found.log_likelihood == pytest.approx(
        expected.log_likelihood + log_likelihood, rel=1e-9, abs=1e-8
    )
    assert found.means == pytest.approx(expected.means, rel=1e-8, abs=1e-8)


models = st.sampled_from(MODELS)


@examples(15)
@given(model=models, rows=screens(), seed=SEEDS)
def test_labels_and_the_order_of_genes_lines_guides_and_rows_change_nothing(
    model: ModelName, rows: pd.DataFrame, seed: int
):
    random, sds = np.random.default_rng(seed), log_sds(seed)
    new: dict[str, dict[str, str]] = {}
    for column in COLUMNS:
        labels = rows[column].unique()
        names = [f"{column} {number:02}" for number in random.permutation(len(labels))]
        new[column] = dict(zip(labels, names, strict=True))
    other = rows.assign(**{column: rows[column].map(names) for column, names in new.items()})
    other = other.iloc[random.permutation(len(other))]
    found, expected = (Solved(model, of, sds, priors()) for of in (other, rows))
    expected.means = {
        (name, new[OF[name]][label] if name in OF else ""): value
        for (name, label), value in expected.means.items()
    }
    assert_same(found, expected)


@examples(10)
@given(rows=screens(), seed=SEEDS)
def test_without_terms_of_guides_it_does_not_matter_which_guide_measured(
    rows: pd.DataFrame, seed: int
):
    random, sds = np.random.default_rng(seed), log_sds(seed)
    one = rows.assign(guide=rows["gene"])
    dealt = random.integers(3, size=len(rows)).astype(str)
    for model in ("m4", "m4_zero_mean"):
        expected = Solved(model, rows, sds, priors())
        assert_same(Solved(model, one, sds, priors()), expected)
        assert_same(Solved(model, rows.assign(guide=rows["gene"] + dealt), sds, priors()), expected)


@examples(15)
@given(model=models, rows=screens(), seed=SEEDS, level=st.floats(-20, 20), slope=st.floats(-20, 20))
def test_a_level_goes_to_alpha_and_a_slope_to_beta(
    model: ModelName, rows: pd.DataFrame, seed: int, level: float, slope: float
):
    sds = log_sds(seed)
    moved = rows.assign(logfc=rows["logfc"] + level + slope * rows["rna"])
    expected = Solved(model, rows, sds, priors())
    move = {"alpha_g": level, "mu_alpha": level, "beta_g": slope, "mu_beta": slope}
    expected.means = {
        (name, label): value + move.get(name, 0.0)
        for (name, label), value in expected.means.items()
    }
    assert_same(Solved(model, moved, sds, priors(0.7 + level, -0.4 + slope)), expected)


@examples(15)
@given(
    model=models,
    rows=screens(),
    seed=SEEDS,
    unit=st.sampled_from([-8.0, -1.0, 0.01, 3.0]),
    rna=st.sampled_from([-2.0, -1.0, 1.0, 0.125]),
)
def test_units_and_signs_of_log_fold_change_and_rna_scale_the_effects(
    model: ModelName, rows: pd.DataFrame, seed: int, unit: float, rna: float
):
    sds = log_sds(seed)
    scaled = {name: value + np.log(abs(unit)) for name, value in sds.items()}
    scaled["sigma_beta"] -= np.log(abs(rna))
    other = rows.assign(logfc=rows["logfc"] * unit, rna=rows["rna"] * rna)
    alpha, beta = (0.7 * np.sign(unit), -0.4 * np.sign(unit) * np.sign(rna))
    prior = priors(float(alpha), float(beta), abs(unit), abs(rna))
    expected = Solved(model, rows, sds, priors())
    expected.means = {
        (name, label): value * unit / (rna if name in ("beta_g", "mu_beta") else 1)
        for (name, label), value in expected.means.items()
    }
    found = Solved(model, other, scaled, prior)
    size = max(1.0, abs(unit / rna), abs(unit))
    assert found.log_likelihood == pytest.approx(
        expected.log_likelihood - len(rows) * np.log(abs(unit)), rel=1e-9, abs=1e-8
    )
    assert found.means == pytest.approx(expected.means, rel=1e-8, abs=1e-8 * size)


@examples(10)
@given(model=models, rows=screens(), seed=SEEDS)
def test_a_screen_is_the_sum_of_its_parts(model: ModelName, rows: pd.DataFrame, seed: int):
    random, design, nested = np.random.default_rng(seed), design_from_rows(rows), model == MODELS[2]
    points = random.normal(0, 0.7, (3, 5 if nested else 2))
    dealt = random.integers(3, size=len(design.genes))
    parts = [np.flatnonzero(dealt == part) for part in np.unique(dealt)]

    def sums(of: list[np.ndarray]) -> np.ndarray:
        blocks = [block for genes in of for block in cut(design.of_genes(genes), nested=nested)]
        return np.sum([collapse(block, points) for block in blocks], axis=0)

    whole = sums([np.arange(len(design.genes))])
    np.testing.assert_allclose(sums(parts), whole, rtol=1e-11, atol=1e-11)


# ------------------------------------------------------------------------------- the whole engine


def evidence(rows: pd.DataFrame, model: ModelName, prior: Priors) -> float:
    parameters = FitParameters(
        model=model, engine="exact", priors=prior, sampling=Sampling(draws=500, chains=4)
    )
    return float(sample(design_from_rows(rows), parameters, 1)["sample_stats"]["log_evidence"])


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean"])
@examples(1)
@given(seed=SEEDS, level=st.floats(-5, 5))
def test_the_evidence_asks_for_no_order_sign_or_level(model: ModelName, seed: int, level: float):
    rows, _ = nested_rows(5, 6, 2, 2, seed=seed)
    random = np.random.default_rng(seed)
    genes = dict(zip(rows["gene"].unique(), random.permutation(list("abcde")), strict=True))
    renamed = rows.assign(gene=rows["gene"].map(genes))
    renamed["guide"] = renamed["gene"] + rows["guide"].str[-2:]
    expected = evidence(rows, model, priors())
    for other, prior in (
        (renamed.iloc[random.permutation(len(rows))], priors()),
        (rows.assign(logfc=-rows["logfc"]), priors(-0.7, 0.4)),
        (rows.assign(rna=-rows["rna"]), priors(0.7, 0.4)),
        (rows.assign(logfc=rows["logfc"] + level), priors(0.7 + level)),
    ):
        assert evidence(other, model, prior) == pytest.approx(expected, abs=1e-7)
