"""What holds of the table of genes and of its error rates for draws of any kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.design import ScreenDesign
from model.effects import gene_effects, local_false_sign_rate, s_value
from schemas.parameters import Calls
from tests.model.test_effects import design, posterior
from tests.property.releases import examples

seeds = st.integers(0, 2**32 - 1)
rates = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1), max_size=30).map(
    np.array
)


def assert_close(found: Any, expected: Any, err_msg: str = "") -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=err_msg)


@st.composite
def any_draws(draw: st.DrawFn) -> np.ndarray:
    """Draws (G, S) of all sizes, some of them exactly 0, some genes of one sign."""
    random = np.random.default_rng(draw(seeds))
    n_genes, n_draws = draw(st.integers(1, 6)), draw(st.integers(2, 40))
    draws = random.normal(random.normal(0, 2, (n_genes, 1)), 1, (n_genes, n_draws))
    draws *= 10.0 ** draw(st.integers(-6, 6))
    draws[random.random(draws.shape) < draw(st.sampled_from([0.0, 0.2]))] = 0
    return draws


# ------------------------------------------------------------------------------------ error rates


@examples(60)
@given(draws=any_draws(), seed=seeds)
def test_the_sign_rate_is_a_share_of_the_draws_whatever_their_order_and_unit(
    draws: np.ndarray, seed: int
):
    rate, n_draws = local_false_sign_rate(draws), draws.shape[1]
    negative, positive = (draws < 0).sum(axis=1), (draws > 0).sum(axis=1)
    expected = (n_draws - np.maximum(negative, positive)) / n_draws
    assert_close(rate, expected)
    assert ((rate >= 0) & (rate <= 1)).all()
    assert (rate[(draws != 0).all(axis=1)] <= 0.5).all()
    shuffled = np.random.default_rng(seed).permutation(draws, axis=1)
    for same in (shuffled, -draws, 8 * draws, np.concatenate([draws, draws], axis=1)):
        assert_close(local_false_sign_rate(same), rate)


@examples(60)
@given(draws=any_draws(), shares=st.lists(st.floats(0, 2), min_size=2, max_size=2).map(sorted))
def test_the_larger_the_effect_that_counts_the_less_sure_its_sign(
    draws: np.ndarray, shares: list[float]
):
    scale = float(np.abs(draws).max())
    nearer, further = (local_false_sign_rate(draws, share * scale) for share in shares)
    assert (local_false_sign_rate(draws) <= nearer).all()
    assert (nearer <= further).all()
    assert (local_false_sign_rate(draws, scale) == 1).all()


@examples(60)
@given(draws=any_draws(), seed=seeds)
def test_a_draw_that_is_no_number_leaves_its_gene_alone_without_a_rate(
    draws: np.ndarray, seed: int
):
    random, broken = np.random.default_rng(seed), draws.copy()
    gene = random.integers(len(draws))
    broken[gene, random.integers(draws.shape[1])] = np.nan
    rate = local_false_sign_rate(broken)
    assert np.isnan(rate[gene])
    others = np.arange(len(draws)) != gene
    np.testing.assert_array_equal(rate[others], local_false_sign_rate(draws)[others])


@examples(100)
@given(lfsr=rates)
def test_the_s_value_is_the_running_mean_of_the_rates(lfsr: np.ndarray):
    found = s_value(lfsr)
    expected = [lfsr[lfsr <= own].mean() for own in lfsr]
    assert_close(found, expected)
    assert (found <= lfsr + 1e-12).all()
    assert (found >= lfsr.min(initial=1) - 1e-12).all()
    order = np.argsort(lfsr, kind="stable")
    assert (np.diff(found[order]) >= -1e-12).all()
    for own in lfsr:
        assert len(set(found[lfsr == own])) == 1


@examples(60)
@given(lfsr=rates, seed=seeds, n_unknown=st.integers(0, 4), n_less_sure=st.integers(0, 4))
def test_the_s_value_asks_neither_for_order_nor_for_genes_less_sure(
    lfsr: np.ndarray, seed: int, n_unknown: int, n_less_sure: int
):
    alone, random = s_value(lfsr), np.random.default_rng(seed)
    less_sure = random.uniform(lfsr.max(initial=0) + 1e-6, 2, n_less_sure)
    many = np.concatenate([lfsr, np.full(n_unknown, np.nan), less_sure])
    order = random.permutation(len(many))
    found = np.empty(len(many))
    found[order] = s_value(many[order])
    assert_close(found[: len(lfsr)], alone)
    assert np.isnan(found[len(lfsr) : len(lfsr) + n_unknown]).all()


# -------------------------------------------------------------------------------- table of genes

CALLS = Calls(min_cell_lines=2, min_rna_sd=0, min_effect=0.3, error_max=0.2)
OTHER_SIGN = {"negative": "positive", "positive": "negative", "none": "none"}


def screen(n_genes: int) -> tuple[np.ndarray, ScreenDesign]:
    """Draws (G, S) with no two alike, some genes of which are called, and their design."""
    random = np.random.default_rng(n_genes)
    centres = random.permutation(np.linspace(-2, 2, n_genes))[:, None]
    genes = tuple(f"g{number}" for number in range(n_genes))
    return random.normal(centres, 0.7, (n_genes, 61)), design(genes)


def table_of(draws: np.ndarray, of: ScreenDesign) -> pd.DataFrame:
    return gene_effects(posterior(draws, of.genes), of, CALLS).set_index("gene")


@examples(6)
@given(n_genes=st.integers(1, 7))
def test_the_other_sign_mirrors_the_table(n_genes: int):
    draws, of = screen(n_genes)
    table = table_of(draws, of)
    mirrored = table_of(-draws, of).loc[table.index]
    for column in ("beta_sd", "lfsr", "call_error", "s_value", "n_guides", "rna_sd"):
        assert_close(mirrored[column], table[column], err_msg=column)
    for column, other in (
        ("beta_mean", "beta_mean"),
        ("beta_hdi_low", "beta_hdi_high"),
        ("beta_per_log2_hdi_high", "beta_per_log2_hdi_low"),
    ):
        assert_close(mirrored[column], -table[other], err_msg=column)
    assert_close(mirrored["prob_negative"], 1 - table["prob_negative"])
    assert mirrored["call"].tolist() == [OTHER_SIGN[call] for call in table["call"]]


@examples(6)
@given(n_genes=st.integers(1, 7), seed=seeds, factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_the_table_asks_neither_for_the_order_of_draws_and_genes_nor_for_pieces(
    n_genes: int, seed: int, factor: float
):
    draws, of = screen(n_genes)
    random = np.random.default_rng(seed)
    table = table_of(draws, of)
    shuffled = posterior(random.permutation(draws, axis=1), of.genes)
    genes = random.permutation(list(of.genes))
    shuffled["posterior"] = shuffled["posterior"].dataset.sel(gene=genes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.effects.GENES_AT_ONCE", int(random.integers(1, n_genes + 1)))
        again = gene_effects(shuffled, of, CALLS).set_index("gene")
    pd.testing.assert_frame_equal(again, table, check_exact=False, rtol=1e-12)
    per_log2 = [name for name in table if str(name).startswith("beta_per_log2")]
    wider = table_of(draws, replace(of, rna_sd=of.rna_sd * factor))
    assert_close(wider[per_log2] * factor, table[per_log2])


@examples(6)
@given(n_genes=st.integers(1, 7))
def test_the_columns_of_the_table_agree_among_themselves(n_genes: int):
    draws, of = screen(n_genes)
    table = table_of(draws, of)
    assert table["beta_mean"].is_monotonic_increasing
    assert (table["beta_hdi_low"] < table["beta_hdi_high"]).all()
    assert (table["lfsr"] <= table["call_error"]).all()
    assert (table["s_value"] <= table["lfsr"] + 1e-12).all()
    called = table["call"] != "none"
    assert (called == (table["call_error"] <= CALLS.error_max)).all()
    assert ((table["call"] == "negative") == (called & (table["prob_negative"] > 0.5))).all()
    inside = (draws >= table["beta_hdi_low"].loc[list(of.genes)].to_numpy()[:, None]) & (
        draws <= table["beta_hdi_high"].loc[list(of.genes)].to_numpy()[:, None]
    )
    assert (inside.mean(axis=1) >= 0.89 - 1 / draws.shape[1]).all()
