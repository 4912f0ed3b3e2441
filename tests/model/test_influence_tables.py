"""Tables of influence of slopes given by hand, and of small screens by the dense normal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from model.design import ScreenDesign
from model.exact.workers import n_threads
from model.influence import (
    LINE_COLUMNS,
    LINEAGE_COLUMNS,
    Influence,
    _columns,
    _groups,
    _kept,
    _part,
    _summary,
    _table,
    _within,
    assess_influence,
    leaving_out_seconds,
    with_influence,
)
from model.left_out import GroupsOut, Slopes, integrable, leave_out
from model.within_lineage import within_lineages
from schemas.parameters import FitParameters, ModelName, Priors
from tests.designs import design_from_rows
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, random_rows
from tests.model.sds import drawn_sds, typical

ROWS = random_rows(6, n_genes=4, n_lines=5)
LINEAGE = ("Skin", "Lung", "Lung", "", "Skin")
LINES = ["c0", "c1", "c2", "c3", "c4"]


def screen(lineage: tuple[str, ...] | None = LINEAGE) -> ScreenDesign:
    return replace(design_from_rows(ROWS), lineage=lineage)


def given(n_groups: int, n_genes: int, seed: int = 1) -> GroupsOut:
    random = np.random.default_rng(seed)

    def slopes(*shape: int) -> Slopes:
        return Slopes(
            random.normal(0, 1, shape), random.uniform(0.5, 2, shape), random.uniform(0, 0.5, shape)
        )

    return GroupsOut(
        slopes(n_genes),
        slopes(n_groups, n_genes),
        random.normal(-5, 1, n_groups),
        random.uniform(0, 1, n_groups),
    )


def settings(**changed: dict[str, float]) -> FitParameters:
    return FitParameters.model_validate(changed)


@pytest.mark.parametrize(
    "lineage",
    [None, ("",) * 5, ("Skin", "Skin", "Skin", "", ""), ("Skin", "Lung", "", "", "Bowel")],
)
def test_lineages_with_nothing_within_or_between_them_are_no_groups(lineage):
    groups, names = _groups(screen(lineage))
    assert names == ()
    assert groups.dtype == bool
    np.testing.assert_array_equal(groups, np.eye(5))


def test_every_line_and_every_known_lineage_is_a_group():
    groups, names = _groups(screen())
    assert names == ("Lung", "Skin")
    assert {type(name) for name in names} == {str}
    assert groups.dtype == bool
    np.testing.assert_array_equal(groups[:5], np.eye(5))
    np.testing.assert_array_equal(groups[5:], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]])


def test_groups_of_one_kind_are_a_part():
    out = given(6, 3)
    for which in (slice(4), slice(4, None)):
        part = _part(out, which)
        assert part.whole is out.whole
        for name in ("mean", "sd", "lfsr"):
            expected = getattr(out.without, name)[which]
            np.testing.assert_array_equal(getattr(part.without, name), expected)
        np.testing.assert_array_equal(part.elpd, out.elpd[which])
        np.testing.assert_array_equal(part.pareto_k, out.pareto_k[which])


def test_the_table_has_a_row_a_gene_and_group():
    out = given(2, 3)
    table = _table(out, ("a", "b", "c"), "lineage", ("Lung", "Skin"))
    expected = [
        (
            name,
            unit,
            out.without.mean[group, gene],
            (out.without.mean[group, gene] - out.whole.mean[gene]) / out.whole.sd[gene],
            out.without.lfsr[group, gene],
        )
        for gene, name in enumerate("abc")
        for group, unit in enumerate(("Lung", "Skin"))
    ]
    columns = ["gene", "lineage", "beta_without", "change_in_sd", "lfsr_without"]
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected, columns=columns))


def test_of_a_large_table_large_changes_and_the_largest_of_each_gene_are_kept(monkeypatch):
    table = pd.DataFrame(
        {
            "gene": list("bbbaaaccc"),
            "cell_line": ["x", "y", "z"] * 3,
            "change_in_sd": [0.1, -0.3, 0.2, 1.0, -2.0, 0.9, -0.999, 0.0, 0.5],
        }
    )
    monkeypatch.setattr("model.influence.MOST_ROWS", 9)
    assert _kept(table, 1.0) is table
    monkeypatch.setattr("model.influence.MOST_ROWS", 8)
    kept = _kept(table, 1.0)
    pd.testing.assert_frame_equal(kept, table.iloc[[1, 3, 4, 6]].reset_index(drop=True))


@pytest.mark.parametrize(
    ("unit", "names"), [("line", LINE_COLUMNS), ("lineage", LINEAGE_COLUMNS[:3])]
)
def test_what_carries_an_effect_is_told_at_the_bounds(unit, names):
    """One group moves every gene by half an SD and takes nothing; the other, by exactly one.

    Carried: a sign as sure as it has to be, and then less sure, or turned though sure. Not: a sign
    not sure before, one just sure enough after, one moved by less than one SD.
    """
    whole = Slopes(
        np.array([4.0, -4.0, 4.0, 4.0, 4.0]),
        np.full(5, 2.0),
        np.array([0.05, 0.05, 0.051, 0.05, 0.05]),
    )
    without = Slopes(
        np.array([[5.0, -5.0, 5.0, 5.0, 5.0], [2.0, 4.0, 2.0, 2.0, 2.001]]),
        np.full((2, 5), 2.0),
        np.array([[0.01] * 5, [0.051, 0.05, 0.4, 0.05, 0.4]]),
    )
    out = GroupsOut(whole, without, np.zeros(2), np.zeros(2))
    found = _columns(out, tuple("abcde"), unit, ("one", "other"), settings())
    expected = pd.DataFrame(
        {
            "gene": list("abcde"),
            names[0]: ["other"] * 5,
            names[1]: [-1.0, 4.0, -1.0, -1.0, -0.9995],
            names[2]: [True, True, False, False, False],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_bounds_of_what_carries_are_those_asked_for():
    out = GroupsOut(
        Slopes(np.array([4.0, 4.0]), np.array([2.0, 2.0]), np.array([0.1, 0.1])),
        Slopes(np.array([[3.0, 2.5]]), np.full((1, 2), 2.0), np.array([[0.2, 0.2]])),
        np.zeros(1),
        np.zeros(1),
    )
    loose = settings(calls={"error_max": 0.1}, influence={"change_min": 0.6})
    found = _columns(out, ("a", "b"), "line", ("one",), loose)
    assert found["carried_by_one_line"].tolist() == [False, True]
    tight = settings(calls={"error_max": 0.09}, influence={"change_min": 0.6})
    found = _columns(out, ("a", "b"), "line", ("one",), tight)
    assert not found["carried_by_one_line"].any()


@pytest.mark.parametrize("name", MODELS)
def test_a_gene_marks_a_lineage_where_surely_too_little_is_left_within(monkeypatch, name):
    """Whole slopes of genes by hand: much larger than within, either sign; not sure; the same."""
    monkeypatch.setattr("model.left_out.MOST_WORK", 0)
    design = screen()
    small = integrable(name, design, Priors(), drawn_sds(name))
    inside, rna_left = within_lineages(small, LINEAGE)
    slopes = leave_out(inside, np.zeros((0, 5), bool)).whole
    mean, sd = slopes.mean, slopes.sd
    # Within, the third is half of the whole less 1.6 SDs, and 1.7 SDs, where 1.645 are sure.
    for sds, sure in ((1.6, False), (1.7, True)):
        sign = np.sign(mean[2])
        third = sign * 2 * (abs(mean[2]) + sds * sd[2])
        whole = np.array([20.0, -20.0, third, 20.0])
        lfsr = np.array([0.05, 0.01, 0.05, 0.051])
        out = GroupsOut(
            Slopes(whole, np.ones(4), lfsr), given(0, 4).without, np.zeros(0), np.zeros(0)
        )
        found = _within(small, LINEAGE, out, settings())
        expected = {
            "beta_within_lineage_mean": mean,
            "beta_within_lineage_sd": sd,
            "rna_within_lineage": rna_left,
            "marks_lineage": [True, True, sure, False],
        }
        pd.testing.assert_frame_equal(found, pd.DataFrame(expected))
        probability = norm.cdf(
            [(np.sign(w) * m - 0.1 * abs(w)) / s for w, m, s in zip(whole, mean, sd, strict=True)]
        )
        asked = settings(influence={"share_within_min": 0.1}, calls={"error_max": 0.2})
        found = _within(small, LINEAGE, out, asked)
        assert found["marks_lineage"].tolist() == (probability <= 0.2).tolist()


def test_the_summary_counts_genes_and_adds_up_lines():
    out = given(4, 3)
    genes = pd.DataFrame(
        {
            "gene": list("abc"),
            "carried_by_one_line": [True, True, False],
            "carried_by_one_lineage": [True, True, True],
            "marks_lineage": [False, True, False],
        }
    )
    expected = {
        "elpd_lolo": sum(out.elpd),
        "elpd_lolo_se": 2 * pd.Series(out.elpd).std(),
        "pareto_k_max": sorted(out.pareto_k)[-1],
        "n_genes": 3,
        "n_genes_of_screen": 8,
        "n_genes_carried_by_one_line": 2,
        "n_lineages": 5,
        "n_genes_carried_by_one_lineage": 3,
        "n_genes_marking_a_lineage": 1,
    }
    assert _summary(genes, out, 8, 5).model_dump() == pytest.approx(expected)
    of_lines = _summary(genes.iloc[:, :2], out, 8, 0)
    assert of_lines.n_genes_carried_by_one_line == 2
    assert of_lines.n_genes_carried_by_one_lineage == of_lines.n_genes_marking_a_lineage == 0


def test_genes_not_looked_at_lack_the_columns():
    genes = pd.DataFrame(
        {
            "gene": ["b", "a"],
            "influence": [1.5, -0.5],
            "carried_by_one_line": [True, False],
            "carried_by_one_lineage": [False, False],
            "marks_lineage": [False, True],
        }
    )
    influence = Influence(
        _summary(genes, given(2, 2), 3, 0), genes, pd.DataFrame(), pd.DataFrame(), None
    )
    effects = pd.DataFrame({"gene": ["c", "a", "b"], "beta_mean": [1.0, 2.0, 3.0]})
    joined = with_influence(effects, influence)
    assert joined["gene"].tolist() == ["c", "a", "b"]
    assert joined["beta_mean"].tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(joined["influence"], [np.nan, -0.5, 1.5])
    flags = {
        "carried_by_one_line": [pd.NA, False, True],
        "carried_by_one_lineage": [pd.NA, False, False],
        "marks_lineage": [pd.NA, True, False],
    }
    for name, expected in flags.items():
        assert joined[name].dtype == "boolean"
        assert joined[name].tolist() == expected
    for twice in (effects.iloc[[1, 1]], effects.iloc[[2, 0, 2]]):
        with pytest.raises(pd.errors.MergeError):
            with_influence(twice, influence)


@pytest.mark.parametrize(("name", "rows"), [("m4", 8), ("m4_nested", 8 + ROWS.guide.nunique())])
def test_seconds_are_of_every_line_and_every_lineage(name, rows):
    """Of 128 points, (groups + 1) rows lines^2 multiplications and as many rows by group."""
    for lineage, n_groups in ((None, 5), (LINEAGE, 7)):
        a_point = (n_groups + 1) * rows * 25 * 1e-10 + n_groups * rows * 5e-6
        expected = 128 * a_point / n_threads()
        assert leaving_out_seconds(name, screen(lineage)) == pytest.approx(expected)


def reckoned(name: ModelName, *lines: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Log likelihood, and means and SDs of beta, of the dense normal without some lines."""
    kept = ROWS[~ROWS.cell_line.isin(lines)]
    found = dense(name, kept, design_from_rows(ROWS), Priors(), typical(drawn_sds(name)))
    return found.log_likelihood, found.mean["beta_g"], found.sd("beta_g")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lineage", [LINEAGE, None])
