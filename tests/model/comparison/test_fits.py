"""What a comparison says of two fits: the table of genes against scipy, evidence, settings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.comparison.fits import ComparedFit, compare_fits, compare_genes
from schemas.column_catalog import COMPARED_GENES
from schemas.comparison import OPPOSITE_SIGN, Comparison, ComparisonSettings, FitSummary
from tests.model.predictive_checks import check_of

SETTINGS = ComparisonSettings()
NAN = float("nan")


def effects(**genes: tuple[float, float, float]) -> pd.DataFrame:
    """A table of (mean, sd, lfsr) by gene; in names `_` stands before the Entrez number."""
    labels = [f"{a} ({b})" if b else a for a, _, b in (name.partition("_") for name in genes)]
    rows = np.array(list(genes.values()))
    return pd.DataFrame(
        {"gene": labels, "beta_mean": rows[:, 0], "beta_sd": rows[:, 1], "lfsr": rows[:, 2]}
    )


def fit(name: str, table: pd.DataFrame, seed: str = "1", **more: Any) -> ComparedFit:
    """A fit with these effects; `more` are other fields of the fit or of its summary."""
    of_summary = {key: more.pop(key) for key in [*more] if key in FitSummary.model_fields}
    summary = FitSummary(
        run_id=name, release=name, model="m4", engine="exact", verdict="pass", data_digest="same",
        n_genes=2, n_cell_lines=20, n_measurements=300, log_evidence=None,
    ).model_copy(update=of_summary)  # fmt: skip
    scalars = pd.DataFrame({"parameter": ["sigma", "beta_g[X]"], "mean": [1, 2], "sd": [0.1, 0.2]})
    return replace(ComparedFit(summary, table, {"model": "m4", "seed": seed}, scalars), **more)


def compared(a: ComparedFit, b: ComparedFit) -> Comparison:
    return compare_fits("avana", a, b, SETTINGS)[0]


TWO = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
A = effects(
    OLD_1=(-1, 0.3, 0.05), TIE_2=(-1, 0.1, 0.9), Z=(2.5, 0.2, 0.01), GONE_3=(0, 1, 0), N=(NAN,) * 3
)
B = effects(
    CAME_4=(0, 1, 0), Z=(0.5, 0.4, 0.06), N=(3, 0.2, 0.01), TIE_2=(-1, 0.1, 0.9),
    NEW_1=(-1.5, 0.4, 0.05),
)  # fmt: skip


def test_the_table_has_each_gene_of_both_with_the_largest_difference_first():
    found = compare_genes(A, B, ComparisonSettings(practical_difference=0.3))
    assert found.columns.tolist() == [*COMPARED_GENES]
    a, b = A.iloc[[2, 0, 1, 4]], B.iloc[[1, 4, 3, 2]]  # Z, 1, 2, N
    (mean_a, sd_a), (mean_b, sd_b) = (one[["beta_mean", "beta_sd"]].to_numpy().T for one in (a, b))
    sd = np.sqrt(sd_a**2 + sd_b**2)
    below_a, below_b = stats.norm.cdf(0, mean_a, sd_a), stats.norm.cdf(0, mean_b, sd_b)
    difference = stats.norm(mean_b - mean_a, sd)
    expected = pd.DataFrame(
        {
            "gene": [*b["gene"]],
            "gene_a": [*a["gene"]],
            "beta_mean_a": mean_a,
            "beta_mean_b": mean_b,
            "beta_sd_a": sd_a,
            "lfsr_b": [*b["lfsr"]],
            "difference": mean_b - mean_a,
            "difference_z": (mean_b - mean_a) / sd,
            "prob_sign_change": below_a + below_b - 2 * below_a * below_b,
            "prob_practical": difference.sf(0.3) + difference.cdf(-0.3),
            "rank_a": [3, 2, 1, 4],  # a tie, in the order of B
            "rank_b": [3, 1, 2, 4],
            "hit": ["lost", "both", "neither", "gained"],
        }
    )
    pd.testing.assert_frame_equal(found[expected.columns], expected)


def test_a_comparison_names_genes_and_hits_and_says_how_alike_the_slopes_are():
    found = compared(fit("A", A), fit("B", B))
    assert (found.dataset, found.a.run_id, found.b.run_id) == ("avana", "A", "B")
    assert found.genes_renamed == {"OLD (1)": "NEW (1)"}
    assert (found.genes_lost, found.genes_gained) == (("GONE (3)",), ("CAME (4)",))
    assert (found.n_genes_joined, found.hits_lost, found.hits_gained) == (4, ("Z",), ("N",))
    assert found.largest_abs_z == pytest.approx(2 / np.hypot(0.2, 0.4))
    correlation = stats.pearsonr([-1, -1, 2.5], [-1.5, -1, 0.5]).statistic
    for a, b, expected in (
        (A, B, NAN), (A[:4], B, correlation), (A[:1], B, NAN), (A[:1], B[:1], NAN),
        (TWO, TWO.assign(beta_mean=[5.0, 4.0]), -1),
    ):  # fmt: skip
        found = compared(fit("A", a), fit("B", b))
        assert found.beta_correlation == pytest.approx(expected, nan_ok=True)
    assert np.isnan(compared(fit("A", A[:1]), fit("B", B[:1])).largest_abs_z)


FIRST = effects(
    UP_1=(-0.5, 0.1, 0.01), DOWN_2=(0.4, 0.1, 0.01), SAME=(-0.5, 0.1, 0.01), WEAK=(-0.1, 0.1, 0.2),
    LOST=(-0.5, 0.1, 0.01), FAR=(-3, 0.1, 0),
)  # fmt: skip
SECOND = effects(
    WAS_1=(0.5, 0.1, 0.05), DOWN_2=(-0.4, 0.1, 0.0), SAME=(-0.4, 0.1, 0.01), WEAK=(0.1, 0.1, 0.01),
    LOST=(0.5, 0.1, 0.06), FAR=(-9, 0.1, 0),
)  # fmt: skip


def test_a_hit_of_both_with_opposite_signs_is_named_and_comes_first():
    found, genes = compare_fits("avana", fit("A", FIRST), fit("B", SECOND), SETTINGS)
    changes = dict(zip(genes["gene"], genes["hit"], strict=True))
    assert [*changes][:3] == ["WAS (1)", "DOWN (2)", "FAR"]  # though FAR moved the furthest
    opposite = {"WAS (1)": OPPOSITE_SIGN, "DOWN (2)": OPPOSITE_SIGN}
    assert changes == opposite | {"FAR": "both", "SAME": "both", "WEAK": "gained", "LOST": "lost"}
    assert found.hits_opposite_sign == ("WAS (1)", "DOWN (2)")
    assert (found.hits_lost, found.hits_gained) == (("LOST",), ("WEAK",))
    assert compared(fit("A", A), fit("B", B)).hits_opposite_sign == ()


def cells(*elpd: float) -> pd.DataFrame:
    lines = [f"c{number}" for number in range(len(elpd))]
    return pd.DataFrame({"gene": "X", "cell_line": lines, "elpd_loo": elpd})


THREE = cells(-1, -2, -3)


@pytest.mark.parametrize(
    ("a", "b", "evidence", "elpd", "by_cell"),
    [
        ((-100.0, THREE), (-90.0, cells(-0.5, -2, -1).iloc[::-1]), 10.0, 2.5, [0.5, 0, 2]),
        ((None, cells(-1, -2)), (-90.0, cells(-0.5, -1)), None, 1.5, [0.5, 1]),
        ((-90.0, cells(-1)), (None, cells(-2)), None, None, None),
        ((-90.0, THREE), (-95.0, cells(-1, -2)), -5.0, None, None),
        ((-90.0, None), (-95.0, THREE), -5.0, None, None),
    ],
)
def test_evidence_and_elpd_are_compared_on_the_same_data_only(a, b, evidence, elpd, by_cell):
    first, second = (
        fit("A", TWO, log_evidence=of_all, elpd_by_cell=of_cells) for of_all, of_cells in (a, b)
    )
    found = compared(first, second)
    assert found.same_data and found.log_evidence_difference == evidence
    assert found.elpd_loo_difference == (elpd and pytest.approx(elpd))
    se = by_cell and pytest.approx(np.sqrt(len(by_cell)) * np.std(by_cell, ddof=1))
    assert found.elpd_loo_difference_se == se
    for other in ({"data_digest": "7"}, {"n_genes": 7}, {"n_cell_lines": 7}, {"n_measurements": 7}):
        found = compared(first, replace(second, summary=second.summary.model_copy(update=other)))
        assert found.same_data == ("data_digest" not in other)
        assert (found.log_evidence_difference, found.elpd_loo_difference) == (None, None)


def test_settings_effects_and_draws_are_identical_or_not():
    found = compared(fit("A", TWO), fit("B", TWO[::-1], settings={"model": "m4", "draws": "500"}))
    assert found.changed_parameters == {"draws": ("", "500"), "seed": ("1", "")}
    assert found.identical
    moved = TWO.assign(beta_mean=TWO["beta_mean"] + 1e-12)
    assert not compared(fit("A", TWO), fit("B", moved)).identical
    for a, b, identical in (("1f", "1f", True), ("1f", "2f", False), ("1f", "", None)):
        found = compared(fit("A", TWO, posterior_digest=a), fit("B", TWO, posterior_digest=b))
        assert found.identical_draws is identical


def test_parameters_and_posterior_checks_of_both_are_side_by_side():
    parameters = TWO.iloc[:, :3].set_axis(["parameter", "mean", "sd"], axis=1)
    parameters = parameters.assign(parameter=["sigma_guide", "sigma"], mean=[0.3, 0.5], sd=0.2)
    a = fit("A", TWO, checks=(check_of("mean", 0.1, "prior"), check_of("mean", 0.2)))
    checks = (check_of("mean", 0.3, n_draws=400), check_of("sd", 0.4))
    b = fit("B", TWO, parameters=parameters, checks=checks)
    of_b_and_a = [("sigma", 0.5, 0.2, 1, 0.1), ("sigma_guide", 0.3, 0.2, NAN, NAN)]
    of_checks = [("mean", 0.2, 500, 0.3, 400), ("sd", NAN, 0, 0.4, 500)]
    for rows, expected in (
        (compared(b, a).scalars, of_b_and_a),
        (compared(a, b).checks, of_checks),
    ):
        found = pd.DataFrame([one.model_dump().values() for one in rows])
        pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)
