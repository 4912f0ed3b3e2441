"""What differs between two fits, reckoned from their rows and rosters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model import data_changes as module
from model.data_changes import FittedScreen, data_changes, gene_key, raw_rna, shared_part
from model.roster import Roster
from schemas.columns import COMPARED_LINES
from schemas.comparison import ItemChange, ProfileChange
from tests.designs import design_from_rows

NAN = float("nan")


def long(*cells: tuple[str, str, str, Sequence[float]], rna: float = 0.0) -> pd.DataFrame:
    """Rows of a long table, from gene, guide, line and its log fold changes."""
    return pd.DataFrame(
        [
            (gene, line, guide, rna, value)
            for gene, guide, line, values in cells
            for value in values
        ],
        columns=["gene", "cell_line", "guide", "rna", "logfc"],
    )


def of(
    rows: pd.DataFrame,
    *,
    sequences: Sequence[tuple[str, str, str | None, str]] = (),
    cell_lines: Sequence[tuple[str, str | None, str]] | None = None,
    genes: Sequence[tuple[str, str]] | None = None,
    guides: Sequence[tuple[str, str | None, str]] | None = None,
) -> FittedScreen:
    """The design of rows with a roster: what is not given is that of the rows, and fitted."""
    design = design_from_rows(rows)
    named = [design.genes[gene] for gene in design.guide_gene]
    if guides is None:
        guides = [(guide, gene, "") for guide, gene in zip(design.guides, named, strict=True)]
    roster = Roster(
        sequences=pd.DataFrame(
            sequences or [(f"{line}_A", line, "1", "") for line in design.cell_lines],
            columns=["sequence", "cell_line", "pdna_batch", "reason"],
        ).assign(passes_qc=True),
        guides=pd.DataFrame(guides, columns=["guide", "gene", "reason"]),
        genes=pd.DataFrame(
            genes or [(gene, "") for gene in design.genes], columns=["gene", "reason"]
        ),
        cell_lines=pd.DataFrame(
            cell_lines or [(line, f"PR-{line}", "") for line in design.cell_lines],
            columns=["cell_line", "profile", "reason"],
        ).assign(lineage=None),
    )
    return FittedScreen(design, roster)


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("KRAS (3845)", "3845"),
        ("KRAS (3845) ", "3845"),
        ("KRAS (1) (3845)", "3845"),
        ("KRAS", "KRAS"),
        ("KRAS (x)", "KRAS (x)"),
        ("(3845) KRAS", "(3845) KRAS"),
    ],
)
def test_a_gene_is_known_by_the_number_at_its_end_or_by_its_label(label: str, key: str) -> None:
    assert gene_key(label) == key


def test_what_both_have_is_found_wherever_it_stands() -> None:
    """The guide y is of gene 3 in A and of gene 2 in B: not the same."""
    a = long(
        ("a (1)", "u", "c1", [0]), ("a (1)", "v", "c2", [0]), ("b (2)", "x", "c3", [0]),
        ("d (3)", "w", "c2", [0]), ("d (3)", "y", "c2", [0]),
    )  # fmt: skip
    b = long(
        ("b (2)", "x", "c2", [0]), ("b (2)", "y", "c3", [0]), ("c (4)", "t", "c4", [0]),
        ("d (3)", "w", "c2", [0]), ("z (1)", "v", "c2", [0]), ("z (1)", "vv", "c2", [0]),
    )  # fmt: skip
    shared = shared_part(design_from_rows(a), design_from_rows(b))
    assert [[*at] for at in shared.genes] == [[1, 2, 0], [0, 2, 3]]
    assert [[*at] for at in shared.guides] == [[2, 3, 1], [0, 3, 4]]
    assert [[*at] for at in shared.cell_lines] == [[1, 2], [0, 1]]


def test_screens_that_have_nothing_in_common_can_be_told_apart() -> None:
    a, b = of(long(("a", "u", "c1", [1]))), of(long(("b", "v", "c2", [1])))
    shared = shared_part(a.design, b.design)
    for at in (*shared.genes, *shared.guides, *shared.cell_lines):
        assert at.size == 0 and at.dtype == np.int64
    found, lines = data_changes(a, b)
    assert found.n_cell_lines_joined == 0
    assert found.cell_lines_lost == (ItemChange(item="c1", a="fitted", b="not there"),)
    assert found.cell_lines_gained == (ItemChange(item="c2", a="not there", b="fitted"),)
    assert found.genes_lost == (ItemChange(item="a", a="fitted", b="not there"),)
    assert found.genes_gained == (ItemChange(item="b", a="not there", b="fitted"),)
    assert not found.guides_lost and not found.guides_gained
    assert not found.sequences_lost and not found.sequences_gained
    assert lines["cell_line"].tolist() == ["c1", "c2"]
    assert lines[["logfc_shift", "logfc_spread", "rna_change"]].isna().all().all()


def test_lines_of_both_without_a_gene_of_both_have_no_shift() -> None:
    found, lines = data_changes(of(long(("a", "u", "c1", [1]))), of(long(("b", "v", "c1", [2]))))
    assert found.n_cell_lines_joined == 1
    assert not found.values_changed and not found.rna_changed and not found.batches
    assert lines["logfc_shift"].isna().all() and lines["rna_change"].tolist() == [0]


def test_whatever_one_has_fitted_and_the_other_has_not_is_named_with_the_reason() -> None:
    both = [("a (1)", "u", line, [0.0]) for line in ("c1", "c2")]
    a = of(
        long(
            *both, ("a (1)", "v", "c3", [0]), ("b (2)", "x", "c3", [0]), ("b (2)", "w", "c1", [0])
        ),
        cell_lines=[("c1", "p", ""), ("c2", "p", ""), ("c3", "p", ""), ("c4", None, "no RNA")],
        genes=[("a (1)", ""), ("aa (1)", ""), ("b (2)", ""), ("c (3)", "no guide"), ("d (4)", "")],
        guides=[
            ("u", "a (1)", ""), ("v", "a (1)", ""), ("w", "b (2)", ""), ("x", "b (2)", ""),
            ("n", None, "no gene"), ("y", "a (1)", "no measurement"), ("d0", "d (4)", ""),
        ],
        sequences=[
            ("c1_A", "c1", "1", ""), ("c1_B", "c1", "1", ""), ("c2_A", "c2", "1", ""),
            ("c2_B", "c2", "1", "failed quality control"), ("c3_A", "c3", "1", ""),
        ],
    )  # fmt: skip
    b = of(
        long(
            *both, ("a (1)", "y", "c4", [0]), ("zz (2)", "x", "c5", [0]), ("e (5)", "e0", "c1", [0])
        ),
        cell_lines=[
            ("c1", "p", ""), ("c2", "p", ""), ("c3", "p", "no usable sequence"), ("c4", "p", ""),
            ("c5", "p", ""),
        ],
        genes=[
            ("a (1)", ""), ("a again (1)", "no guide"), ("zz (2)", ""), ("c (3)", ""),
            ("d (4)", "no RNA"), ("e (5)", ""),
        ],
        guides=[
            ("u", "a (1)", ""), ("v", "a (1)", "not used by the release"), ("x", "zz (2)", ""),
            ("y", "a (1)", ""), ("z", "zz (2)", ""), ("e0", "e (5)", ""),
        ],
        sequences=[
            ("c1_A", "c1", "1", ""), ("c1_B", "c1", "1", "excluded by the release"),
            ("c2_A", "c2", "1", ""), ("c2_B", "c2", "1", ""), ("c2_C", "c2", "1", ""),
            ("c4_A", "c4", "1", ""), ("c5_A", "c5", "1", ""),
        ],
    )  # fmt: skip
    found, lines = data_changes(a, b)
    lost, gained = {"a": "fitted"}, {"b": "fitted"}
    assert found.n_cell_lines_joined == 2
    assert found.cell_lines_lost == (ItemChange(item="c3", **lost, b="no usable sequence"),)
    assert found.cell_lines_gained == (
        ItemChange(item="c4", a="no RNA", **gained),
        ItemChange(item="c5", a="not there", **gained),
    )
    assert found.genes_lost == (ItemChange(item="d (4)", **lost, b="no RNA"),)
    assert found.genes_gained == (
        ItemChange(item="c (3)", a="no guide", **gained),
        ItemChange(item="e (5)", a="not there", **gained),
    )
    assert found.guides_lost == (
        ItemChange(item="v", **lost, b="not used by the release"),
        ItemChange(item="w", **lost, b="not there"),
    )
    assert found.guides_gained == (
        ItemChange(item="y", a="no measurement", **gained),
        ItemChange(item="z", a="not there", **gained),
    )
    assert found.sequences_lost == (
        ItemChange(item="c1_B", cell_line="c1", **lost, b="excluded by the release"),
    )
    assert found.sequences_gained == (
        ItemChange(item="c2_B", cell_line="c2", a="failed quality control", **gained),
        ItemChange(item="c2_C", cell_line="c2", a="not there", **gained),
    )
    assert [*lines.columns] == [*COMPARED_LINES]
    table = lines.set_index("cell_line")
    assert table.index.tolist() == ["c1", "c2", "c3", "c4", "c5"]
    assert table["a"].tolist() == ["fitted", "fitted", "fitted", "no RNA", "not there"]
    assert table["b"].tolist() == ["fitted", "fitted", "no usable sequence", "fitted", "fitted"]
    assert table["n_sequences_a"].tolist() == [2, 1, 1, 0, 0]
    assert table["n_sequences_b"].tolist() == [1, 3, 0, 1, 1]
    assert table["sequences_changed"].tolist() == [True, True, False, False, False]
    assert not table["values_changed"].any()


def test_a_gene_that_two_labels_name_is_lost_once() -> None:
    rows = long(("a (1)", "u", "c1", [0]))
    a = of(rows, genes=[("b (2)", ""), ("bb (2)", ""), ("a (1)", "")])
    found, _ = data_changes(a, of(rows))
    assert found.genes_lost == (ItemChange(item="b (2)", a="fitted", b="not there"),)


def test_profiles_are_others_where_their_names_differ_or_one_has_none() -> None:
    rows = long(*(("a", "u", line, [0]) for line in ("c1", "c2", "c3", "c4", "c5")))
    before, after = [None, "p2", None, "p4", "p5"], [None, "p2", "p3", None, "q5"]
    a, b = (
        of(rows, cell_lines=[(f"c{n}", name, "") for n, name in enumerate(names, 1)])
        for names in (before, after)
    )
    found, lines = data_changes(a, b)
    assert found.profiles_changed == (
        ProfileChange(cell_line="c3", a="", b="p3"),
        ProfileChange(cell_line="c4", a="p4", b=""),
        ProfileChange(cell_line="c5", a="p5", b="q5"),
    )
    assert lines["profile_a"].fillna("").tolist() == ["", "p2", "", "p4", "p5"]
    assert lines["profile_b"].fillna("").tolist() == ["", "p2", "p3", "", "q5"]


@pytest.mark.parametrize("at_once", [1, 2, 5000])
def test_lines_move_by_the_mean_and_sd_over_the_guides_that_both_measured(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GUIDES_AT_ONCE", at_once)
    random = np.random.default_rng(1)
    labels = [(f"g{k // 3} ({k // 3})", f"g{k // 3}/{k}") for k in range(9)]
    cells = [(*label, f"c{line}") for label in labels for line in range(4)]
    # c1 lacks a guide in A and one in B; what A measures of c2 B does not.
    of_a = [
        cell
        for cell in cells
        if cell[1:] != ("g0/1", "c1") and not (cell[2] == "c2" and cell[1] >= "g1/3")
    ]
    of_b = [
        (gene.replace("g0 ", "z "), guide, line)
        for gene, guide, line in cells
        if (guide, line) != ("g2/7", "c1") and not (line == "c2" and guide < "g1/3")
    ]
    rows_a = long(*((*cell, random.normal(size=2).tolist()) for cell in of_a))
    rows_b = long(*((*cell, random.normal(1, 2, size=3).tolist()) for cell in of_b))
    by_cell = [
        rows.groupby(["guide", "cell_line"])["logfc"].mean().unstack() for rows in (rows_a, rows_b)
    ]
    moved = by_cell[1] - by_cell[0]
    found, lines = data_changes(of(rows_a), of(rows_b))
    np.testing.assert_allclose(lines["logfc_shift"], moved.mean())
    np.testing.assert_allclose(lines["logfc_spread"], moved.std(ddof=0))
    assert moved.notna().sum().tolist() == [9, 7, 0, 9]
    assert found.values_changed == ("c0", "c1", "c2", "c3")


def test_values_are_new_where_they_moved_by_more_than_rounding_or_are_more_or_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same mean of more or fewer replicates is new; so is a guide that only one measured."""

    def cells(**other: dict[str, Sequence[float]]) -> pd.DataFrame:
        usual = {line: [0.5, 1.5] for line in ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")}
        return long(*(("a", guide, line, values) for guide in ("t", "u")
                      for line, values in (usual | other.get(guide, {})).items()))  # fmt: skip

    rows_a = cells(u={"c4": [1.0], "c6": [], "c8": [0.0]})
    rows_b = cells(
        u={"c1": [0.5, 1.5 + 1e-9], "c2": [0.5, 1.5 + 1e-8], "c3": [1.0], "c5": [], "c8": [0]}
    )
    a, b = of(rows_a), of(rows_b)
    found, lines = data_changes(a, b)
    assert found.values_changed == ("c2", "c3", "c4", "c5", "c6")
    monkeypatch.setattr(module, "GUIDES_AT_ONCE", 1)
    backwards = {"t": "v", "u": "t"}  # what differs comes first
    again = [one.replace({"guide": backwards}) for one in (rows_a, rows_b)]
    assert data_changes(*map(of, again))[0].values_changed == found.values_changed
    assert lines.set_index("cell_line").loc[["c3", "c4", "c5", "c6"], "logfc_shift"].eq(0).all()


def test_rna_is_new_where_it_moved_by_more_than_rounding_in_a_gene_of_both() -> None:
    guides = [("a (1)", "u"), ("b (2)", "v"), ("d (4)", "x")]
    rows = long(*((*guide, f"c{n}", [0]) for guide in guides for n in range(5)))
    rows["rna"] = np.arange(15.0)
    moves = {
        ("z (1)", "c1"): 0.5, ("b (2)", "c1"): -0.75, ("z (1)", "c2"): 5e-10, ("c (9)", "c3"): 2.0,
        ("z (1)", "c4"): 2e-9,
    }  # fmt: skip
    new = rows.assign(gene=rows.gene.replace({"a (1)": "z (1)", "d (4)": "c (9)"}))
    new["rna"] += [moves.get(cell, 0) for cell in zip(new.gene, new.cell_line, strict=True)]
    gone = (rows.gene == "b (2)") & (rows.cell_line == "c3")
    found, lines = data_changes(of(rows), of(new[~gone]))
    assert found.rna_changed == ("c1", "c4")
    np.testing.assert_allclose(lines["rna_change"], [0, 0.75, 0, 0, 2e-9], atol=1e-14)


def test_rna_of_a_design_is_put_back_into_the_units_it_was_given_in() -> None:
    design = replace(
        design_from_rows(long(("a", "u", "c1", [0]), ("b", "v", "c2", [0]))),
        rna=np.array([[1.0, -1.0], [2.0, NAN]]),
        rna_mean=np.array([5.0, 3.0]),
        rna_sd=np.array([0.5, 2.0]),
    )
    np.testing.assert_array_equal(raw_rna(design), [[1, -1], [2, NAN]])
    in_log2 = replace(design, rna_is_log2=True)
    np.testing.assert_array_equal(raw_rna(in_log2), [[5.5, 4.5], [7, NAN]])


def test_a_line_moves_by_the_shares_of_its_sequences_in_the_batches() -> None:
    """c1 has two fitted sequences of x and one of y; batch z has but a line that did not move."""
    sequences = [
        ("c1_A", "c1", "x", ""), ("c1_B", "c1", "y", ""), ("c1_C", "c1", "x", ""),
        ("c1_D", "c1", "y", "failed quality control"), ("c1_E", "c1", "w", "no cell line"),
        ("c2_A", "c2", "x", ""), ("c3_A", "c3", "y", ""), ("c4_A", "c4", None, ""),
        ("c5_A", "c5", "z", ""),
    ]  # fmt: skip
    shift = {"c1": (2 * 0.5 - 1) / 3, "c2": 0.5, "c3": -1.0, "c4": 0.75, "c5": 0.0}
    spread = {"c1": 0.25, "c2": 1.0, "c3": 0.5, "c4": 0.125, "c5": 0.0}

    def rows(scale: float) -> pd.DataFrame:
        return long(*(("a", guide, line, [scale * (shift[line] + sign * spread[line])])
                      for guide, sign in (("u", 1), ("v", -1)) for line in shift))  # fmt: skip

    found, _ = data_changes(of(rows(0), sequences=sequences), of(rows(1), sequences=sequences))
    assert found.values_changed == ("c1", "c2", "c3", "c4")
    assert [batch.pdna_batch for batch in found.batches] == ["y", "unknown", "x"]
    assert [batch.n_cell_lines for batch in found.batches] == [2, 1, 2]
    assert [batch.shift for batch in found.batches] == pytest.approx([-1, 0.75, 0.5])
    assert [batch.spread for batch in found.batches] == pytest.approx(
        [
            (0.25 / 3 + 0.5) / (1 / 3 + 1),
            0.125,
            (0.25 * 2 / 3 + 1.0) / (2 / 3 + 1),
        ]
    )


def test_a_line_whose_guides_are_measured_in_one_of_the_two_hides_no_shift_of_others() -> None:
    cells = [("a", guide, line) for guide in ("u", "v") for line in ("c1", "c2")]
    a = long(*((*cell, [0.0]) for cell in cells), ("a", "u", "c3", [0.0]))
    b = long(*((*cell, [0.25]) for cell in cells), ("a", "v", "c3", [0.0]))
    found, _ = data_changes(of(a), of(b))
    assert found.values_changed == ("c1", "c2", "c3")
    (batch,) = found.batches
    assert (batch.n_cell_lines, batch.spread) == (2, 0)
    assert batch.shift == pytest.approx(0.25)
