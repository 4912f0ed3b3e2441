"""What a comparison says of two tables of gene effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.compare import ComparedFit, compare_fits, compare_genes
from schemas.comparison import Comparison, ComparisonSettings, FitSummary

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
    assert result.genes_joined == 1


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
