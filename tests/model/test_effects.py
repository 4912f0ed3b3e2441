"""The table of genes, on draws few enough to reckon by hand."""

import numpy as np
import pytest
import xarray as xr

from model.design import ScreenDesign
from model.effects import count_calls, gene_effects, local_false_sign_rate, s_value
from schemas.columns import GENE_EFFECTS
from schemas.parameters import Calls

GENES = ("A", "B", "C")
BETA = np.array([[1.0, 2.0, 3.0, -2.0], [-4.0, -3.0, -2.0, -3.0], [0.0, 0.0, 0.0, 0.0]])


def posterior(beta: np.ndarray = BETA, genes: tuple[str, ...] = GENES) -> xr.DataTree:
    """A tree with one chain of the given draws (G, S) of beta; alpha is the gene's number."""
    alpha = np.broadcast_to(np.arange(len(genes), dtype=float)[:, None], beta.shape)
    dims = ("chain", "draw", "gene")
    data = xr.Dataset(
        {"beta_g": (dims, beta.T[None]), "alpha_g": (dims, alpha.T[None])},
        coords={"gene": list(genes)},
    )
    return xr.DataTree.from_dict({"posterior": data})


def design(genes: tuple[str, ...] = GENES, *, rna_is_log2: bool = True) -> ScreenDesign:
    """Two guides a gene, three lines; the last guide and the last line hold nothing."""
    count = np.ones((2 * len(genes), 3), dtype=np.uint16)
    count[-1] = 0
    count[:, -1] = 0
    return ScreenDesign(
        genes=genes,
        cell_lines=("x", "y", "z"),
        guides=tuple(f"{gene}{number}" for gene in genes for number in (1, 2)),
        guide_gene=np.repeat(np.arange(len(genes)), 2),
        rna=np.zeros((len(genes), 3)),
        rna_mean=np.zeros(len(genes)),
        rna_sd=np.arange(1.0, len(genes) + 1),
        rna_is_log2=rna_is_log2,
        count=count,
        total=np.zeros(count.shape),
        sum_of_squares=np.zeros((len(genes), 3)),
    )


def test_the_strongest_dependency_comes_first():
    table = gene_effects(posterior(), design())
    assert list(table.columns) == list(GENE_EFFECTS)
    assert table["gene"].tolist() == ["B", "C", "A"]
    assert table.index.tolist() == [0, 1, 2]


def test_numbers_reckoned_by_hand():
    table = gene_effects(posterior(), design()).set_index("gene")
    assert table["beta_mean"].to_dict() == {"A": 1.0, "B": -3.0, "C": 0.0}
    assert table["beta_sd"]["B"] == pytest.approx(np.sqrt(2 / 3))
    assert table["prob_negative"].to_dict() == {"A": 0.25, "B": 1.0, "C": 0.0}
    assert table["beta_per_log2_mean"].to_dict() == {"A": 1.0, "B": -1.5, "C": 0.0}
    assert table["alpha_mean"].to_dict() == {"A": 0.0, "B": 1.0, "C": 2.0}


def test_only_guides_and_lines_with_measurements_are_counted():
    table = gene_effects(posterior(), design()).set_index("gene")
    assert table["n_cell_lines"].to_dict() == {"A": 2, "B": 2, "C": 2}
    assert table["n_guides"].to_dict() == {"A": 2, "B": 2, "C": 1}


def test_no_slope_per_log2_unit_without_log2_rna():
    table = gene_effects(posterior(), design(rna_is_log2=False))
    assert table.filter(like="per_log2").isna().all(axis=None)


def test_the_interval_holds_89_percent_of_the_draws_and_is_the_shortest():
    draws = np.random.default_rng(1).exponential(size=(1, 20_000))
    row = gene_effects(posterior(draws, ("A",)), design(("A",))).iloc[0]
    # The highest density interval of an exponential starts at 0, unlike one of equal tails.
    assert row["beta_hdi_low"] == pytest.approx(0, abs=0.001)
    assert row["beta_hdi_high"] == pytest.approx(-np.log(1 - 0.89), rel=0.05)


def test_genes_are_matched_by_label_not_by_place():
    tree = posterior()
    shuffled = xr.DataTree.from_dict(
        {"posterior": tree["posterior"].dataset.sel(gene=["C", "A", "B"])}
    )
    assert gene_effects(shuffled, design()).equals(gene_effects(tree, design()))


