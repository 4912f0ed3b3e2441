"""The design holds every measurement that may be fitted, and every loss is counted by reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.design import ScreenDesign
from model.preparation import PreparationError, prepare
from schemas.parameters import Filters, FitParameters, Preparation
from schemas.screen import Screen
from tests.designs import design_from_rows
from tests.model.small_screens import (
    GENES,
    LINES,
    LOOSE,
    assert_conserved,
    collect,
    guide_map,
    prepared,
    screen,
    sequence_map,
    table,
)
from tests.model.test_design import assert_equal_designs


def expected_design(of: Screen, logfc: pd.DataFrame, limits: Preparation) -> ScreenDesign | None:
    """The design by melting, merging and grouping; None where no gene is left."""
    guides = of.guide_map.query("used and n_alignments == 1").dropna(subset="gene")
    sequences = of.sequence_map.query(
        "passes_qc and not excluded and library == 'Lib' and screen_type == '2DS'"
    )
    default = of.profiles["is_default"].to_numpy()
    rna = of.rna[default].set_axis(of.profiles.loc[default, "cell_line"].rename("cell_line"))
    rows = (
        logfc.rename_axis("guide")
        .reset_index()
        .melt("guide", var_name="sequence", value_name="logfc")
        .merge(guides, on="guide")
        .merge(sequences.dropna(subset="cell_line"), on="sequence")
        .merge(
            rna.reset_index().melt("cell_line", var_name="gene", value_name="rna"),
            on=["gene", "cell_line"],
        )
        .dropna(subset=["logfc", "rna"])
    )
    moments = rows.drop_duplicates(["gene", "cell_line"]).groupby("gene")["rna"]
    moments = moments.agg(["size", "mean", "std"])
    moments = moments[
        (moments["size"] >= limits.min_cell_lines_per_gene)
        & (moments["std"] >= limits.min_rna_sd)
        & (moments["std"] > 0)
    ]
    rows = rows[rows["gene"].isin(moments.index)].sort_values("guide", kind="stable")
    if rows.empty:
        return None
    design = design_from_rows(rows)
    mean, sd = moments["mean"].to_numpy(), moments["std"].to_numpy()
    r = rna.loc[list(design.cell_lines), list(design.genes)].to_numpy().T
    r = (r - mean[:, None]) / sd[:, None]
    singles = design.measurements
    assert singles is not None
    singles = singles.assign(rna=r[singles["gene"], singles["cell_line"]])
    singles = singles.sort_values(["guide", "cell_line", "replicate"], ignore_index=True)
    return replace(design, rna=r, rna_mean=mean, rna_sd=sd, rna_is_log2=True, measurements=singles)


@st.composite
def screens(draw: st.DrawFn) -> tuple[Screen, pd.DataFrame]:
    """A screen with values missing from every table, and its logFC table."""
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.0, 0.2, 0.7]))
    n_guides, n_sequences = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    random = np.random.default_rng(seed)
    genes, lines = [*GENES, None], [*LINES, None]
    of = Screen(
        guide_map=guide_map(
            [
                (f"G{i:02}", genes[random.integers(4)], 1 + (random.random() < 0.2), i != 5)
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
            {"profile": list("abcde"), "cell_line": [*LINES, LINES[0]], "is_default": [True] * 5}
        ).assign(is_default=lambda frame: frame["profile"] != "e"),
        rna=pd.DataFrame(random.random((5, 3)), columns=GENES).mask(
            random.random((5, 3)) < share / 2
        ),
    )
    logfc = table(of, seed).mask(random.random((n_guides, n_sequences)) < share)
    return of, logfc.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)


@settings(max_examples=50)
@given(drawn=screens(), block_size=st.integers(1, 13))
def test_a_design_is_a_groupby_of_the_tables(drawn: tuple[Screen, pd.DataFrame], block_size: int):
    parameters = FitParameters(preparation=LOOSE)
    expected = expected_design(*drawn, LOOSE)
    try:
        statistics = collect(*drawn, parameters, block_size)
        design, report = prepare(drawn[0], statistics, parameters, "log2_tpm")
    except PreparationError as error:
        assert expected is None or "linked by measurements" in str(error)
        return
    assert_conserved(drawn[0], statistics, design, report)
    assert expected is not None
    assert_equal_designs(design, expected)


def messy_screen() -> tuple[Screen, pd.DataFrame]:
    """A screen that loses something for every reason, and its logFC table."""
    genes = {letter: f"{letter * 3} ({number})" for number, letter in enumerate("ABCDEFGHI", 1)}
    guides = guide_map(
        [
            (f"{letter}{number}", genes[letter], 1, True)
            for letter, n_guides in zip("ABCDEGHI", (5, 2, 2, 1, 1, 2, 1, 1), strict=True)
            for number in range(n_guides)
        ]
        + [("N0", None, 1, True)]
    ).set_index("guide")
    guides.loc[["B1", "E0"], "used"] = False
    guides.loc[["A2", "A3"], "n_alignments"] = [2, pd.NA]
    one, two, three, four, five, six, seven = (f"ACH-{number:06}" for number in range(1, 8))
    names = ["other", "3D", "1A", "1B", "2A", "2B", "failed", "3A", "excluded", "none"]
    lines = [one, one, one, one, two, two, two, three, three, None, four, five, six]
    sequences = sequence_map(list(zip([*names, "4A", "5A", "6A"], lines, strict=True)))
    sequences = sequences.set_index("sequence")
    sequences.loc["other", "library"] = "Other"
    sequences.loc["3D", "screen_type"] = "3DO"
    sequences.loc[["failed", "6A"], "passes_qc"] = False
    sequences.loc["excluded", "excluded"] = True
    with_rna = [one, one, two, three, five, six, seven]
    values = np.random.default_rng(1).random((7, 8)) * 5
    rna = pd.DataFrame(values, columns=[genes[letter] for letter in "ABCEFGHI"])
    rna[genes["G"]] = [9, 3, 3.01, 3, 3.01, 3, 3.01]
    rna.loc[2, genes["C"]] = np.nan
    of = Screen(
        guides.reset_index(),
        sequences.reset_index(),
        pd.DataFrame({"profile": list("pqrstuv"), "cell_line": with_rna, "is_default": True}),
        rna,
    )
    of.profiles.loc[0, "is_default"] = False
    logfc = table(of).assign(unknown=1.0)
    logfc.loc["X0"] = 2.0
    logfc.loc[["A4", "I0"]] = np.nan
    logfc.loc["H0", logfc.columns != "1A"] = np.nan
    logfc["5A"] = np.nan
    logfc.loc["A0", "3A"] = np.nan
    return of, logfc


EXPECTED_LOSSES = {
    "sequence": {
        "failed quality control": "failed 6A", "library other than Lib": "other",
        "screen type other than 2DS": "3D", "excluded by the release": "excluded",
        "no cell line": "none", "not in the sequence map": "unknown",
        "cell line: no RNA": "4A", "cell line: no measurement": "5A",
    },
    "guide": {
        "alignments other than one": "A2 A3", "not used by the release": "B1 E0",
        "gene: RNA SD below 0.1": "G0 G1", "no measurement": "A4", "gene: no RNA": "D0",
        "gene: measured in fewer than 2 cell lines": "H0", "gene: no measurement": "I0",
        "no gene": "N0", "not in the guide map": "X0",
    },
    "gene": {
        "no RNA": "DDD (4)", "no usable guide": "EEE (5)", "no guide": "FFF (6)",
        "RNA SD below 0.1": "GGG (7)", "measured in fewer than 2 cell lines": "HHH (8)",
        "no measurement": "III (9)",
    },
    "cell line": {
        "no RNA": "ACH-000004", "no measurement": "ACH-000005",
        "no usable sequence": "ACH-000006", "no sequence": "ACH-000007",
    },
    "RNA profile": {
        "not the default of its cell line": "p", "cell line: no measurement": "t",
        "cell line: no usable sequence": "u", "cell line: no sequence": "v",
    },
    # Of 17 guides in 14 sequences, of which 6 are kept.
    "measurement": {
        "sequence: failed quality control": 34, "sequence: library other than Lib": 17,
        "sequence: screen type other than 2DS": 17, "sequence: excluded by the release": 17,
        "sequence: no cell line": 17, "cell line: no RNA": 17,
        "sequence: not in the sequence map": 17, "guide: alignments other than one": 12,
        "guide: not used by the release": 12, "gene: no RNA": 6, "guide: no gene": 6,
        "guide: not in the guide map": 6, "missing value": 25,
        "no RNA value for gene and cell line": 4, "gene: RNA SD below 0.1": 10,
        "gene: measured in fewer than 2 cell lines": 1,
    },
}  # fmt: skip


def test_every_loss_is_counted_under_its_first_reason():
    of, logfc = messy_screen()
    limits = Preparation(min_rna_sd=0.1, min_cell_lines_per_gene=2)
    design, losses = prepared(of, logfc, limits)
    expected = expected_design(of, logfc, limits)
    assert expected is not None
    assert_equal_designs(design, expected)
    assert (design.guides, len(design.cell_lines)) == (("A0", "A1", "B0", "C0", "C1"), 3)
    found: dict[str, dict[str, object]] = {unit: {} for unit, _ in losses}
    for (unit, reason), loss in losses.items():
        found[unit][reason] = " ".join(loss.examples) or loss.count
        assert loss.count == (len(loss.examples) or loss.count)
    assert found == EXPECTED_LOSSES
    assert next(iter(losses)) == ("sequence", "failed quality control")  # the most frequent


@pytest.mark.parametrize(("most", "kept"), [(48, True), (47, False)])
def test_single_measurements_are_kept_up_to_a_limit(most: int, kept: bool):
    design, _ = prepared(
        screen(), preparation=LOOSE.model_copy(update={"max_measurements_kept": most})
    )
    assert (design.measurements is not None) == kept
    assert design.n_measurements == 48


def test_z_scores_are_used_as_they_are():
    of = screen()
    design, _ = prepared(of, z_score=True)
    np.testing.assert_array_equal(design.rna, of.rna.to_numpy().T)
    np.testing.assert_allclose(design.rna_sd, of.rna.std(ddof=1))
    assert not design.rna_is_log2


def test_a_line_has_the_first_lineage_of_the_model_table():
    lineages = {"cell_line": [LINES[1], LINES[0], LINES[0]], "lineage": ["Skin", "Lung", "Bone"]}
    design, _ = prepared(replace(screen(), model_table=pd.DataFrame(lineages)))
    assert design.lineage == ("Lung", "Skin", "", "")


def test_labels_are_sorted_where_all_tables_have_the_same_other_order():
    of = screen()
    genes, lines = GENES[::-1], LINES[::-1]
    design, _ = prepared(
        replace(
            of,
            guide_map=guide_map([(f"{gene[0]}0", gene, 1, True) for gene in genes]),
            sequence_map=sequence_map([(f"{line}_A", line) for line in lines]),
            profiles=of.profiles.assign(profile=lines, cell_line=lines),
            rna=of.rna[genes].iloc[::-1].reset_index(drop=True),
        )
    )
    assert (design.genes, design.cell_lines) == (tuple(GENES), tuple(LINES))


@pytest.mark.parametrize(
    ("rna", "least", "kept"),
    [([0.0, 2.0, 0.0, 2.0], float(np.std([0, 2, 0, 2], ddof=1)), True), ([2.0] * 4, 0, False)],
)
def test_rna_has_to_vary_by_the_least_sd_and_at_all(rna: list[float], least: float, kept: bool):
    of = screen()
    of.rna[GENES[1]] = rna
    with np.errstate(all="raise"):
        design, _ = prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": least}))
    assert (GENES[1] in design.genes) == kept


def test_at_most_ten_examples_are_named():
    of = screen()
    many = pd.DataFrame({"profile": [f"P{n:02}" for n in range(12)]})
    many = many.assign(cell_line=LINES[0], is_default=False)
    of = replace(
        of,
        profiles=pd.concat([of.profiles, many], ignore_index=True),
        rna=pd.concat([of.rna, *[of.rna.iloc[:1]] * 12], ignore_index=True),
    )
    logfc = table(of).reindex(columns=[*table(of), *(f"S{n:02}" for n in range(12))])
    logfc = logfc.reindex([*logfc.index, *(f"X{n:02}" for n in range(12))])
    _, losses = prepared(of, logfc)
    for unit, reason, letter in (
        ("RNA profile", "not the default of its cell line", "P"),
        ("guide", "not in the guide map", "X"),
        ("sequence", "not in the sequence map", "S"),
    ):
        loss = losses[unit, reason]
        assert (loss.count, loss.examples) == (12, tuple(f"{letter}{n:02}" for n in range(10)))


def columns_of(logfc: pd.DataFrame, *cell_lines: str) -> list[str]:
    return [str(name) for name in logfc if str(name)[:-2] in cell_lines]


def linked_by_the_third_gene() -> tuple[Screen, pd.DataFrame]:
    """The first gene is measured in the first two lines, the second in the others."""
    of = screen()
    logfc = table(of)
    for gene, lines in zip(GENES, (LINES[2:], LINES[:2]), strict=False):
        rows = of.guide_map.loc[of.guide_map["gene"] == gene, "guide"]
        logfc.loc[rows, columns_of(logfc, *lines)] = np.nan
    return of, logfc


def test_parts_without_a_common_measurement_are_refused():
    of, logfc = linked_by_the_third_gene()
    assert len(prepared(of, logfc)[0].genes) == 3
    without_rna = replace(of, rna=of.rna.assign(**{GENES[2]: 1.0}))
    with pytest.raises(PreparationError, match="got 2 parts"):
        prepared(without_rna, logfc)
    with pytest.raises(PreparationError) as caught:
        prepared(of, logfc, filters=Filters(genes=("AAA", "BBB")))
    assert "got 2 parts; apart from the largest: 1 genes (AAA (1)) x 2 cell lines" in str(
        caught.value
    )
    assert "filter to one part, or widen the filters" in str(caught.value)


def test_at_most_ten_parts_are_named_beside_the_largest():
    genes = [f"G{n:02} ({n})" for n in range(12)]
    lines = [f"ACH-{n:06}" for n in range(24)]
    of = Screen(
        guide_map=guide_map([(gene[:3], gene, 1, True) for gene in genes]),
        sequence_map=sequence_map([(f"{line}_A", line) for line in lines]),
        profiles=pd.DataFrame({"profile": lines, "cell_line": lines, "is_default": True}),
        rna=pd.DataFrame(np.random.default_rng(3).random((24, 12)), columns=genes),
    )
    logfc = table(of).where(np.repeat(np.eye(12, dtype=bool), 2, axis=1))
    with pytest.raises(PreparationError, match="got 12 parts") as caught:
        prepared(of, logfc)
    assert str(caught.value).count("1 genes (G") == 10
    assert str(caught.value).count("); 1 genes (") == 9


def test_replicates_that_are_copies_are_refused():
    of = screen()
    logfc = table(of)
    for line in LINES:
        first, second = columns_of(logfc, line)
        logfc[second] = logfc[first]
    alone = logfc.assign(**{columns_of(logfc, LINES[0])[1]: np.nan})
    for copies in (logfc, logfc * 1e4, logfc * 0, alone):
        with pytest.raises(PreparationError, match="copies of each other; give the table with its"):
            prepared(of, copies)
    logfc.iloc[0, 0] += 1e-3
    prepared(of, logfc)
    single = replace(of, sequence_map=of.sequence_map.iloc[: len(LINES)])
    assert len(prepared(single)[0].guides) == 6
