"""What differs between the data of two fits: items, RNA, values and batches."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pytest

from model.comparison import data as module
from model.comparison.data import FittedScreen, data_changes, gene_key
from model.screen.inclusion import InclusionTable
from schemas.column_catalog import COMPARED_LINES
from schemas.comparison import ItemChange
from tests.designs import design_from_rows

NAN = float("nan")


def listed(changes: Iterable[ItemChange]) -> list[str]:
    return [f"{one.item} {one.cell_line}: {one.a} -> {one.b}" for one in changes]


def long(*cells: tuple[str, str, str, Sequence[float]]) -> pd.DataFrame:
    """Rows of a long table, from gene, guide, line and its log fold changes."""
    rows = [(*cell, 0.0, value) for *cell, values in cells for value in values]
    return pd.DataFrame(rows, columns=["gene", "guide", "cell_line", "rna", "logfc"])


def items(text: str, *columns: str) -> pd.DataFrame:
    """A table of `label=reason, label more=reason, ...`; columns of labels, of what follows."""
    rows = []
    for one in text.split(", "):
        label, _, reason = one.partition("=")
        word, _, more = label.partition(" ")
        rows.append([word, more or None, reason] if len(columns) == 2 else [label, reason])
    return pd.DataFrame(rows, columns=[*columns, "reason"])


def of(
    rows: pd.DataFrame, sequences: str = "", cell_lines: str = "", genes: str = "", guides: str = ""
) -> FittedScreen:
    """The design of rows with tables of items; where none are given, all of the rows is fitted."""
    design = design_from_rows(rows)
    of_guide = zip(design.guides, design.guide_gene, strict=True)
    guides = guides or ", ".join(f"{guide} {design.genes[gene]}" for guide, gene in of_guide)
    sequences = sequences or ", ".join(f"{line}_A 1" for line in design.cell_lines)
    cell_lines = cell_lines or ", ".join(f"{line} p" for line in design.cell_lines)
    by_sequence = items(sequences, "sequence", "pdna_batch")
    inclusion = InclusionTable(
        sequences=by_sequence.assign(cell_line=by_sequence["sequence"].str.split("_").str[0]),
        guides=items(guides, "guide", "gene"),
        genes=items(genes or ", ".join(design.genes), "gene"),
        cell_lines=items(cell_lines, "cell_line", "profile"),
    )
    return FittedScreen(design, inclusion)


def test_a_gene_is_known_by_the_number_at_its_end_or_by_its_label():
    labels = ["KRAS (3845)", "KRAS (1) (3845) ", "KRAS", "KRAS (x)", "(3845) KRAS"]
    assert [gene_key(label) for label in labels] == ["3845", "3845", *labels[2:]]


def test_items_that_one_fit_alone_has_are_named_with_the_reason():
    both = [("a (1)", "u", line, [0.0]) for line in ("c1", "c2", "c6", "c7")]
    own = (("a (1)", "v", "c3", [0]), ("b (2)", "x", "c3", [0]), ("b (2)", "w", "c1", [0]))
    a = of(
        long(*both, *own),
        cell_lines="c1 p, c2 p, c3 p, c4=no RNA, c6, c7",
        genes="a (1), aa (1), b (2), c (3)=no guide, d (4), dd (4)",
        guides="u a (1), v a (1), w b (2), x b (2), n=no gene, y a (1)=no data, d0 d (4)",
        sequences="c1_A, c1_B, c2_A, c2_B=QC, c3_A, c6_A, c7_A",
    )
    own = (("a (1)", "y", "c4", [0]), ("zz (2)", "x", "c5", [0]), ("e (5)", "e0", "c1", [0]))
    b = of(
        long(*both, *own),
        cell_lines="c1 q, c2, c3 p=no sequence, c4 p, c5 p, c6, c7 r",
        genes="a (1), a again (1)=no guide, zz (2), c (3), d (4)=no RNA, e (5)",
        guides="u a (1), v a (1)=not used, x zz (2), y a (1), z zz (2), e0 e (5)",
        sequences="c1_A, c1_B=excluded, c2_A, c2_B, c2_C, c4_A, c5_A, c6_A, c7_A",
    )
    found, lines = data_changes(a, b)
    assert found.n_cell_lines_joined == 4
    for changes, expected in (
        (found.cell_lines_lost, ["c3 : fitted -> no sequence"]),
        (found.cell_lines_gained, ["c4 : no RNA -> fitted", "c5 : absent -> fitted"]),
        (found.genes_lost, ["d (4) : fitted -> no RNA"]),
        (found.genes_gained, ["c (3) : no guide -> fitted", "e (5) : absent -> fitted"]),
        (found.guides_lost, ["v : fitted -> not used", "w : fitted -> absent"]),
        (found.guides_gained, ["y : no data -> fitted", "z : absent -> fitted"]),
        (found.sequences_lost, ["c1_B c1: fitted -> excluded"]),
        (found.sequences_gained, ["c2_B c2: QC -> fitted", "c2_C c2: absent -> fitted"]),
    ):
        assert listed(changes) == expected
    profiles = [(one.cell_line, one.a, one.b) for one in found.profiles_changed]
    assert profiles == [("c1", "p", "q"), ("c2", "p", ""), ("c7", "", "r")]
    assert [*lines.columns] == [*COMPARED_LINES]
    fitted = ["fitted", "fitted"]
    expected = pd.DataFrame(
        {
            "cell_line": [f"c{number}" for number in range(1, 8)],
            "a": [*fitted, "fitted", "no RNA", "absent", *fitted],
            "b": [*fitted, "no sequence", "fitted", "fitted", *fitted],
            "n_sequences_a": [2, 1, 1, 0, 0, 1, 1],
            "n_sequences_b": [1, 3, 0, 1, 1, 1, 1],
            "profile_a": ["p", "p", "p", None, None, None, None],
            "profile_b": ["q", None, "p", "p", "p", None, "r"],
            "sequences_changed": [True, True, *[False] * 5],
            "values_changed": False,
        }
    )
    pd.testing.assert_frame_equal(lines[expected.columns], expected, check_dtype=False)


@pytest.mark.parametrize("at_once", [2, 5000])
def test_lines_move_by_mean_and_sd_over_the_guides_that_both_measured(at_once, monkeypatch):
    monkeypatch.setattr(module, "GUIDES_AT_ONCE", at_once)
    random = np.random.default_rng(1)
    labels = [
        (f"g{k // 3} ({k // 3})", f"g{k // 3}/{k}", f"c{n}") for k in range(9) for n in range(4)
    ]
    a, b = (long(*((*cell, random.normal(n, n, n).tolist()) for cell in labels)) for n in (2, 3))
    a = a[(a.guide != "g0/1") | (a.cell_line != "c1")]
    a = a[(a.guide < "g1/3") | (a.cell_line != "c2")]
    b = b[(b.guide != "g2/7") | (b.cell_line != "c1")]
    b = b[(b.guide >= "g1/3") | (b.cell_line != "c2")]
    b["gene"] = b["gene"].replace("g0 (0)", "z (0)").mask(b["guide"] == "g2/8", "g1 (1)")
    # RNA moves, in two lines beyond rounding.
    cell, moves = b.gene.str[:2] + b.cell_line, {"z c1": 0.5, "g1c1": -0.75, "z c2": 5e-10}
    b["rna"] = cell.map(moves | {"g2c3": 2e-9}).fillna(0)
    before, after = (
        rows[rows.guide != "g2/8"].groupby(["guide", "cell_line"])["logfc"].mean().unstack()
        for rows in (a, b)
    )
    moved = after - before
    # So does copy number, in one line; a pair at the mean of its gene is unknown.
    screens = [of(a), of(b)]
    for screen, last in zip(screens, ([0.25, 0.0], [1.0, 0.5]), strict=True):
        screen.design.covariates["copy_number"] = np.tile([-0.25, 0.125, *last], (3, 1))
        screen.design.covariate_means["copy_number"] = np.ones(3)
    found, lines = data_changes(*screens)
    assert (found.copy_number_changed, found.copy_number_in) == (("c2",), ("A", "B"))
    np.testing.assert_allclose(lines["copy_number_change"], [0, 0, 0.75, 0])
    only = data_changes(screens[0], of(a))[0]
    assert (only.copy_number_in, only.copy_number_changed, only.nothing) == (("A",), (), False)
    assert moved.notna().sum().tolist() == [8, 6, 0, 8]
    np.testing.assert_allclose(lines["logfc_shift"], moved.mean())
    np.testing.assert_allclose(lines["logfc_spread"], moved.std(ddof=0))
    assert found.values_changed == ("c0", "c1", "c2", "c3")
    assert found.rna_changed == ("c1", "c3")
    np.testing.assert_allclose(lines["rna_change"], [0, 0.75, 0, 2e-9], atol=1e-14)
    (batch,) = found.batches  # c2, whose guides are measured in one of the two, has no shift
    assert batch.n_cell_lines == 3 and batch.shift == pytest.approx(moved.mean().mean())


def test_values_are_new_where_they_moved_beyond_rounding_or_their_number_changed(monkeypatch):
    """A mean of more or fewer replicates is new, as is a guide measured in one fit only."""
    monkeypatch.setattr(module, "GUIDES_AT_ONCE", 1)

    def cells(**of_u: Sequence[float]) -> FittedScreen:
        usual = {f"c{number}": [0.5, 1.5] for number in range(1, 9)}
        rows = long(*(("a", guide, line, values) for guide, own in (("t", {}), ("u", of_u))
                      for line, values in (usual | own).items()))  # fmt: skip
        return of(rows)

    found, lines = data_changes(
        cells(c4=[1.0], c6=[], c8=[0.0]),
        cells(c1=[0.5, 1.5 + 1e-9], c2=[0.5, 1.5 + 1e-8], c3=[1.0], c5=[], c8=[0]),
    )
    assert found.values_changed == ("c2", "c3", "c4", "c5", "c6")
    assert lines.set_index("cell_line").loc[["c3", "c4", "c5", "c6"], "logfc_shift"].eq(0).all()


def test_a_line_moves_by_the_shares_of_its_sequences_in_the_batches():
    """c1 has two fitted sequences of x and one of y; batch z has only a line that did not move."""
    sequences = (
        "c1_A x, c1_B y, c1_C x, c1_D y=failed quality control, c1_E w=no cell line, c2_A x, "
        "c3_A y, c4_A, c5_A z"
    )
    shift = {"c1": (2 * 0.5 - 1) / 3, "c2": 0.5, "c3": -1.0, "c4": 0.75, "c5": 0.0}
    spread = {"c1": 0.25, "c2": 1.0, "c3": 0.5, "c4": 0.125, "c5": 0.0}

    def rows(scale: float) -> FittedScreen:
        cells = (("a", guide, line, [scale * (shift[line] + sign * spread[line])])
                 for guide, sign in (("u", 1), ("v", -1)) for line in shift)  # fmt: skip
        return of(long(*cells), sequences)

    found, _ = data_changes(rows(0), rows(1))
    assert found.values_changed == ("c1", "c2", "c3", "c4")
    batches = [(one.pdna_batch, one.n_cell_lines) for one in found.batches]
    assert batches == [("y", 2), ("unknown", 1), ("x", 2)]
    assert [one.shift for one in found.batches] == pytest.approx([-1, 0.75, 0.5])
    of_y, of_x = (0.25 / 3 + 0.5) / (1 / 3 + 1), (0.25 * 2 / 3 + 1.0) / (2 / 3 + 1)
    assert [one.spread for one in found.batches] == pytest.approx([of_y, 0.125, of_x])
