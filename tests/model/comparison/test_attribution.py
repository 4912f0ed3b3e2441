"""The route from one fit to another: its steps, the fits on it, and what each step moves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.comparison.attribution import Route, attribute_differences, plan_refits
from model.comparison.shared_screens import SharedScreens
from model.screen.design import ScreenDesign
from schemas.comparison import STEP_WORDS, DataChanges, ItemChange
from schemas.parameters import FitParameters, Priors, Sampling
from tests.designs import design_from_rows, nested_rows
from tests.model.screen.test_design import assert_equal_designs

EXACT = FitParameters(engine="exact")
WIDE = FitParameters(engine="nuts", seed=5, priors=Priors.preset("as_written"))


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


ITEM = (ItemChange(item="x", a="fitted", b="absent"),)
OF_BOTH = ("c001", "c002", "c003", "c004")
OTHER_DRAWS = FitParameters(engine="nuts", seed=5, sampling=Sampling(draws=100))
NESTED = EXACT.model_copy(update={"model": "m4_nested"})


@pytest.fixture(scope="module")
def designs() -> tuple[ScreenDesign, ScreenDesign]:
    """A with c000, B with c005 besides the lines of both, and other numbers in all of them."""
    of_a, of_b = (nested_rows(3, 6, 2, 1, seed)[0] for seed in (1, 2))
    a = standardised(of_a[of_a.cell_line != "c005"])
    return a, standardised(of_b[of_b.cell_line != "c000"], rna_scale=1.5)


def route_of(designs, parameters=EXACT, sequences=(), **changed) -> Route:
    """The route where these are the changes, and `sequences` the lines with other sequences."""
    lists = dict.fromkeys(DataChanges.model_fields, ()) | {"n_cell_lines_joined": 4}
    lines = pd.DataFrame({"cell_line": [f"c{n:03d}" for n in range(6)]})
    lines["sequences_changed"] = lines.cell_line.isin(sequences)
    return plan_refits(DataChanges(**lists | changed), lines, designs, (EXACT, parameters))


@pytest.mark.parametrize(
    ("changed", "parameters", "steps"),
    [
        ({}, OTHER_DRAWS, ()),
        ({"sequences": ("c002",)}, NESTED, ("sequences", "settings")),
        ({"cell_lines_lost": ITEM}, WIDE, ("lost", "settings")),
        ({"genes_lost": ITEM}, WIDE, ("lost", "settings")),
        ({"values_changed": ("c001",)}, WIDE, ("values", "settings")),
        ({"guides_lost": ITEM}, WIDE, ("values", "settings")),
        ({"guides_gained": ITEM}, WIDE, ("values", "settings")),
        ({"guides_lost": ITEM, "sequences": OF_BOTH}, EXACT, ("sequences",)),  # another library
        ({"rna_changed": ("c001",)}, WIDE, ("rna", "settings")),
        ({"cell_lines_gained": ITEM}, WIDE, ("settings", "gained")),
        ({"genes_gained": ITEM}, WIDE, ("settings", "gained")),
    ],
)
def test_each_kind_of_change_is_a_step(designs, changed, parameters, steps):
    found = route_of(designs, parameters, **changed)
    assert found.steps == steps and len(found.parts) == max(0, len(steps) - 1)


def test_each_fit_on_the_route_has_the_lines_and_rna_that_its_steps_have_renewed(designs):
    a, b = designs
    everything = {"cell_lines_lost": ITEM, "values_changed": ("c001",), "rna_changed": ("c001",)}
    found = route_of(designs, WIDE, ("c002", "c003"), cell_lines_gained=ITEM, **everything)
    assert found.steps == tuple(STEP_WORDS)
    expected = [
        ((), a, EXACT),
        (("c002", "c003"), a, EXACT),
        (OF_BOTH, a, EXACT),
        (OF_BOTH, b, EXACT),
        (OF_BOTH, b, WIDE),
    ]
    for part, step, (of_b, rna, own) in zip(found.parts, found.steps[:-1], expected, strict=True):
        mixed = SharedScreens(a, b).mixed(of_b, rna_of_b=rna is b)
        assert mixed.cell_lines == OF_BOTH
        assert_equal_designs(part.screen(), mixed)
        assert part.name.endswith(f"after {STEP_WORDS[step]}")
        assert part.parameters == own.model_copy(update={"engine": "auto"})


def effects(**beta: float) -> pd.DataFrame:
    return pd.DataFrame({"gene": [*beta], "beta_mean": [*beta.values()]})


def test_a_step_moves_each_gene_by_the_difference_of_the_fits_around_it():
    slopes = [
        effects(a=1.0, b=2.0, c=3.0, d=4.0, e=5.0, f=6.0, h=0.0),
        effects(f=6.25, e=2.0, d=4.5, c=3.0, b=1.0, a=1.5),
        effects(a=1.5, b=1.0, c=0.0, d=4.5, e=2.0, f=6.25, h=1.0),
    ]
    for table, label in zip(slopes, ["old (7)", "older (7)", "new (7)"], strict=True):
        table["gene"] = table["gene"].replace("a", label)
    genes = pd.DataFrame({"gene": ["new (7)", *"hbcdef"], "difference": 0.0})
    steps, table = attribute_differences(Route(("values", "gained"), ()), slopes, genes, 0.5)
    nan = np.nan
    expected = genes.assign(
        due_to_lost=0.0,
        due_to_sequences=0.0,
        due_to_values=[0.5, nan, -1.0, 0.0, 0.5, -3.0, 0.25],
        due_to_rna=0.0,
        due_to_settings=0.0,
        due_to_gained=[0.0, nan, 0.0, -3.0, 0.0, 0.0, 0.0],
    )
    pd.testing.assert_frame_equal(table, expected)
    values, gained = steps
    assert (values.name, gained.name) == ("values", "gained")
    assert values.mean_abs_difference == pytest.approx((0.5 + 1 + 0 + 0.5 + 3 + 0.25) / 6)
    assert gained.mean_abs_difference == pytest.approx(3 / 6)
    assert (values.n_genes_moved, gained.n_genes_moved) == (2, 1)
    assert values.largest == ("e", "b", "new (7)", "d", "f")
    assert gained.largest == ("c",)
    (step,), table = attribute_differences(Route(("rna",), ()), slopes[:2], genes[:0], 0.1)
    assert (step.mean_abs_difference, step.n_genes_moved, step.largest) == (0, 0, ())
    assert table.empty
