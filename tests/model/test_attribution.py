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
from schemas.comparison import (
    STEP_WORDS,
    ComparisonSettings,
    DataChanges,
    ItemChange,
    ProfileChange,
)
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
    with pytest.raises(
        NotShared, match=r"^no gene of both has RNA that varies over the cell lines of both$"
    ):
        SharedScreens(a, replace(a, rna=np.zeros_like(a.rna)))


def changes_of(**changed: object) -> DataChanges:
    lists = dict.fromkeys(DataChanges.model_fields, ()) | {"n_cell_lines_joined": 4}
    return DataChanges.model_validate(lists | changed)


ITEM = (ItemChange(item="x", a="fitted", b="not there"),)
WIDE = FitParameters(engine="nuts", seed=5, priors=Priors.preset("as_written"))


def exchanged() -> tuple[ScreenDesign, ScreenDesign, pd.DataFrame]:
    """A with c000, B with c005 besides the lines of both, and other numbers in all; the lines."""
    of_a, of_b = (nested_rows(3, 6, 2, 1, seed)[0] for seed in (1, 2))
    a = standardised(of_a[of_a.cell_line != "c005"])
    b = standardised(of_b[of_b.cell_line != "c000"], rna_scale=1.5)
    lines = pd.DataFrame({"cell_line": [f"c{n:03d}" for n in range(6)]})
    return a, b, lines.assign(sequences_changed=lines.cell_line.isin(["c002", "c003"]))


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ({"cell_lines_lost": ITEM}, ("lost", "settings")),
        ({"genes_lost": ITEM}, ("lost", "settings")),
        ({"values_changed": ("c001",)}, ("values", "settings")),
        ({"guides_lost": ITEM}, ("values", "settings")),
        ({"guides_gained": ITEM}, ("values", "settings")),
        ({"rna_changed": ("c001",)}, ("rna", "settings")),
        ({"cell_lines_gained": ITEM}, ("settings", "gained")),
        ({"genes_gained": ITEM}, ("settings", "gained")),
        ({"profiles_changed": (ProfileChange(cell_line="c001", a="x", b="y"),)}, ("settings",)),
    ],
)
def test_each_change_is_a_step_of_its_own(
    changed: dict[str, object], steps: tuple[str, ...]
) -> None:
    a, b, lines = exchanged()
    lines = lines.assign(sequences_changed=False)
    found = route(changes_of(**changed), lines, (a, b), (EXACT, WIDE))
    assert found.steps == steps
    assert len(found.parts) == len(steps) - 1


def test_a_model_is_a_setting() -> None:
    a, b, lines = exchanged()
    other = EXACT.model_copy(update={"model": "m4_nested"})
    found = route(changes_of(), lines, (a, b), (EXACT, other))
    assert found.steps == ("sequences", "settings")


def test_each_fit_on_the_way_has_the_lines_and_rna_that_its_steps_have_made_new() -> None:
    a, b, lines = exchanged()
    everything = changes_of(
        cell_lines_lost=ITEM,
        values_changed=("c001",),
        rna_changed=("c001",),
        cell_lines_gained=ITEM,
    )
    found = route(everything, lines, (a, b), (EXACT, WIDE))
    of_both = ("c001", "c002", "c003", "c004")
    expected: list[tuple[tuple[str, ...], ScreenDesign, FitParameters]] = [
        ((), a, EXACT),
        (("c002", "c003"), a, EXACT),
        (of_both, a, EXACT),
        (of_both, b, EXACT),
        (of_both, b, WIDE),
    ]
    for part, step, (of_b, rna, own) in zip(found.parts, found.steps[:-1], expected, strict=True):
        screen = part.screen()
        assert screen.cell_lines == of_both
        for at, line in enumerate(of_both):
            mine = b if line in of_b else a
            own_line = mine.cell_lines.index(line)
            np.testing.assert_array_equal(screen.total[:, at], mine.total[:, own_line])
        columns = [rna.cell_lines.index(line) for line in of_both]
        np.testing.assert_allclose(raw_rna(screen), raw_rna(rna)[:, columns])
        assert part.name == f"what both have in common, after {STEP_WORDS[step]}"
        assert part.parameters == own.model_copy(update={"engine": "auto"})
    assert found.steps == ("lost", "sequences", "values", "rna", "settings", "gained")


def effects(**beta: float) -> pd.DataFrame:
    return pd.DataFrame({"gene": [*beta], "beta_mean": [*beta.values()]})


def test_a_step_moves_each_gene_by_the_difference_of_the_fits_around_it() -> None:
    taken = Route(("values", "gained"), ())
    slopes = [
        effects(a=1.0, b=2.0, c=3.0, d=4.0, e=5.0, f=6.0, h=0.0),
        effects(f=6.25, e=2.0, d=4.5, c=3.0, b=1.0, a=1.5),
        effects(a=1.5, b=1.0, c=0.0, d=4.5, e=2.0, f=6.25, h=1.0),
    ]
    genes = pd.DataFrame({"gene": [*"ahbcdef"], "difference": 0.0})
    steps, table = attributed(taken, slopes, genes, 0.5)
    nan = np.nan
    assert table.gene.tolist() == genes.gene.tolist()
    np.testing.assert_array_equal(table.due_to_values, [0.5, nan, -1.0, 0.0, 0.5, -3.0, 0.25])
    np.testing.assert_array_equal(table.due_to_gained, [0.0, nan, 0.0, -3.0, 0.0, 0.0, 0.0])
    for step in ("lost", "sequences", "rna", "settings"):
        assert (table[f"due_to_{step}"] == 0).all()
    values, gained = steps
    assert (values.name, gained.name) == ("values", "gained")
    assert values.mean_abs_difference == pytest.approx((0.5 + 1 + 0 + 0.5 + 3 + 0.25) / 6)
    assert gained.mean_abs_difference == pytest.approx(3 / 6)
    assert (values.n_genes_moved, gained.n_genes_moved) == (2, 1)
    assert values.largest == ("e", "b", "a", "d", "f")
    assert gained.largest == ("c", "a", "h", "b", "d")


def test_genes_are_told_by_their_entrez_number() -> None:
    slopes = [
        pd.DataFrame({"gene": [name], "beta_mean": [beta]})
        for name, beta in (("old (7)", 1.0), ("new (7)", 3.0))
    ]
    genes = pd.DataFrame({"gene": ["new (7)"]})
    (step,), table = attributed(Route(("rna",), ()), slopes, genes, 0.1)
    assert table.due_to_rna.tolist() == [2.0]
    assert step.largest == ("new (7)",)


def test_without_a_gene_of_both_no_step_moves_any() -> None:
    slopes = [effects(a=1.0), effects(b=1.0)]
    genes = pd.DataFrame({"gene": np.array([], object)})
    (step,), table = attributed(Route(("rna",), ()), slopes, genes, 0.1)
    assert (step.mean_abs_difference, step.n_genes_moved, step.largest) == (0, 0, ())
    assert table.empty
