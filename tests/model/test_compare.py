"""What a comparison says of two tables of gene effects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.compare import ComparedFit, compare_fits, compare_genes
from schemas.columns import COMPARED_GENES
from schemas.comparison import Comparison, ComparisonSettings, FitSummary
from tests.model.predictive_checks import check_of

SETTINGS = ComparisonSettings()


def effects(**genes: tuple[float, float, float]) -> pd.DataFrame:
    """A table of (mean, sd, lfsr) by gene; in names `_` stands before the Entrez number."""
    labels = [f"{a} ({b})" if b else a for a, _, b in (name.partition("_") for name in genes)]
    rows = np.array(list(genes.values()))
    return pd.DataFrame(
        {"gene": labels, "beta_mean": rows[:, 0], "beta_sd": rows[:, 1], "lfsr": rows[:, 2]}
    )


def summary(run_id: str, digest: str = "same", evidence: float | None = None) -> FitSummary:
    return FitSummary(
        run_id=run_id,
        release=run_id,
        model="m4",
        engine="exact",
        verdict="pass",
        data_digest=digest,
        n_genes=2,
        n_cell_lines=20,
        n_measurements=300,
        log_evidence=evidence,
    )


def compared(
    a: pd.DataFrame, b: pd.DataFrame, evidence: tuple[float | None, float | None] = (None, None)
) -> Comparison:
    return compare_fits(
        "avana", fit("A", a, "1", evidence[0]), fit("B", b, "2", evidence[1]), SETTINGS
    )[0]


def fit(
    name: str, table: pd.DataFrame, seed: str = "1", evidence: float | None = None, **more: Any
) -> ComparedFit:
    return ComparedFit(
        summary(name, evidence=evidence),
        table,
        {"model": "m4", "seed": seed},
        pd.DataFrame({"parameter": ["sigma", "beta_g[X]"], "mean": [1.0, 2], "sd": [0.1, 0.2]}),
        **more,
    )


def test_differences_are_b_less_a_in_combined_sds() -> None:
    table = compare_genes(
        effects(X=(-1.0, 0.3, 0.0), Y=(0.5, 0.1, 0.0)),
        effects(X=(-0.5, 0.4, 0.1), Y=(0.5, 0.1, 0.0)),
        SETTINGS,
    ).set_index("gene")
    assert table["difference"].to_dict() == {"X": 0.5, "Y": 0.0}
    assert table.loc["X", "difference_z"] == pytest.approx(0.5 / 0.5)
    assert list(table.index) == ["X", "Y"]  # the largest first
    assert table["rank_a"].to_dict() == {"X": 1, "Y": 2}


def test_the_table_has_ranks_and_hits_of_both_and_the_largest_difference_first() -> None:
    at = SETTINGS.lfsr_max
    a = effects(X=(-1.0, 0.1, at), Y=(0.5, 0.1, 0.9), Z=(-3.0, 0.1, 0.0))
    b = effects(X=(-1.5, 0.1, at), Y=(-2.5, 0.1, 0.9), Z=(-2.0, 0.1, 2 * at))
    table = compare_genes(a, b, SETTINGS)
    assert list(table.columns) == list(COMPARED_GENES) and list(table.index) == [0, 1, 2]
    found = table.set_index("gene")
    assert list(found.index) == ["Y", "Z", "X"]
    assert found["rank_a"].to_dict() == {"X": 2, "Y": 3, "Z": 1}
    assert found["rank_b"].to_dict() == {"X": 3, "Y": 1, "Z": 2}
    assert found["hit"].to_dict() == {"X": "both", "Y": "neither", "Z": "lost"}


def test_equal_slopes_are_ranked_in_their_order() -> None:
    a = effects(X=(-1.0, 0.1, 0.0), Y=(-1.0, 0.1, 0.0))
    table = compare_genes(a, a, SETTINGS).set_index("gene")
    assert table["rank_a"].to_dict() == table["rank_b"].to_dict() == {"X": 1, "Y": 2}


def test_correlation_and_largest_difference_are_over_all_genes_of_both() -> None:
    a = effects(X=(-1.0, 0.3, 0), Y=(0.5, 0.3, 0), Z=(2.0, 0.3, 0))
    b = effects(X=(-1.5, 0.4, 0), Y=(0.75, 0.4, 0), Z=(-2.0, 0.4, 0))
    found = compared(a, b)
    expected = stats.pearsonr(a["beta_mean"], b["beta_mean"]).statistic
    assert found.beta_correlation == pytest.approx(expected)
    assert found.largest_abs_z == pytest.approx(4.0 / 0.5)
    two = compared(a.head(2), b.head(2))
    assert two.beta_correlation == pytest.approx(1)
    one = compared(a.head(1), b.head(1))
    assert np.isnan(one.beta_correlation) and one.largest_abs_z == pytest.approx(1)
    none = compared(a.head(1), b.tail(1))
    assert np.isnan([none.beta_correlation, none.largest_abs_z]).all()


def test_probabilities_agree_with_draws() -> None:
    table = compare_genes(effects(X=(-0.2, 0.3, 0)), effects(X=(0.1, 0.2, 0)), SETTINGS)
    rng = np.random.default_rng(1)
    a, b = rng.normal(-0.2, 0.3, 400_000), rng.normal(0.1, 0.2, 400_000)
    assert table["prob_sign_change"][0] == pytest.approx(np.mean(a * b < 0), abs=0.004)
    assert table["prob_practical"][0] == pytest.approx(np.mean(abs(b - a) > 0.1), abs=0.004)


def test_genes_are_joined_on_the_entrez_number() -> None:
    result = compared(
        effects(OLD_1=(-1, 0.1, 0), GONE_2=(0, 0.1, 0.5)),
        effects(NEW_1=(-1, 0.1, 0), CAME_3=(0, 0.1, 0.5)),
    )
    assert result.genes_renamed == {"OLD (1)": "NEW (1)"}
    assert result.genes_lost == ("GONE (2)",)
    assert result.genes_gained == ("CAME (3)",)
    assert result.n_genes_joined == 1


def test_hits_gained_and_lost() -> None:
    result = compared(
        effects(X=(-1, 0.1, 0.01), Y=(-1, 0.1, 0.2)), effects(X=(-1, 0.1, 0.2), Y=(-1, 0.1, 0.01))
    )
    assert (result.hits_lost, result.hits_gained) == (("X",), ("Y",))


def test_equal_numbers_are_said_to_be_identical_in_any_order() -> None:
    a = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    assert compared(a, a.iloc[::-1]).identical
    assert not compared(a, a.assign(beta_mean=a["beta_mean"] + 1e-12)).identical


def test_changed_settings_and_evidence() -> None:
    a = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    result = compared(a, a, (-100.0, -90.0))
    assert result.changed_parameters == {"seed": ("1", "2")}
    assert result.log_evidence_difference == 10.0
    assert compared(a, a, (-100.0, None)).log_evidence_difference is None


def test_a_setting_that_one_fit_lacks_is_empty_there() -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    a, b = fit("A", table), fit("B", table)
    b = replace(b, settings={"model": "m4", "draws": "500"})
    found, _ = compare_fits("avana", a, b, SETTINGS)
    assert found.changed_parameters == {"draws": ("", "500"), "seed": ("1", "")}


def test_a_slope_that_is_nan_has_the_last_rank_and_is_no_hit() -> None:
    nan = float("nan")
    a = effects(X=(nan, nan, nan), Y=(-1, 0.1, 0.01))
    table = compare_genes(a, effects(X=(-2, 0.1, 0.01), Y=(-1, 0.1, 0.01)), SETTINGS)
    table = table.set_index("gene")
    assert table["rank_a"].to_dict() == {"X": 2, "Y": 1}
    assert table["hit"].to_dict() == {"X": "gained", "Y": "both"}
    assert table["difference"].isna().to_dict() == {"X": True, "Y": False}


def cells(*elpd: float) -> pd.DataFrame:
    lines = [f"c{number}" for number in range(len(elpd))]
    return pd.DataFrame({"gene": "X", "cell_line": lines, "elpd_loo": elpd})


def test_elpd_is_compared_cell_by_cell_of_the_same_cells_only() -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    a = fit("A", table, elpd_by_cell=cells(-1.0, -2.0, -3.0))
    b = fit("B", table, elpd_by_cell=cells(-0.5, -2.0, -1.0).iloc[::-1])
    result, _ = compare_fits("avana", a, b, SETTINGS)
    assert result.elpd_loo_difference == pytest.approx(2.5)
    by_cell = np.array([0.5, 0.0, 2.0])
    assert result.elpd_loo_difference_se == pytest.approx(np.sqrt(3) * by_cell.std(ddof=1))
    fewer = fit("B", table, elpd_by_cell=cells(-0.5, -2.0))
    assert compare_fits("avana", a, fewer, SETTINGS)[0].elpd_loo_difference is None
    assert compare_fits("avana", fewer, a, SETTINGS)[0].elpd_loo_difference is None
    assert compare_fits("avana", a, fit("B", table), SETTINGS)[0].elpd_loo_difference is None


@pytest.mark.parametrize(
    ("n_cells", "expected"), [(1, (None, None)), (2, (1.5, np.sqrt(2) * np.std([0.5, 1], ddof=1)))]
)
def test_of_one_cell_alone_there_is_no_standard_error(n_cells: int, expected: object) -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    a = fit("A", table, elpd_by_cell=cells(*[-1.0, -2.0][:n_cells]))
    b = fit("B", table, elpd_by_cell=cells(*[-0.5, -1.0][:n_cells]))
    result, _ = compare_fits("avana", a, b, SETTINGS)
    assert (result.elpd_loo_difference, result.elpd_loo_difference_se) == pytest.approx(expected)


def test_draws_are_identical_where_their_digests_are() -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))

    def with_digest(digest: str) -> ComparedFit:
        one = fit("A", table)
        return replace(one, summary=one.summary.model_copy(update={"posterior_digest": digest}))

    def identical(a: str, b: str) -> bool | None:
        found, _ = compare_fits("avana", with_digest(a), with_digest(b), SETTINGS)
        return found.identical_draws

    assert identical("1f", "1f") is True
    assert identical("1f", "2f") is False
    assert identical("1f", "") is None
    assert identical("", "") is None


def test_scalars_of_both_models_are_set_side_by_side() -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    more = pd.DataFrame({"parameter": ["sigma", "sigma_guide"], "mean": [0.5, 0.3], "sd": 0.1})
    found, _ = compare_fits(
        "avana", fit("A", table), replace(fit("B", table), parameters=more), SETTINGS
    )
    sigma, guide = found.scalars
    assert (sigma.parameter, sigma.mean_a, sigma.mean_b) == ("sigma", 1.0, 0.5)
    assert guide.parameter == "sigma_guide" and np.isnan(guide.mean_a) and guide.mean_b == 0.3
    assert (sigma.sd_a, sigma.sd_b, guide.sd_b) == (0.1, 0.1, 0.1) and np.isnan(guide.sd_a)
    back, _ = compare_fits(
        "avana", replace(fit("B", table), parameters=more), fit("A", table), SETTINGS
    )
    assert np.isnan([back.scalars[1].mean_b, back.scalars[1].sd_b]).all()


def test_checks_of_both_fits_are_set_side_by_side() -> None:
    table = effects(X=(-1, 0.1, 0), Y=(0, 0.1, 0.5))
    a = replace(fit("A", table), checks=(check_of("mean", 0.1, "prior"), check_of("mean", 0.2)))
    b = replace(fit("B", table), checks=(check_of("mean", 0.3), check_of("sd", 0.4)))
    mean, sd = compare_fits("avana", a, b, SETTINGS)[0].checks
    assert (mean.check, mean.p_value_a, mean.p_value_b) == ("mean", 0.2, 0.3)
    assert (sd.check, sd.p_value_b) == ("sd", 0.4) and np.isnan(sd.p_value_a)
    assert (mean.n_draws_a, mean.n_draws_b, sd.n_draws_a, sd.n_draws_b) == (500, 500, 0, 500)
    _, back = compare_fits("avana", b, a, SETTINGS)[0].checks
    assert (back.check, back.p_value_a, back.n_draws_b) == ("sd", 0.4, 0)
    assert np.isnan(back.p_value_b)
