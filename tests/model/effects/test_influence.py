"""Tables and flags of influence: known culprits are flagged, and flags follow from slopes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.effects.gene_effects import local_false_sign_rate
from model.effects.influence import Influence, assess_influence, with_influence
from model.effects.leave_groups_out import GroupsOut, Slopes, leave_out_problem
from model.effects.within_lineage import within_lineages
from model.engines.run import run_engine
from model.screen.design import ScreenDesign
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, drawn_sds, nested_rows, of_lines
from tests.model.engines.exact.pieces import random_rows
from tests.tasks.fits import INFLUENCE

ROWS = random_rows(6, n_genes=7, n_lines=5)
LINEAGE = ("Skin", "Lung", "Lung", "", "Skin")
DESIGN = design_from_rows(ROWS)
ASKED = {"calls": {"error_max": 0.1}, "influence": {"change_min": 1.2, "share_within_min": 0.2}}


def given_slopes() -> tuple[GroupsOut, GroupsOut]:
    """Slopes of seven genes without five lines and two lineages, and slopes within lineages.

    Without the fourth line and the second lineage genes are at the bounds: in turn the change is
    one SD, the sign turns, it was never sure, it stays sure, the change is less than one SD,
    another group changes more but keeps the sign, and the false sign rate is above 0.05 only.
    """
    random = np.random.default_rng(1)
    whole = np.array([4.0, -4.0, 4.0, 4.0, 4.0, -4.0, 4.0])
    lfsr = np.array([0.05, 0.05, 0.051, 0.05, 0.05, 0.01, 0.04])
    mean = whole + random.uniform(-0.8, 0.8, (7, 7))
    without_lfsr = random.uniform(0.001, 0.04, (7, 7))
    mean[[3, 6]] = [2.0, 4.0, 2.0, 2.0, 2.001, -1.0, 1.0], [2.5, -1.0, 0.5, 4.5, 1.9, 1.0, 3.0]
    without_lfsr[3] = [0.051, 0.05, 0.4, 0.05, 0.4, 0.2, 0.09]
    without_lfsr[6] = [0.3, 0.06, 0.2, 0.3, 0.0501, 0.01, 0.02]
    mean[1, 5], mean[5, 6] = -10.0, 9.0
    sd = np.full(7, 2.0)
    elpd, pareto_k = random.normal(-5, 1, 7), random.uniform(0, 1, 7)
    without = Slopes(mean, random.uniform(0.5, 2, (7, 7)), without_lfsr)
    within = Slopes(np.array([0.3, -0.3, 0.0, 0.4, -3.0, 3.0, 3.0]), np.full(7, 1.0), lfsr)
    none = np.zeros(0)
    return (
        GroupsOut(Slopes(whole, sd, lfsr), without, elpd, pareto_k),
        GroupsOut(within, without.part(slice(0)), none, none),
    )


OF_LINES = [-1.0, 4.0, -1.0, -1.0, -0.9995, 1.5, -1.5]
OF_LINEAGES = [-0.75, 1.5, -1.75, 0.25, -1.05, 2.5, 2.5]


@pytest.mark.parametrize("lineage", [LINEAGE, None])
@pytest.mark.parametrize(
    ("changed", "by_line", "by_lineage", "marked", "n_rows"),
    [({}, "0156", "145", "0145", 35), (ASKED, "15", "25", "45", 8)],
)
def test_tables_and_flags_follow_from_the_slopes(
    monkeypatch, lineage, changed, by_line, by_lineage, marked, n_rows
):
    settings = FitParameters.model_validate({"model": "m4", **changed})
    design = replace(DESIGN, lineage=lineage, cell_line_name=lineage)
    every, within = given_slopes()
    lines, lineages = list(design.cell_lines), ["Lung", "Skin"] if lineage else []
    elpd, pareto_k = every.elpd[:5], every.pareto_k[:5]
    of_lines = GroupsOut(every.whole, every.without.part(slice(5)), elpd, pareto_k)
    screen = leave_out_problem("m4", design, Priors(), drawn_sds("m4"))
    inside, rna_left = within_lineages(screen, LINEAGE)

    def leave_out(screen, groups, progress=None):
        if not len(groups):
            np.testing.assert_array_equal(screen.blocks[0].columns, inside.blocks[0].columns)
            return within
        expected = [*np.eye(5), *([name == one for one in LINEAGE] for name in lineages)]
        np.testing.assert_array_equal(groups, np.array(expected, dtype=bool))
        progress(1, 2)
        return every if lineage else of_lines

    def flags(genes: str) -> list[bool]:
        return [str(number) in genes for number in range(7)]

    def table(unit: str, labels: list[str], part: slice) -> pd.DataFrame:
        beta = every.without.mean[part].T
        columns = {"gene": np.repeat(design.genes, len(labels)), unit: labels * 7}
        columns["beta_without"] = beta.ravel()
        columns["change_in_sd"] = ((beta - every.whole.mean[:, None]) / 2).ravel()
        return pd.DataFrame(columns | {"lfsr_without": every.without.lfsr[part].T.ravel()})

    monkeypatch.setattr("model.effects.influence.leave_out", leave_out)
    monkeypatch.setattr("model.effects.influence.MOST_ROWS", max(n_rows, 34))
    progress: list[tuple[int, int]] = []
    found = assess_influence(drawn_sds("m4"), design, settings, lambda *done: progress.append(done))
    assert found is not None and progress == [(1, 2)]
    if lineage:
        names = dict(zip(design.cell_lines, lineage, strict=True))
        for one, line in (
            (found.genes, "most_influential_line"),
            (found.line_influence, "cell_line"),
            (found.lines, "cell_line"),
        ):
            assert one.pop(f"{line}_name").tolist() == [names[name] for name in one[line]]
    genes = pd.DataFrame({"gene": design.genes, "most_influential_line": "c3"})
    genes = genes.assign(influence=OF_LINES, carried_by_one_line=flags(by_line))
    assert (found.lineage_sensitivity is None) == (lineage is None)
    if lineage:
        rows = table("lineage", lineages, slice(5, 7))
        pd.testing.assert_frame_equal(found.lineage_sensitivity, rows)
        genes = genes.assign(
            most_influential_lineage=[*["Skin"] * 6, "Lung"],
            lineage_influence=OF_LINEAGES,
            carried_by_one_lineage=flags(by_lineage),
            beta_within_lineage_mean=within.whole.mean,
            beta_within_lineage_sd=within.whole.sd,
            rna_within_lineage=rna_left,
            marks_lineage=flags(marked),
        )
    pd.testing.assert_frame_equal(found.genes, genes)
    rows = table("cell_line", lines, slice(5))
    if n_rows < 35:  # of a large table large changes, and the largest of each gene
        rows = rows[(rows["change_in_sd"].abs() >= 1.2) | (rows["cell_line"] == "c3")]
    assert len(rows) == n_rows
    pd.testing.assert_frame_equal(found.line_influence, rows.reset_index(drop=True))
    of_line = pd.DataFrame({"cell_line": lines, "elpd_lolo": elpd, "pareto_k": pareto_k})
    pd.testing.assert_frame_equal(found.lines, of_line)
    n_by_lineage, n_marked = (len(by_lineage), len(marked)) if lineage else (0, 0)
    carried = len(by_line), len(lineages), n_by_lineage, n_marked
    expected = (sum(elpd), 5**0.5 * pd.Series(elpd).std(), max(pareto_k), 7, 7, *carried)
    assert tuple(found.summary.model_dump().values()) == pytest.approx(expected)


def test_genes_that_were_not_assessed_lack_the_columns():
    genes = pd.DataFrame({"gene": ["b", "a"], "influence": [1.5, -0.5]})
    flags = {"carried_by_one_line": [True, False], "carried_by_one_lineage": [False, False]}
    genes = genes.assign(**flags, marks_lineage=[False, True])
    influence = Influence(INFLUENCE, genes, None, pd.DataFrame(), None)
    effects = pd.DataFrame({"gene": ["c", "a", "b"], "beta_mean": [1.0, 2.0, 3.0]})
    expected = effects.assign(influence=[np.nan, -0.5, 1.5]).assign(
        carried_by_one_line=pd.array([pd.NA, False, True], "boolean"),
        carried_by_one_lineage=pd.array([pd.NA, False, False], "boolean"),
        marks_lineage=pd.array([pd.NA, True, False], "boolean"),
    )
    pd.testing.assert_frame_equal(with_influence(effects, influence), expected)


@pytest.mark.parametrize("value", [0.7, np.nan])
def test_draws_of_an_sd_that_never_moves_or_is_nan_have_no_influence(value):
    draws = drawn_sds("m4")
    broken = draws.assign(sigma_beta=draws["sigma_beta"] * 0 + value)
    assert assess_influence(broken, DESIGN, FitParameters(model="m4")) is None


N_GENES, N_LINES = 16, 40
MARKER, HONEST, ONE_LINE, NULL = "g000", "g001", "g002", "g003"
OUTLIER = 5


def screen_of_culprits() -> ScreenDesign:
    """Return genes of m4_nested, the first four replaced.

    MARKER differs between lineages in RNA and in dependency, and not within; HONEST has the same
    slope everywhere; ONE_LINE depends in one line only, which expresses it strongly; NULL nowhere.
    """
    rows, beta = nested_rows(N_GENES, N_LINES, 3, 2, seed=11)
    random = np.random.default_rng(12)
    gene, line = (rows[name].str[1:].astype(int).to_numpy() for name in ("gene", "cell_line"))
    between = np.array([-1.2, -0.3, 0.2, 1.3])[np.arange(N_LINES) % 4]
    cells = random.normal(0, 1, (4, N_LINES))
    cells[:2] = between + 0.9 * cells[:2]
    cells[2, OUTLIER] = 6.0
    cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, ddof=1, keepdims=True)
    rna, logfc, own = rows.rna.to_numpy().copy(), rows.logfc.to_numpy().copy(), gene < 4
    logfc[own] -= beta[gene[own]] * rna[own]
    rna[own] = cells[gene[own], line[own]]
    logfc[gene == 0] -= 1.2 * between[line[gene == 0]]
    logfc[gene == 1] -= 0.7 * rna[gene == 1]
    logfc[(gene == 2) & (line == OUTLIER)] -= 4.0
    lineage = tuple(("Bowel", "Lung", "Lymphoid", "Skin")[code % 4] for code in range(N_LINES))
    return replace(design_from_rows(rows.assign(rna=rna, logfc=logfc)), lineage=lineage)


MODELS = [("m4_nested", "exact"), ("m4_screen", "gibbs")]


@pytest.mark.parametrize(("model", "engine"), MODELS)
def test_genes_with_known_culprits_are_flagged_and_an_honest_gene_is_not(model, engine):
    design = screen_of_culprits()
    parameters = FitParameters(model=model, engine=engine, sampling=Sampling(draws=500, chains=4))
    posterior = run_engine(design, parameters)["posterior"].dataset
    found = assess_influence(posterior, design, parameters)
    assert found is not None
    genes = found.genes.set_index("gene")
    assert genes["marks_lineage"][MARKER]
    assert not genes["marks_lineage"][[HONEST, NULL]].any()
    assert genes["marks_lineage"].sum() <= 2  # RNA of the other genes differs between no lineages
    assert abs(genes["beta_within_lineage_mean"][MARKER]) < 0.25
    assert genes["beta_within_lineage_mean"][HONEST] == pytest.approx(-0.7, abs=0.2)
    assert genes["rna_within_lineage"][NULL] > 0.7
    assert 0.3 < genes["rna_within_lineage"][MARKER] < 0.6
    assert genes["carried_by_one_line"][ONE_LINE]
    assert genes["most_influential_line"][ONE_LINE] == "c005"
    assert genes["influence"][ONE_LINE] > 1  # without it, beta is less negative
    assert not genes["carried_by_one_line"][[HONEST, MARKER, NULL]].any()
    assert genes["carried_by_one_line"].sum() <= 3


@pytest.mark.slow
def test_slopes_by_draws_without_the_line_that_carries_a_gene_are_those_of_a_refit():
    design, others = screen_of_culprits(), np.flatnonzero(np.arange(N_LINES) != OUTLIER)
    parameters = FitParameters(model="m4_screen", sampling=Sampling(draws=1500, chains=4))
    fits = [run_engine(one, parameters)["posterior"] for one in (design, of_lines(design, others))]
    found = assess_influence(fits[0].dataset, design, parameters)
    assert found is not None
    rows = found.line_influence.query("cell_line == 'c005'")
    whole, refit = (fit["beta_g"].to_numpy().reshape(-1, N_GENES).T for fit in fits)
    change = (refit.mean(axis=1) - whole.mean(axis=1)) / whole.std(axis=1)
    assert change.max() > 3
    np.testing.assert_allclose(rows.change_in_sd, change, atol=0.3)
    # The draws are weighted: an lfsr near 0.5, on which no call depends, has an error of 0.06.
    lfsr = local_false_sign_rate(refit)
    unclear = lfsr > 0.2
    np.testing.assert_allclose(rows.lfsr_without[~unclear], lfsr[~unclear], atol=0.06)
    assert (rows.lfsr_without[unclear] > 0.2).all()
