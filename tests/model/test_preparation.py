"""The design holds what passed every condition; all that did not is counted by reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.design import ScreenDesign
from model.preparation import PreparationError, SufficientStatistics, prepare
from model.selection import select_guides, select_sequences
from schemas.parameters import Filters, FitParameters, Preparation
from schemas.reports import Loss, PreparationReport
from schemas.screen import LogfcBlock, Screen
from tasks.read_dataset import load_dataset
from tasks.validate import validate
from tests.designs import design_from_rows, original_rows

LINES = [f"ACH-{i:06d}" for i in range(1, 5)]
GENES = ["AAA (1)", "BBB (2)", "CCC (3)"]
LOOSE = Preparation(min_rna_sd=0, min_cell_lines_per_gene=2)


def guide_map(rows: Sequence[tuple[str, str | None, int, bool]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["guide", "gene", "n_alignments", "used"])
    return frame.astype({"guide": "str", "gene": "str", "n_alignments": "Int64", "used": bool})


def sequence_map(rows: Sequence[tuple[str, str | None]], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["sequence", "cell_line"], dtype="str")
    standard: dict[str, Any] = {
        "screen_type": "2DS",
        "library": "Lib",
        "passes_qc": True,
        "excluded": False,
        "pdna_batch": "1",
    }
    return frame.assign(**(standard | columns))


def screen(random_seed: int = 1) -> Screen:
    """Three genes with two guides each, four lines with two sequences each."""
    return Screen(
        guide_map=guide_map([(f"{gene[0]}{i}", gene, 1, True) for i in (1, 0) for gene in GENES]),
        sequence_map=sequence_map([(f"{line}_{i}", line) for i in "AB" for line in LINES]),
        profiles=pd.DataFrame({"profile": LINES, "cell_line": LINES, "is_default": True}),
        rna=pd.DataFrame(np.random.default_rng(random_seed).random((4, 3)) * 5, columns=GENES),
    )


def table(of: Screen, seed: int = 2) -> pd.DataFrame:
    guides = of.guide_map["guide"].unique()
    values = np.random.default_rng(seed).normal(size=(len(guides), len(of.sequence_map)))
    return pd.DataFrame(values, guides, list(of.sequence_map["sequence"]))


def collect(
    of: Screen,
    logfc: pd.DataFrame,
    parameters: FitParameters,
    block_size: int = 3,
) -> SufficientStatistics:
    statistics = SufficientStatistics(
        of, tuple(logfc.columns), "Lib", parameters.filters, parameters.preparation
    )
    for start in range(0, len(logfc), block_size):
        part = logfc.iloc[start : start + block_size]
        guides = part.index.to_numpy(dtype=object)
        statistics.add(LogfcBlock(guides, part.to_numpy().copy(), start + 2))
    return statistics


def prepared(
    of: Screen,
    logfc: pd.DataFrame | None = None,
    preparation: Preparation = LOOSE,
    filters: Filters | None = None,
    z_score: bool = False,
) -> tuple[ScreenDesign, dict[tuple[str, str], Loss]]:
    logfc = table(of) if logfc is None else logfc
    parameters = FitParameters(preparation=preparation, filters=filters or Filters())
    statistics = collect(of, logfc, parameters)
    design, report = prepare(of, statistics, parameters, "z_score" if z_score else "log2_tpm")
    assert_conserved(of, statistics, design, report)
    return design, {(loss.unit, loss.reason): loss for loss in report.losses}


def assert_conserved(
    of: Screen, statistics: SufficientStatistics, design: ScreenDesign, report: PreparationReport
) -> None:
    """Kept and lost together are what came, for every unit."""
    lost = {
        unit: sum(loss.count for loss in report.losses if loss.unit == unit)
        for unit in ("guide", "gene", "cell line", "measurement", "RNA profile", "sequence")
    }
    n_guides = sum(map(len, statistics.seen))
    sequences = statistics.selection.sequences
    n_sequences_kept = sequences.loc[sequences["reason"] == "", "cell_line"].isin(design.cell_lines)
    genes = set(of.guide_map["gene"].dropna()) | set(of.rna.columns)
    lines = set(of.sequence_map["cell_line"].dropna()) | set(of.profiles["cell_line"])
    assert report.n_guides + lost["guide"] == n_guides
    assert n_sequences_kept.sum() + lost["sequence"] == len(sequences)
    assert report.n_measurements + lost["measurement"] == n_guides * len(sequences)
    assert report.n_genes + lost["gene"] == len(genes)
    assert report.n_cell_lines + lost["cell line"] == len(lines)
    assert report.n_cell_lines + lost["RNA profile"] == len(of.profiles)
    assert (report.n_genes, report.n_cell_lines) == design.rna.shape
    assert (report.n_guides, report.n_cell_lines) == design.count.shape
    assert report.n_measurements == design.n_measurements


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
    models = pd.DataFrame({"cell_line": [LINES[1], LINES[0]], "lineage": ["Skin", "Lung"]})
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
    assert "1 genes (AAA (1)) x 2 cell lines (ACH-000001, ACH-000002)" in str(caught.value)


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
    with pytest.raises(PreparationError, match="copies of each other"):
        prepared(of, logfc)
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
    assert losses["guide", "no measurement"].examples == ("A0",)
    assert losses["guide", "gene: no measurement"].count == 2
    assert losses["gene", "no measurement"].examples == (GENES[1],)
    assert losses["cell line", "no measurement"].examples == (LINES[2],)
    assert losses["sequence", "cell line: no measurement"].count == 2


# ------------------------------------------------------------------------------------------ filters


@pytest.mark.parametrize("name", ["BBB (2)", "BBB", "2"])
def test_a_gene_is_asked_for_by_label_symbol_or_number(name: str):
    design, losses = prepared(screen(), filters=Filters(genes=(name,)))
    assert design.genes == ("BBB (2)",)
    assert losses["gene", "not asked for"].examples == (GENES[0], GENES[2])
    assert losses["measurement", "gene: not asked for"].count == 32


def test_lines_are_asked_for_by_name_and_by_lineage():
    models = pd.DataFrame({"cell_line": LINES, "lineage": ["Skin", "Skin", "Skin", "Lung"]})
    of = replace(screen(), model_table=models)
    filters = Filters(cell_lines=tuple(LINES[1:]), lineages=("Skin",))
    design, losses = prepared(of, filters=filters)
    assert design.cell_lines == (LINES[1], LINES[2])
    assert losses["cell line", "not asked for"].examples == (LINES[0],)
    assert losses["cell line", "lineage not asked for"].examples == (LINES[3],)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(genes=("BBC", "AAA")), "genes: expected names in the tables, got BBC (near: BBB"),
        (Filters(genes=("bbb",)), "got bbb (near: BBB"),
        (Filters(genes=("zzz",)), "got zzz (near: nothing)"),
        (Filters(cell_lines=("ACH-000008",)), "cell_lines: expected names in the tables"),
        (
            Filters(lineages=("Skni",)),
            "lineages: expected names in the tables, got Skni (near: Skin)",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_near_matches(filters: Filters, words: str):
    models = pd.DataFrame({"cell_line": LINES, "lineage": "Skin"})
    with pytest.raises(PreparationError) as caught:
        prepared(replace(screen(), model_table=models), filters=filters)
    assert words in str(caught.value)
    assert "AAA (near" not in str(caught.value)


def test_unknown_names_of_all_filters_are_told_at_once():
    with pytest.raises(PreparationError, match=r"genes: (.|\n)*cell_lines: "):
        prepared(screen(), filters=Filters(genes=("X",), cell_lines=("Y",)))


def test_lineages_need_a_model_table():
    with pytest.raises(PreparationError, match="add `model_table:`"):
        prepared(screen(), filters=Filters(lineages=("Skin",)))


def test_nothing_left_is_an_error_with_the_reasons():
    of = screen()
    with pytest.raises(
        PreparationError, match=r"one cell line to fit, all 4 are lost \(4 no usable"
    ):
        prepared(replace(of, sequence_map=of.sequence_map.assign(passes_qc=False)))
    with pytest.raises(PreparationError, match=r"one gene to fit, all 3 are lost \(3 no RNA\)"):
        prepared(replace(of, profiles=of.profiles.assign(is_default=False), rna=of.rna[[]]))
    with pytest.raises(PreparationError, match="3 RNA SD below 1000"):
        prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": 1000}))


# ------------------------------------------------------------------------- any table, any block


@st.composite
def screens(draw: st.DrawFn) -> tuple[Screen, pd.DataFrame]:
    """A screen with holes of every kind, and its logFC table."""
    seed = draw(st.integers(0, 2**32 - 1))
    holes = draw(st.sampled_from([0.0, 0.2, 0.7]))
    random = np.random.default_rng(seed)
    n_guides, n_sequences = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    genes, lines = [*GENES, None], [*LINES, None]
    of = Screen(
        guide_map=guide_map(
            [
                (
                    f"G{i}",
                    genes[random.integers(4)],
                    int(random.integers(1, 3)),
                    random.random() > 0.1,
                )
                for i in random.permutation(n_guides)
            ]
        ),
        sequence_map=sequence_map(
            [(f"S{i}", lines[random.integers(5)]) for i in range(n_sequences)],
            passes_qc=random.random(n_sequences) > 0.1,
            excluded=random.random(n_sequences) > 0.9,
            library=random.choice(["Lib", "Lib", "Lib", "Other"], n_sequences),
        ),
        profiles=pd.DataFrame(
            {
                "profile": list("abcde"),
                "cell_line": [*LINES, LINES[0]],
                "is_default": [True] * 4 + [False],
            }
        ),
        rna=pd.DataFrame(random.random((5, 3)), columns=GENES).mask(
            random.random((5, 3)) < holes / 2
        ),
    )
    logfc = table(of, seed).mask(random.random((n_guides, n_sequences)) < holes)
    return of, logfc.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)


def naive(of: Screen, logfc: pd.DataFrame) -> pd.DataFrame:
    """Count, sum and sum of squares by guide and cell line, by melting and merging."""
    guides = of.guide_map.query("used and n_alignments == 1").dropna(subset="gene")
    sequences = of.sequence_map.query("passes_qc and not excluded and library == 'Lib'")
    default = of.profiles["is_default"].to_numpy()
    rna = of.rna[default].assign(cell_line=of.profiles.loc[default, "cell_line"])
    rows = (
        logfc.rename_axis("guide")
        .reset_index()
        .melt("guide", var_name="sequence", value_name="logfc")
        .merge(guides, on="guide")
        .merge(sequences.dropna(subset="cell_line"), on="sequence")
        .merge(rna.melt("cell_line", var_name="gene", value_name="rna"), on=["gene", "cell_line"])
        .dropna(subset=["logfc", "rna"])
    )
    rows["square"] = rows["logfc"] ** 2
    return rows.groupby(["guide", "cell_line"]).agg(
        count=("logfc", "size"), total=("logfc", "sum"), square=("square", "sum")
    )


@settings(max_examples=60, deadline=None)
@given(drawn=screens(), block_size=st.integers(1, 13))
def test_statistics_are_those_of_a_groupby_whatever_the_blocks(
    drawn: tuple[Screen, pd.DataFrame], block_size: int
):
    of, logfc = drawn
    expected = naive(of, logfc)
    try:
        statistics = collect(of, logfc, FitParameters(), block_size)
    except PreparationError:
        assert expected.empty
        return
    index = pd.MultiIndex.from_product(
        [statistics.guides, statistics.selection.rna.columns], names=["guide", "cell_line"]
    )
    assert expected.index.isin(index).all()
    cells = expected.reindex(index, fill_value=0)
    shape = statistics.count.shape
    np.testing.assert_array_equal(statistics.count, cells["count"].to_numpy().reshape(shape))
    np.testing.assert_allclose(
        statistics.total, cells["total"].to_numpy().reshape(shape), atol=1e-12
    )
    squares = np.zeros(statistics.sum_of_squares.shape)
    np.add.at(squares, statistics.guide_gene, cells["square"].to_numpy().reshape(shape))
    np.testing.assert_allclose(statistics.sum_of_squares, squares, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(drawn=screens())
def test_nothing_is_lost_uncounted(drawn: tuple[Screen, pd.DataFrame]):
    of, logfc = drawn
    try:
        design, _ = prepared(of, logfc)
    except PreparationError:
        return
    rows = design.measurements
    assert rows is not None
    cells = rows.groupby(["guide", "cell_line"])["logfc"].agg(["size", "sum"])
    at = tuple(cells.index.get_level_values(level) for level in (0, 1))
    assert len(cells) == (design.count > 0).sum()
    assert (design.count[at] == cells["size"]).all()
    np.testing.assert_allclose(design.total[at], cells["sum"], atol=1e-12)
    assert (design.gene_count.sum(axis=1) > 0).all()
    assert np.isfinite(design.rna[design.gene_count > 0]).all()
