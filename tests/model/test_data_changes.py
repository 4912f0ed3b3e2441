"""Each change between two releases is named as what it is, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from model.data_changes import FITTED, FittedScreen, data_changes
from model.preparation import prepare
from model.roster import roster_of
from schemas.comparison import DataChanges
from schemas.parameters import FitParameters, Preparation
from schemas.screen import Screen
from tests.model.small_screens import LINES, collect, screen, table

PARAMETERS = FitParameters(preparation=Preparation(min_rna_sd=0, min_cell_lines_per_gene=2))


def fitted(of: Screen, logfc: pd.DataFrame) -> FittedScreen:
    statistics = collect(of, logfc, PARAMETERS)
    design, report = prepare(of, statistics, PARAMETERS, "log2_tpm")
    return FittedScreen(design, roster_of(of, statistics.selection, design, report))


def changed(
    mend: Callable[[Screen, pd.DataFrame], tuple[Screen, pd.DataFrame]],
) -> tuple[DataChanges, pd.DataFrame]:
    """What is said of a screen and what `mend` makes of it."""
    of = screen()
    of.sequence_map["pdna_batch"] = [
        "two" if line in LINES[2:] else "one" for line in of.sequence_map["cell_line"]
    ]
    logfc = table(of)
    found, lines = data_changes(fitted(of, logfc), fitted(*mend(screen_like(of), logfc.copy())))
    return found, lines.set_index("cell_line")


def screen_like(of: Screen) -> Screen:
    return replace(
        of,
        guide_map=of.guide_map.copy(),
        sequence_map=of.sequence_map.copy(),
        profiles=of.profiles.copy(),
        rna=of.rna.copy(),
    )


def test_a_screen_and_itself_differ_in_nothing() -> None:
    found, lines = changed(lambda of, logfc: (of, logfc))
    assert found.nothing
    assert not lines[["sequences_changed", "values_changed"]].any().any()
    assert (lines[["logfc_shift", "rna_change"]] == 0).all().all()


def test_a_line_that_has_gone_is_named_with_the_reason_and_the_others_are_as_before() -> None:
    def without(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.sequence_map.loc[of.sequence_map["cell_line"] == LINES[1], "passes_qc"] = False
        return of, logfc

    found, lines = changed(without)
    (lost,) = found.cell_lines_lost
    assert (lost.item, lost.a, lost.b) == (LINES[1], FITTED, "no usable sequence")
    assert found.n_cell_lines_joined == 3
    # Standardised over other lines, the RNA of those that stay is the same.
    assert not found.rna_changed and not found.values_changed and not found.sequences_lost
    assert lines.loc[LINES[1], ["logfc_shift", "rna_change"]].isna().all()


def test_a_replicate_that_fails_quality_control_is_no_new_processing() -> None:
    def flipped(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.sequence_map.loc[of.sequence_map["sequence"] == f"{LINES[0]}_B", "passes_qc"] = False
        return of, logfc

    found, lines = changed(flipped)
    (lost,) = found.sequences_lost
    assert (lost.item, lost.cell_line) == (f"{LINES[0]}_B", LINES[0])
    assert (lost.a, lost.b) == (FITTED, "failed quality control")
    assert not found.values_changed and not found.cell_lines_lost
    assert lines.index[lines["sequences_changed"]].tolist() == [LINES[0]]
    assert lines.loc[LINES[0], "n_sequences_a"] == 2 and lines.loc[LINES[0], "n_sequences_b"] == 1


def test_a_batch_processed_anew_is_told_from_the_other() -> None:
    def shifted(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        batch = of.sequence_map.loc[of.sequence_map["pdna_batch"] == "two", "sequence"]
        logfc[list(batch)] += 0.25
        return of, logfc

    found, lines = changed(shifted)
    assert found.values_changed == tuple(LINES[2:])
    (batch,) = found.batches
    assert (batch.pdna_batch, batch.n_cell_lines) == ("two", 2)
    assert batch.shift == pytest.approx(0.25) and batch.spread == pytest.approx(0, abs=1e-9)
    assert not found.sequences_lost and not found.rna_changed
    assert lines.loc[LINES[0], "logfc_shift"] == 0


def test_batches_within_one_line_are_told_apart() -> None:
    def shifted(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        own = of.sequence_map["sequence"] == f"{LINES[0]}_B"
        of.sequence_map.loc[own, "pdna_batch"] = "two"
        batch = of.sequence_map.loc[of.sequence_map["pdna_batch"] == "two", "sequence"]
        logfc[list(batch)] += 0.25
        return of, logfc

    found, lines = changed(shifted)
    shift = {batch.pdna_batch: batch.shift for batch in found.batches}
    assert lines.loc[LINES[0], "logfc_shift"] == pytest.approx(0.125)
    assert shift == pytest.approx({"two": 0.25, "one": 0.0}, abs=1e-9)


def test_another_default_profile_and_its_values_are_named() -> None:
    def reprofiled(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.profiles.loc[2, "profile"] = "PR-new"
        of.rna.iloc[2] += [0.5, -0.75, 0.25]
        return of, logfc

    found, lines = changed(reprofiled)
    (profile,) = found.profiles_changed
    assert (profile.cell_line, profile.a, profile.b) == (LINES[2], LINES[2], "PR-new")
    assert found.rna_changed == (LINES[2],)
    assert lines.loc[LINES[2], "rna_change"] == pytest.approx(0.75)
    assert not found.values_changed


def test_a_renamed_gene_is_neither_lost_nor_gained() -> None:
    def renamed(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.guide_map["gene"] = of.guide_map["gene"].replace("AAA (1)", "ZZZ (1)")
        return replace(of, rna=of.rna.rename(columns={"AAA (1)": "ZZZ (1)"})), logfc

    found, _ = changed(renamed)
    assert found.nothing


def test_a_gene_and_a_guide_that_are_not_used_any_more_are_named() -> None:
    def fewer(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.guide_map.loc[of.guide_map["guide"].isin(["A1", "B0", "B1"]), "used"] = False
        return of, logfc

    found, _ = changed(fewer)
    assert [(one.item, one.b) for one in found.genes_lost] == [("BBB (2)", "no usable guide")]
    assert [(one.item, one.b) for one in found.guides_lost] == [("A1", "not used by the release")]
    assert not found.values_changed  # the guides of both have the same values


def test_a_value_that_went_missing_is_a_change() -> None:
    def missing(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        logfc.loc["A0", f"{LINES[3]}_A"] = np.nan
        return of, logfc

    found, _ = changed(missing)
    assert found.values_changed == (LINES[3],)


def test_shift_and_spread_of_a_line_are_of_the_means_of_its_guides() -> None:
    """One replicate of a line has gone and the other has moved, by guide in another way."""
    move = np.array([0.5, -0.5, 1.0, 0.0, 0.25, 0.25])
    of = screen()
    logfc = table(of)
    sequences = [f"{LINES[0]}_A", f"{LINES[0]}_B"]
    logfc[sequences[1]] = logfc[sequences[0]]

    def moved(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.sequence_map.loc[of.sequence_map["sequence"] == sequences[1], "passes_qc"] = False
        logfc[sequences[0]] += move
        return of, logfc

    _, lines = data_changes(fitted(of, logfc), fitted(*moved(screen_like(of), logfc.copy())))
    line = lines.set_index("cell_line").loc[LINES[0]]
    assert line["logfc_shift"] == pytest.approx(move.mean())
    assert line["logfc_spread"] == pytest.approx(move.std())


def test_sequences_without_a_batch_are_of_an_unknown_one() -> None:
    def unknown(of: Screen, logfc: pd.DataFrame) -> tuple[Screen, pd.DataFrame]:
        of.sequence_map.loc[of.sequence_map["pdna_batch"] == "two", "pdna_batch"] = None
        batch = of.sequence_map.loc[of.sequence_map["pdna_batch"].isna(), "sequence"]
        logfc[list(batch)] += 0.25
        return of, logfc

    found, _ = changed(unknown)
    assert [batch.pdna_batch for batch in found.batches] == ["unknown"]