def test_a_screen_is_assessed_as_the_dense_normal_has_it(monkeypatch, name, lineage):
    """At one point of the SDs, that of their mean logs, where all genes can be afforded."""
    monkeypatch.setattr("model.left_out.MOST_WORK", 10_000)
    parameters = FitParameters(model=name)
    told: list[tuple[int, int]] = []
    found = assess_influence(
        drawn_sds(name), screen(lineage), parameters, lambda *done: told.append(done)
    )
    assert found is not None
    assert told == [(1, 1)]
    density, mean, sd = reckoned(name)
    sure = norm.cdf(-np.abs(mean) / sd) <= 0.05

    def check(table: pd.DataFrame, names: tuple[str, ...], groups: dict[str, list[str]]) -> None:
        unit = "lineage" if lineage and "Lung" in groups else "cell_line"
        assert list(table) == ["gene", unit, "beta_without", "change_in_sd", "lfsr_without"]
        assert table[unit].tolist() == list(groups) * 4
        assert table["gene"].tolist() == [f"g{gene}" for gene in range(4) for _ in groups]
        lost = pd.Series(index=table.index, dtype=bool)
        for label, left in groups.items():
            _, without, spread = reckoned(name, *left)
            mine = table[unit] == label
            change, lfsr = (without - mean) / sd, norm.cdf(-np.abs(without) / spread)
            np.testing.assert_allclose(table.loc[mine, "beta_without"], without, atol=1e-8)
            np.testing.assert_allclose(table.loc[mine, "change_in_sd"], change, atol=1e-7)
            np.testing.assert_allclose(table.loc[mine, "lfsr_without"], lfsr, atol=1e-7)
            lost[mine] = (np.abs(change) >= 1) & ((lfsr > 0.05) | (without * mean < 0))
        # What carries a gene's effect here moves it most too.
        most = table.loc[table["change_in_sd"].abs().groupby(table["gene"]).idxmax()]
        assert found.genes[names[0]].tolist() == most[unit].tolist()
        np.testing.assert_array_equal(found.genes[names[1]], most["change_in_sd"])
        carried = sure & lost.groupby(table["gene"]).any().to_numpy()
        np.testing.assert_array_equal(found.genes[names[2]], carried)

    check(found.line_influence, LINE_COLUMNS, {line: [line] for line in LINES})
    assert found.genes["gene"].tolist() == ["g0", "g1", "g2", "g3"]
    assert list(found.lines) == ["cell_line", "elpd_lolo", "pareto_k"]
    assert found.lines["cell_line"].tolist() == LINES
    elpd = [density - reckoned(name, line)[0] for line in LINES]
    np.testing.assert_allclose(found.lines["elpd_lolo"], elpd, atol=1e-8)
    assert found.lines["pareto_k"].isna().all()
    assert found.summary.elpd_lolo == pytest.approx(sum(elpd))
    assert found.summary.n_genes == found.summary.n_genes_of_screen == 4
    assert found.summary.n_genes_carried_by_one_line == (1 if name != "m4_nested" else 0)
    if lineage is None:
        assert found.lineage_sensitivity is None
        assert list(found.genes) == ["gene", *LINE_COLUMNS]
        assert found.summary.n_lineages == 0
        return
    assert found.lineage_sensitivity is not None
    lineages = {"Lung": ["c1", "c2"], "Skin": ["c0", "c4"]}
    check(found.lineage_sensitivity, LINEAGE_COLUMNS, lineages)
    assert list(found.genes) == ["gene", *LINE_COLUMNS, *LINEAGE_COLUMNS]
    assert found.summary.n_lineages == 2
    inside, rna_left = within_lineages(
        integrable(name, screen(), Priors(), drawn_sds(name)), LINEAGE
    )
    slopes = leave_out(inside, np.zeros((0, 5), bool)).whole
    np.testing.assert_allclose(found.genes["beta_within_lineage_mean"], slopes.mean, rtol=1e-12)
    np.testing.assert_allclose(found.genes["beta_within_lineage_sd"], slopes.sd, rtol=1e-12)
    np.testing.assert_allclose(found.genes["rna_within_lineage"], rna_left, rtol=1e-12)


