"""The parts of a difference: each is put down to what made it, and they add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.attribution import Route, attributed, route
from model.compare import compare_genes
from model.data_changes import FittedScreen, data_changes, raw_rna
from model.design import ScreenDesign
from model.effects import gene_effects
from model.engines import run_engine
from model.roster import Roster
from model.shared_screens import NotShared, SharedScreens
from schemas.comparison import ComparisonSettings
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, nested_rows

FEW = Sampling(draws=500, chains=4)
EXACT = FitParameters(engine="exact", sampling=FEW)


def standardised(rows: pd.DataFrame, rna_scale: float = 1.0) -> ScreenDesign:
    """The design of rows as `prepare` makes it: RNA, in log2 units, in SDs over its lines."""
    design = design_from_rows(rows)
    raw = 3 + rna_scale * design.rna
    mean, sd = raw.mean(axis=1), raw.std(axis=1, ddof=1)
    return replace(
        design,
        rna=(raw - mean[:, None]) / sd[:, None],
        rna_mean=mean,
        rna_sd=sd,
        rna_is_log2=True,
        measurements=None,
    )


def fitted(design: ScreenDesign) -> FittedScreen:
    """A roster in which every line has two sequences, named after their number of measurements."""
    lines = list(design.cell_lines)
    per_line = design.count.max(axis=0)
    names = [f"{line}/{n}" for line, of in zip(lines, per_line, strict=True) for n in range(of)]
    genes = [design.genes[gene] for gene in design.guide_gene]
    return FittedScreen(
        design,
        Roster(
            sequences=pd.DataFrame(
                {
                    "sequence": names,
                    "cell_line": [name.split("/")[0] for name in names],
                    "pdna_batch": "1",
                    "passes_qc": True,
                    "reason": "",
                }
            ),
            guides=pd.DataFrame({"guide": design.guides, "gene": genes, "reason": ""}),
            genes=pd.DataFrame({"gene": design.genes, "reason": ""}),
            cell_lines=pd.DataFrame(
                {"cell_line": lines, "lineage": None, "profile": lines, "reason": ""}
            ),
        ),
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    found, _ = nested_rows(n_genes=8, n_lines=16, n_guides=3, n_replicates=2)
    return found


def way(a: ScreenDesign, b: ScreenDesign, parameters: tuple[FitParameters, FitParameters]) -> Route:
    changes, lines = data_changes(fitted(a), fitted(b))
    return route(changes, lines, (a, b), parameters)


def walked(
    a: ScreenDesign,
    b: ScreenDesign,
    parameters: tuple[FitParameters, FitParameters] = (EXACT, EXACT),
) -> tuple[Route, pd.DataFrame]:
    """The route from A to B, with all its fits, and the attributed table of genes."""
    found = way(a, b, parameters)
    fits = [
        (a, parameters[0]),
        *((part.screen(), part.parameters) for part in found.parts),
        (b, parameters[1]),
    ]
    slopes = [gene_effects(run_engine(design, own), design) for design, own in fits]
    genes = compare_genes(slopes[0], slopes[-1], ComparisonSettings())
    return found, attributed(found, slopes, genes, 0.1)[1]


def test_what_is_the_same_takes_no_step(rows: pd.DataFrame) -> None:
    design = standardised(rows)
    assert way(design, design, (EXACT, EXACT)) == Route((), ())


def test_a_single_change_takes_no_fit(rows: pd.DataFrame) -> None:
    design = standardised(rows)
    wide = EXACT.model_copy(update={"priors": Priors.preset("as_written")})
    assert way(design, design, (EXACT, wide)) == Route(("settings",), ())
    fewer = standardised(rows[rows.cell_line != "c003"])
    assert way(design, fewer, (EXACT, EXACT)) == Route(("lost",), ())
    assert way(fewer, design, (EXACT, EXACT)) == Route(("gained",), ())


def test_other_draws_limits_and_engines_are_no_settings(rows: pd.DataFrame) -> None:
    design = standardised(rows)
    other = FitParameters(engine="nuts", seed=5, sampling=Sampling(draws=100))
    assert way(design, design, (EXACT, other)).steps == ()


def test_each_part_is_put_down_to_what_made_it(rows: pd.DataFrame) -> None:
    """Lines go and come, and one gene is processed anew; each moves another gene."""
    lost, gained, renewed = "c000", "c001", ["c004", "c005", "c006", "c007"]
    of_b = rows[rows.cell_line != lost].copy()
    # The slope of g002 rests on new values of old lines, that of g005 on the lost line.
    mine = of_b.gene.eq("g002") & of_b.cell_line.isin(renewed)
    of_b.loc[mine, "logfc"] += 1.5 * of_b.loc[mine, "rna"]
    of_a = rows[rows.cell_line != gained].copy()
    odd = of_a.gene.eq("g005") & of_a.cell_line.eq(lost)
    of_a.loc[odd, "logfc"] += 8.0
    a, b = standardised(of_a), standardised(of_b)
    found, table = walked(a, b)
    assert found.steps == ("lost", "values", "gained")
    table = table.set_index("gene")
    parts = table.filter(like="due_to_")
    np.testing.assert_allclose(parts.sum(axis=1), table["difference"], atol=1e-12)
    assert parts.abs().loc["g002"].idxmax() == "due_to_values"
    assert parts["due_to_values"].abs().idxmax() == "g002"
    assert parts["due_to_lost"].abs().idxmax() == "g005"


def test_other_replicates_are_told_from_new_values(rows: pd.DataFrame) -> None:
    first = rows.groupby(["guide", "cell_line"]).cumcount() == 0
    of_b = rows[first | (rows.cell_line != "c002")].copy()
    of_b.loc[of_b.cell_line == "c009", "logfc"] += 0.5
    found, table = walked(standardised(rows), standardised(of_b))
    assert found.steps == ("sequences", "values")
    (between,) = found.parts
    design = between.screen()
    line = design.cell_lines.index("c002")
    assert design.count[:, line].max() == 1
    line = design.cell_lines.index("c009")
    own = standardised(rows)
    np.testing.assert_array_equal(design.total[:, line], own.total[:, own.cell_lines.index("c009")])
    assert table["due_to_rna"].eq(0).all()


def test_the_shared_part_is_what_a_fit_of_it_alone_would_be(rows: pd.DataFrame) -> None:
    """Standardised anew, guides without measurements left out."""
    a = standardised(rows[~rows.cell_line.isin(["c000"])])
    b = standardised(rows[~rows.cell_line.isin(["c001"]) & (rows.gene != "g003")])
    alone = standardised(rows[~rows.cell_line.isin(["c000", "c001"]) & (rows.gene != "g003")])
    part = SharedScreens(a, b).mixed((), rna_of_b=False)
    assert (part.genes, part.cell_lines, part.guides) == (
        alone.genes,
        alone.cell_lines,
        alone.guides,
    )
    for name in ("guide_gene", "count"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))
    for name in ("rna", "rna_mean", "rna_sd", "total", "sum_of_squares"):
        np.testing.assert_allclose(getattr(part, name), getattr(alone, name), atol=1e-12)
    np.testing.assert_allclose(raw_rna(part), raw_rna(alone), atol=1e-12)


def test_guides_that_only_one_has_are_taken_with_its_lines(rows: pd.DataFrame) -> None:
    guide = rows.guide.iloc[0]
    a, b = standardised(rows), standardised(rows[rows.guide != guide])
    screens = SharedScreens(a, b)
    assert guide in screens.mixed((), rna_of_b=False).guides
    assert guide not in screens.mixed(screens.cell_lines, rna_of_b=False).guides


def test_fits_that_share_too_little_are_refused(rows: pd.DataFrame) -> None:
    a = standardised(rows[rows.cell_line < "c009"])
    b = standardised(rows[rows.cell_line >= "c007"])
    with pytest.raises(NotShared, match="share 2 cell lines, expected at least 3"):
        way(a, b, (EXACT, EXACT))


def test_fits_without_rna_that_varies_in_both_are_refused(rows: pd.DataFrame) -> None:
    a = standardised(rows[rows.cell_line < "c009"])
    with pytest.raises(NotShared, match="no gene of both has RNA that varies over the cell lines"):
        SharedScreens(a, replace(a, rna=np.zeros_like(a.rna)))
