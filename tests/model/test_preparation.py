"""The design holds what passed every condition; all that did not is counted by reason."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.preparation import PreparationError, prepare
from model.selection import select_guides, select_sequences
from schemas.parameters import Filters, FitParameters
from schemas.screen import Screen
from tasks.read_dataset import load_dataset
from tasks.validate import validate
from tests.designs import design_from_rows, original_rows
from tests.model.small_screens import (
    GENES,
    LINES,
    LOOSE,
    assert_conserved,
    guide_map,
    prepared,
    screen,
    sequence_map,
    table,
)

# ------------------------------------------------------------------------------------- the design


def test_the_real_sample_is_prepared_as_known(shared: Path, tmp_path: Path):
    (tmp_path / "d.yaml").write_text(
        f"name: s\nrelease: sample\nlibrary: Avana\nfolder: {shared / 'data/avana_sample'}\n"
    )
    dataset, parameters = load_dataset(str(tmp_path / "d.yaml")), FitParameters()
    valid = validate(dataset, parameters)
    assert valid.screen is not None and valid.statistics is not None
    design, report = prepare(valid.screen, valid.statistics, parameters, dataset.rna_units)
    assert_conserved(valid.screen, valid.statistics, design, report)
    assert (report.n_genes, report.n_cell_lines) == (105, 41)
    assert (report.n_guides, report.n_measurements) == (408, 35_063)


def test_the_simulated_screen_is_prepared_from_its_long_table(tmp_path: Path):
    rows = original_rows()
    rows[["gene", "cell_line", "rna", "sgrna_idx", "logfc"]].to_csv(tmp_path / "long.csv")
    (tmp_path / "d.yaml").write_text(
        "name: s\nrelease: sim\nlibrary: Sim\nlogfc: long.csv\nrna_units: z_score\n"
    )
    dataset, parameters = load_dataset(str(tmp_path / "d.yaml")), FitParameters()
    valid = validate(dataset, parameters)
    assert valid.screen is not None and valid.statistics is not None, valid.report.errors
    design, report = prepare(valid.screen, valid.statistics, parameters, dataset.rna_units)
    expected = design_from_rows(rows)
    assert report.n_measurements == 300
    assert design.guides == expected.guides
    assert design.cell_lines == expected.cell_lines
    np.testing.assert_array_equal(design.count, expected.count)
    np.testing.assert_allclose(design.total, expected.total)
    np.testing.assert_allclose(design.sum_of_squares, expected.sum_of_squares)
    np.testing.assert_allclose(design.rna, expected.rna)


def test_the_design_of_a_complete_screen():
    of = screen()
    logfc = table(of)
    design, losses = prepared(of, logfc)
    assert losses == {}
    assert design.genes == tuple(GENES)
    assert design.cell_lines == tuple(LINES)
    assert design.guides == ("A0", "A1", "B0", "B1", "C0", "C1")
    assert design.guide_gene.tolist() == [0, 0, 1, 1, 2, 2]
    assert (design.count == 2).all()
    np.testing.assert_allclose(
        design.total[3, 2], logfc.loc["B1", [f"{LINES[2]}_A", f"{LINES[2]}_B"]].sum()
    )
    of_line = [f"{LINES[2]}_A", f"{LINES[2]}_B"]
    np.testing.assert_allclose(
        design.sum_of_squares[1, 2], (logfc.loc[["B0", "B1"], of_line] ** 2).sum().sum()
    )
    rna = of.rna.to_numpy().T
    np.testing.assert_allclose(design.rna_mean, rna.mean(axis=1))
    np.testing.assert_allclose(design.rna_sd, rna.std(axis=1, ddof=1))
    np.testing.assert_allclose(design.rna * design.rna_sd[:, None] + design.rna_mean[:, None], rna)
    assert design.rna_is_log2
    assert design.lineage is None


def test_single_measurements_are_kept_in_codes_of_the_design():
    of = screen()
    of = replace(of, guide_map=of.guide_map[of.guide_map["gene"] != GENES[0]])
    logfc = table(of)
    design, _ = prepared(of, logfc)
    rows = design.measurements
    assert rows is not None and len(rows) == design.n_measurements
    row = rows[(rows["guide"] == 2) & (rows["cell_line"] == 3)]
    assert design.guides[2] == "C0"
    assert row["gene"].tolist() == [1, 1]
    assert row["replicate"].tolist() == [0, 1]
    assert row["logfc"].tolist() == list(logfc.loc["C0", [f"{LINES[3]}_A", f"{LINES[3]}_B"]])
    assert row["rna"].tolist() == [design.rna[1, 3]] * 2


@pytest.mark.parametrize(("most", "kept"), [(48, True), (47, False), (0, False)])
def test_too_many_measurements_are_not_kept(most: int, kept: bool):
    of = screen()
    design, _ = prepared(of, preparation=LOOSE.model_copy(update={"max_measurements_kept": most}))
    assert (design.measurements is not None) == kept
    assert design.n_measurements == 48


def test_given_z_scores_are_used_as_they_are():
    of = screen()
    design, _ = prepared(of, z_score=True)
    np.testing.assert_array_equal(design.rna, of.rna.to_numpy().T)
    assert not design.rna_is_log2
    np.testing.assert_allclose(design.rna_sd, of.rna.std(ddof=1))


def columns_of(logfc: pd.DataFrame, *cell_lines: str) -> list[str]:
    return [str(name) for name in logfc if str(name)[:-2] in cell_lines]


def test_rna_is_standardised_over_the_lines_measured_for_the_gene():
    of = screen()
    logfc = table(of)
    logfc.loc[["A0", "A1"], columns_of(logfc, LINES[0])] = np.nan
    design, losses = prepared(of, logfc)
    rna = of.rna[GENES[0]].to_numpy(dtype=float)
    measured = rna[1:]
    assert design.rna_mean[0] == pytest.approx(measured.mean())
    assert design.rna_sd[0] == pytest.approx(measured.std(ddof=1))
    assert design.rna[0, 0] == pytest.approx((rna[0] - measured.mean()) / measured.std(ddof=1))
    assert losses["measurement", "missing value"].count == 4


def test_lineage_is_of_the_kept_lines_and_empty_where_unknown():
    models = pd.DataFrame(
        {"cell_line": [LINES[1], LINES[0], LINES[0]], "lineage": ["Skin", "Lung", "Bone"]}
    )
    design, _ = prepared(replace(screen(), model_table=models))
    assert design.lineage == ("Lung", "Skin", "", "")


def test_labels_are_sorted_where_guide_map_and_rna_have_them_alike_in_another_order():
    of = screen()
    genes, lines = GENES[::-1], LINES[::-1]
    alike = replace(
        of,
        guide_map=guide_map([(f"{gene[0]}0", gene, 1, True) for gene in genes]),
        sequence_map=sequence_map([(f"{line}_A", line) for line in lines]),
        profiles=of.profiles.assign(profile=lines, cell_line=lines),
        rna=of.rna[genes].iloc[::-1].reset_index(drop=True),
    )
    design, _ = prepared(alike)
    assert design.genes == tuple(GENES)
    assert design.cell_lines == tuple(LINES)


# ------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"library": "Other"}, "library other than Lib"),
        ({"screen_type": "3DO"}, "screen type other than 2DS"),
        ({"passes_qc": False}, "failed quality control"),
        ({"excluded": True}, "excluded by the release"),
        ({"cell_line": None}, "no cell line"),
        ({"sequence": "else"}, "not in the sequence map"),
    ],
)
def test_a_sequence_is_lost_by_reason(change: dict[str, Any], reason: str):
    of = screen()
    columns = table(of)
    for column, value in change.items():
        of.sequence_map.loc[5, column] = value
    design, losses = prepared(of, columns)
    assert losses["sequence", reason].examples == (columns.columns[5],)
    assert losses["measurement", f"sequence: {reason}"].count == 6
    assert design.count[:, 1].tolist() == [1] * 6


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("used", False, "not used by the release"),
        ("n_alignments", 2, "alignments other than one"),
        ("n_alignments", None, "alignments other than one"),
        ("gene", None, "no gene"),
        ("guide", "else", "not in the guide map"),
    ],
)
def test_a_guide_is_lost_by_reason(column: str, value: Any, reason: str):
    of = screen()
    logfc = table(of)
    of.guide_map.loc[1, column] = value
    design, losses = prepared(of, logfc)
    assert losses["guide", reason].examples == ("B1",)
    assert losses["measurement", f"guide: {reason}"].count == 8
    assert design.guides == ("A0", "A1", "B0", "C0", "C1")


def test_the_first_reason_counts():
    rows = sequence_map([("a", None), ("b", LINES[0])], library="Other", passes_qc=False)
    assert select_sequences(rows, ["a", "b"], "Lib")["reason"].unique() == [
        "library other than Lib"
    ]
    guides = guide_map([("a", None, 2, False)])
    assert select_guides(guides)["reason"].tolist() == ["not used by the release"]


def test_a_gene_without_a_usable_guide_is_lost():
    of = screen()
    of.guide_map.loc[of.guide_map["gene"] == GENES[1], "used"] = False
    _, losses = prepared(of)
    assert losses["gene", "no usable guide"].examples == (GENES[1],)
    assert losses["guide", "not used by the release"].count == 2


def test_of_a_sequence_on_several_rows_the_first_counts():
    rows = sequence_map([("a", LINES[0]), ("a", LINES[1]), ("b", LINES[1])])
    assert select_sequences(rows, ["b", "a"], "Lib")["cell_line"].tolist() == [LINES[1], LINES[0]]


def test_a_guide_on_several_rows_counts_by_its_usable_one():
    rows = guide_map([("a", "X (1)", 2, True), ("a", "Y (2)", 1, True), ("b", "Z (3)", 2, True)])
    selected = select_guides(rows)
    assert list(selected.loc["a"]) == ["Y (2)", ""]
    assert selected.loc["b", "reason"] == "alignments other than one"
    assert len(selected) == 2


def test_genes_and_lines_of_one_table_only_are_lost_with_all_that_hangs_on_them():
    of = screen()
    rna = of.rna.rename(columns={GENES[0]: "DDD (4)"})
    profiles = of.profiles.replace(LINES[3], "ACH-000009")
    _, losses = prepared(replace(of, rna=rna, profiles=profiles))
    assert losses["gene", "no RNA"].examples == (GENES[0],)
    assert losses["gene", "no guide"].examples == ("DDD (4)",)
    assert losses["guide", "gene: no RNA"].count == 2
    assert losses["cell line", "no RNA"].examples == (LINES[3],)
    assert losses["cell line", "no sequence"].examples == ("ACH-000009",)
    assert losses["sequence", "cell line: no RNA"].count == 2
    assert losses["RNA profile", "cell line: no sequence"].count == 1
    assert losses["measurement", "cell line: no RNA"].count == 12
    assert losses["measurement", "gene: no RNA"].count == 12


def linked_by_the_third_gene() -> tuple[Screen, pd.DataFrame]:
    """The first gene is measured in the first two lines, the second in the others."""
    of = screen()
    logfc = table(of)
    for gene, lines in zip(GENES, (LINES[2:], LINES[:2]), strict=False):
        rows = of.guide_map.loc[of.guide_map["gene"] == gene, "guide"]
        logfc.loc[rows, columns_of(logfc, *lines)] = np.nan
    return of, logfc


def test_parts_that_a_filter_has_cut_apart_are_refused():
    of, logfc = linked_by_the_third_gene()
    assert len(prepared(of, logfc)[0].genes) == 3
    with pytest.raises(PreparationError, match="linked by measurements") as caught:
        prepared(of, logfc, filters=Filters(genes=("AAA", "BBB")))
    assert str(caught.value) == (
        "expected genes and cell lines linked by measurements into one whole, got 2 parts; apart "
        "from the largest: 1 genes (AAA (1)) x 2 cell lines (ACH-000001, ACH-000002). Their "
        "effects cannot be compared: filter to one part, or widen the filters"
    )


def test_of_many_parts_ten_are_named_beside_the_largest():
    genes = [f"G{n:02d} ({n})" for n in range(12)]
    lines = [f"ACH-{n:06d}" for n in range(24)]
    of = Screen(
        guide_map=guide_map([(gene[:3], gene, 1, True) for gene in genes]),
        sequence_map=sequence_map([(f"{line}_A", line) for line in lines]),
        profiles=pd.DataFrame({"profile": lines, "cell_line": lines, "is_default": True}),
        rna=pd.DataFrame(np.random.default_rng(3).random((24, 12)), columns=genes),
    )
    values = np.full((12, 24), np.nan)
    for n in range(12):
        values[n, 2 * n : 2 * n + 2] = 1.0
    logfc = pd.DataFrame(values, [gene[:3] for gene in genes], [f"{line}_A" for line in lines])
    with pytest.raises(PreparationError, match="got 12 parts") as caught:
        prepared(of, logfc)
    assert str(caught.value).count(" x 2 cell lines (") == 10
    assert len(re.findall(r"\); 1 genes \(", str(caught.value))) == 9


def test_parts_that_a_gene_set_aside_has_linked_are_refused():
    of, logfc = linked_by_the_third_gene()
    rna = of.rna.assign(**{GENES[2]: 1.0})
    with pytest.raises(PreparationError, match="linked by measurements"):
        prepared(replace(of, rna=rna), logfc)


def test_replicates_that_are_copies_are_refused():
    of = screen()
    logfc = table(of)
    for line in LINES:
        first, second = columns_of(logfc, line)
        logfc[second] = logfc[first]
    for copies in (logfc, logfc * 1e4, logfc * 0):
        with pytest.raises(PreparationError) as caught:
            prepared(of, copies)
        assert str(caught.value) == (
            "expected replicates that differ by their measurement error, got the same log fold "
            "change in all replicates of each guide and cell line: they are copies of each other; "
            "give the table with its true replicates, or keep one column a cell line"
        )
    alone = logfc.copy()
    alone[columns_of(alone, LINES[0])[1]] = np.nan
    with pytest.raises(PreparationError, match="copies of each other"):
        prepared(of, alone)
    logfc.iloc[0, 0] += 1e-3
    prepared(of, logfc)


def test_a_screen_without_replicates_has_no_copies():
    of = screen()
    single = of.sequence_map.iloc[: len(LINES)]
    assert len(prepared(replace(of, sequence_map=single))[0].guides) == 6


def test_only_default_profiles_are_taken():
    of = screen()
    other = pd.DataFrame({"profile": ["P"], "cell_line": LINES[:1], "is_default": [False]})
    of = replace(
        of,
        profiles=pd.concat([other, of.profiles], ignore_index=True),
        rna=pd.concat([of.rna.iloc[:1] + 1, of.rna], ignore_index=True),
    )
    design, losses = prepared(of)
    np.testing.assert_allclose(design.rna, prepared(screen())[0].rna)
    assert losses["RNA profile", "not the default of its cell line"].examples == ("P",)


def test_a_measurement_without_rna_is_dropped_from_every_sum():
    of = screen()
    of.rna.iloc[1, 0] = np.nan
    logfc = table(of)
    design, losses = prepared(of, logfc)
    assert losses["measurement", "no RNA value for gene and cell line"].count == 4
    assert design.count[:2, 1].tolist() == [0, 0]
    assert design.total[:2, 1].tolist() == [0, 0]
    others = columns_of(logfc, LINES[0], LINES[2], LINES[3])
    np.testing.assert_allclose(
        design.sum_of_squares[0].sum(), (logfc.loc[["A0", "A1"], others] ** 2).sum().sum()
    )
    assert np.isnan(design.rna[0, 1])


def test_where_some_rna_is_missing_missing_values_are_dropped_all_the_same():
    of = screen()
    of.rna.iloc[1, 0] = np.nan
    logfc = table(of)
    logfc.loc["B1", f"{LINES[2]}_A"] = np.nan
    design, losses = prepared(of, logfc)
    assert losses["measurement", "missing value"].count == 1
    assert losses["measurement", "no RNA value for gene and cell line"].count == 4
    guide, line = design.guides.index("B1"), design.cell_lines.index(LINES[2])
    assert design.count[guide, line] == 1
    assert design.total[guide, line] == logfc.loc["B1", f"{LINES[2]}_B"]


def test_rna_that_varies_just_enough_is_kept():
    of = screen()
    of.rna[GENES[1]] = [0.0, 2.0, 0.0, 2.0]
    just = float(np.std([0, 2, 0, 2], ddof=1))
    design, _ = prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": just}))
    assert GENES[1] in design.genes


def test_no_more_than_ten_examples_are_named():
    of = screen()
    of = replace(
        of,
        profiles=pd.concat(
            [
                of.profiles,
                pd.DataFrame({"profile": [f"P{n}" for n in range(12)]}).assign(
                    cell_line=LINES[0], is_default=False
                ),
            ],
            ignore_index=True,
        ),
        rna=pd.concat([of.rna, *[of.rna.iloc[:1]] * 12], ignore_index=True),
    )
    logfc = table(of)
    extra = pd.DataFrame(0.0, [f"X{n:02d}" for n in range(12)], logfc.columns)
    _, losses = prepared(of, pd.concat([logfc, extra]))
    profiles = losses["RNA profile", "not the default of its cell line"]
    assert (profiles.count, profiles.examples) == (12, tuple(f"P{n}" for n in range(10)))
    guides = losses["guide", "not in the guide map"]
    assert (guides.count, guides.examples) == (12, tuple(f"X{n:02d}" for n in range(10)))
    logfc = pd.concat([logfc, *[logfc.iloc[:, 0].rename(f"S{n:02d}") for n in range(12)]], axis=1)
    sequences = prepared(of, logfc)[1]["sequence", "not in the sequence map"]
    assert (sequences.count, sequences.examples) == (12, tuple(f"S{n:02d}" for n in range(10)))


def test_genes_whose_rna_hardly_varies_are_set_aside():
    of = screen()
    of.rna[GENES[1]] = [1, 1.01, 1, 1.01]
    design, losses = prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": 0.1}))
    assert design.genes == (GENES[0], GENES[2])
    assert design.guide_gene.tolist() == [0, 0, 1, 1]
    assert losses["gene", "RNA SD below 0.1"].examples == (GENES[1],)
    assert losses["guide", "gene: RNA SD below 0.1"].count == 2
    assert losses["measurement", "gene: RNA SD below 0.1"].count == 16


def test_constant_rna_is_set_aside_at_any_threshold():
    of = screen()
    of.rna[GENES[1]] = 2.0
    with np.errstate(all="raise"):
        assert prepared(of)[0].genes == (GENES[0], GENES[2])


def test_genes_in_too_few_lines_are_set_aside():
    of = screen()
    logfc = table(of)
    logfc.loc[["B0", "B1"], columns_of(logfc, *LINES[1:])] = np.nan
    _, losses = prepared(of, logfc)
    assert losses["gene", "measured in fewer than 2 cell lines"].examples == (GENES[1],)
    assert losses["measurement", "gene: measured in fewer than 2 cell lines"].count == 4


def test_guides_genes_and_lines_without_a_measurement_are_lost():
    of = screen()
    logfc = table(of)
    logfc.loc["A0"] = np.nan
    logfc.loc[["B0", "B1"]] = np.nan
    logfc[columns_of(logfc, LINES[2])] = np.nan
    design, losses = prepared(of, logfc)
    assert design.guides == ("A1", "C0", "C1")
    assert design.cell_lines == (LINES[0], LINES[1], LINES[3])
    squares = logfc.loc[["C0", "C1"], columns_of(logfc, LINES[3])] ** 2
    assert design.sum_of_squares.shape == (2, 3)
    assert design.sum_of_squares[1, 2] == pytest.approx(squares.to_numpy().sum())
    assert losses["guide", "no measurement"].examples == ("A0",)
    assert losses["guide", "gene: no measurement"].count == 2
    assert losses["gene", "no measurement"].examples == (GENES[1],)
    assert losses["cell line", "no measurement"].examples == (LINES[2],)
    assert losses["sequence", "cell line: no measurement"].count == 2