def test_a_screen_too_large_is_assessed_in_some_of_its_genes(monkeypatch):
    """Four genes in five lines without each of five take 1,200 multiplications."""
    monkeypatch.setattr("model.left_out.MOST_WORK", 700)
    monkeypatch.setattr("model.influence.MOST_ROWS", 9)
    parameters = settings(influence={"change_min": 0.2})
    found = assess_influence(drawn_sds("m4"), screen(None), parameters)
    assert found is not None
    assert found.genes["gene"].tolist() == ["g0", "g3"]
    assert (found.summary.n_genes, found.summary.n_genes_of_screen) == (2, 4)
    monkeypatch.setattr("model.influence.MOST_ROWS", 10)
    every = assess_influence(drawn_sds("m4"), screen(None), parameters)
    assert every is not None
    assert every.line_influence["gene"].tolist() == ["g0"] * 5 + ["g3"] * 5
    size = every.line_influence["change_in_sd"].abs()
    large = every.line_influence[
        (size >= 0.2) | (size == size.groupby(every.line_influence["gene"]).transform("max"))
    ]
    assert 2 < len(large) < 10
    pd.testing.assert_frame_equal(found.line_influence, large.reset_index(drop=True))
    # With effects of guides there is more to multiply.
    monkeypatch.setattr("model.left_out.MOST_WORK", 1200)
    for name, n_genes in (("m4", 4), ("m4_nested", int(4 * 8 / (8 + ROWS.guide.nunique())))):
        found = assess_influence(drawn_sds(name), screen(None), FitParameters(model=name))
        assert found is not None
        assert found.summary.n_genes == n_genes


@pytest.mark.parametrize("value", [0.7, np.nan])
def test_one_sd_that_never_moved_or_is_not_a_number_leaves_nothing_to_say(value):
    draws = drawn_sds("m4")
    still = draws.assign(sigma_beta=draws["sigma_beta"] * 0 + value)
    assert assess_influence(still, screen(), FitParameters(model="m4")) is None