def test_a_gene_without_draws_is_an_error():
    with pytest.raises(KeyError):
        gene_effects(posterior(), design(("A", "B", "C", "D")))


def test_the_pieces_make_the_same_table_as_the_whole(monkeypatch):
    whole = gene_effects(posterior(), design())
    monkeypatch.setattr("model.effects.GENES_AT_ONCE", 2)
    assert gene_effects(posterior(), design()).equals(whole)


def test_a_broken_draw_leaves_no_number_behind():
    beta = BETA.copy()
    beta[1, 2] = np.nan
    table = gene_effects(posterior(beta), design())
    assert table["gene"].tolist() == ["C", "A", "B"]
    broken = ["beta_mean", "beta_sd", "beta_hdi_low", "prob_negative", "lfsr", "s_value"]
    assert table.iloc[-1][broken].isna().all()
    assert table.iloc[:-1][broken].notna().all(axis=None)
    assert table.iloc[-1]["call"] == "not enough data"
    assert table.iloc[-1]["call_reason"] == "draws that are no numbers"


def called(calls: Calls) -> dict[str, tuple[str, str]]:
    table = gene_effects(posterior(), design(), calls)
    return dict(
        zip(table["gene"], zip(table["call"], table["call_reason"], strict=True), strict=True)
    )


ENOUGH = Calls(min_cell_lines=2, min_rna_sd=0)


def test_a_gene_is_called_where_its_sign_is_sure():
    assert called(ENOUGH) == {"A": ("none", ""), "B": ("negative", ""), "C": ("none", "")}
    doubtful = ENOUGH.model_copy(update={"error_max": 0.25})
    assert called(doubtful)["A"] == ("positive", "")


@pytest.mark.parametrize(("min_effect", "error"), [(0.0, 0.0), (2.0, 0.25), (3.5, 0.75)])
def test_a_call_is_of_an_effect_beyond_the_smallest_of_interest(min_effect, error):
    calls = ENOUGH.model_copy(update={"min_effect": min_effect})
    table = gene_effects(posterior(), design(), calls).set_index("gene")
    assert table["call_error"]["B"] == error  # of -4, -3, -2, -3
    assert table["call"]["B"] == ("negative" if error <= calls.error_max else "none")
    assert table["lfsr"]["B"] == 0


def test_too_little_data_is_no_call():
    few = called(Calls(min_rna_sd=0))
    assert set(few.values()) == {("not enough data", "measured in fewer than 10 cell lines")}
    flat = called(Calls(min_cell_lines=2, min_rna_sd=2.5))
    assert flat["B"] == ("not enough data", "RNA SD below 2.5")
    assert flat["C"] == ("none", "")


def test_rna_that_varies_just_enough_is_enough_for_a_call():
    assert called(Calls(min_cell_lines=2, min_rna_sd=2.0))["B"] == ("negative", "")


def test_the_spread_of_z_scores_is_not_asked():
    table = gene_effects(
        posterior(), design(rna_is_log2=False), Calls(min_cell_lines=2, min_rna_sd=9)
    )
    assert "not enough data" not in set(table["call"])


def test_calls_are_counted():
    counts = count_calls(gene_effects(posterior(), design(), ENOUGH))
    assert counts == {"negative": 1, "positive": 0, "none": 2, "not enough data": 0}


def test_effects_per_log2_unit_are_those_per_sd_over_the_sd():
    table = gene_effects(posterior(), design())
    for column in ("mean", "sd", "hdi_low", "hdi_high"):
        np.testing.assert_allclose(
            table[f"beta_per_log2_{column}"], table[f"beta_{column}"] / table["rna_sd"]
        )


@pytest.mark.parametrize(
    ("draws", "rate"),
    [
        ([-1, -1, -1, 1], 0.25),
        ([1, 1, 1, -1], 0.25),
        ([-1, -1, -1, -1], 0),
        ([-1, -1, 0, 1], 0.5),
        ([0, 0, 0, 0], 1),
    ],
)
def test_a_draw_of_zero_counts_against_both_signs(draws, rate):
    assert local_false_sign_rate(np.array([draws], dtype=float)).item() == rate


def test_the_s_value_is_the_mean_over_all_genes_as_sure():
    lfsr = np.array([0.3, 0.0, 0.1, 0.1, np.nan])
    expected = [
        np.mean([rate for rate in lfsr if rate <= own]) if own == own else np.nan for own in lfsr
    ]
    np.testing.assert_allclose(s_value(lfsr), expected)
