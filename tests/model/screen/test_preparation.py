"""The design holds every measurement that may be fitted, and every loss is counted by reason."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from model.screen.preparation import PreparationError, prepare
from schemas.parameters import Filters, FitParameters, Preparation
from schemas.tables.containers import CovariateTable, Screen
from tests.model.small_screens import (
    GENES,
    LINES,
    LOOSE,
    collect,
    guide_map,
    prepared,
    screen,
    sequence_map,
    table,
)

LIMITS = Preparation(min_rna_sd=0.1, min_cell_lines_per_gene=2)


def messy_screen() -> tuple[Screen, pd.DataFrame]:
    """A screen that loses something for every reason, and its logFC table.

    Where a row has several reasons, it is counted under the first.
    """
    genes = {letter: f"{letter * 3} ({number})" for number, letter in enumerate("ABCDEFGHI", 1)}
    n_guides = zip("ABCDEGHI", (5, 2, 2, 1, 1, 2, 1, 1), strict=True)
    rows = [(f"{gene}{k}", genes[gene], 1, True) for gene, n in n_guides for k in range(n)]
    guides = guide_map([*rows, ("N0", None, 1, True)]).set_index("guide")
    guides.loc[["B1", "E0"], "used"] = False
    guides.loc[["A2", "B1"], ["n_alignments", "gene"]] = 2, None
    guides.loc["A3", "n_alignments"] = pd.NA
    one, two, three, four, five, six, seven = (f"ACH-{number:06}" for number in range(1, 8))
    names = ["other", "3D", "1A", "1B", "2A", "2B", "failed", "3A", "excluded", "none"]
    lines = [one, one, one, one, two, two, two, three, None, None, four, five, six]
    sequences = sequence_map(list(zip([*names, "4A", "5A", "6A"], lines, strict=True)))
    sequences = sequences.set_index("sequence")
    sequences.loc["other", "library"] = "Other"
    sequences.loc[["other", "3D"], "screen_type"] = "3DO"
    sequences.loc[["3D", "failed", "6A"], "passes_qc"] = False
    sequences.loc[["failed", "excluded"], "excluded"] = True
    rna = pd.DataFrame(np.random.default_rng(1).random((7, 8)) * 5)
    rna.columns = [genes[letter] for letter in "ABCEFGHI"]
    rna[genes["G"]] = [9, 3, 3.01, 3, 3.01, 3, 3.01]
    rna.loc[2, genes["C"]] = np.nan
    with_rna = {"profile": list("pqrstuv"), "cell_line": [one, one, two, three, five, six, seven]}
    profiles = pd.DataFrame(with_rna | {"is_default": [False] + [True] * 6})
    of = Screen(guides.reset_index(), sequences.reset_index(), profiles, rna)
    logfc = table(of).assign(unknown=1.0)
    logfc.loc["X0"] = 2.0
    logfc.loc[["A4", "I0"]] = np.nan
    logfc.loc["H0", logfc.columns != "1A"] = np.nan
    logfc["5A"] = np.nan
    logfc.loc["A0", "3A"] = np.nan
    return of, logfc


EXPECTED_LOSSES = {
    "sequence": "failed quality control = failed 6A; library other than Lib = other; "
    "screen type other than 2DS = 3D; excluded by the release = excluded; no cell line = none; "
    "cell line: no RNA = 4A; cell line: no measurement = 5A; not in the sequence map = unknown",
    "guide": "alignments other than one = A2 A3; not used by the release = B1 E0; "
    "gene: RNA SD below 0.1 = G0 G1; no measurement = A4; gene: no RNA = D0; "
    "gene: measured in fewer than 2 cell lines = H0; gene: no measurement = I0; no gene = N0; "
    "not in the guide map = X0",
    "gene": "no RNA = DDD (4); no usable guide = EEE (5); no guide = FFF (6); "
    "RNA SD below 0.1 = GGG (7); measured in fewer than 2 cell lines = HHH (8); "
    "no measurement = III (9)",
    "cell line": "no RNA = ACH-000004; no measurement = ACH-000005; "
    "no usable sequence = ACH-000006; no sequence = ACH-000007",
    "RNA profile": "not the default of its cell line = p; cell line: no measurement = t; "
    "cell line: no usable sequence = u; cell line: no sequence = v",
    # Of 17 guides in 14 sequences, of which 6 are kept.
    "measurement": "sequence: failed quality control = 34; sequence: library other than Lib = 17; "
    "sequence: screen type other than 2DS = 17; sequence: excluded by the release = 17; "
    "sequence: no cell line = 17; cell line: no RNA = 17; "
    "sequence: not in the sequence map = 17; guide: alignments other than one = 12; "
    "guide: not used by the release = 12; gene: no RNA = 6; guide: no gene = 6; "
    "guide: not in the guide map = 6; missing value = 25; "
    "no RNA value for gene and cell line = 4; gene: RNA SD below 0.1 = 10; "
    "gene: measured in fewer than 2 cell lines = 1",
}


def test_every_loss_is_counted_under_its_first_reason_and_the_rest_is_the_design():
    of, logfc = messy_screen()
    _, losses = prepared(of, logfc, LIMITS)
    found: dict[str, list[str]] = {unit: [] for unit, _ in losses}
    for (unit, reason), loss in losses.items():
        found[unit].append(f"{reason} = {' '.join(loss.examples) or loss.count}")
    assert found == {unit: text.split("; ") for unit, text in EXPECTED_LOSSES.items()}
    logfc = logfc.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)
    design, _ = prepared(of, logfc, LIMITS)
    rna = of.rna.to_numpy()[[1, 2, 3]][:, [of.rna.columns.get_loc(gene) for gene in design.genes]].T
    measured = design.gene_count > 0
    mean, sd = (stat(rna, axis=1, where=measured) for stat in (np.mean, partial(np.std, ddof=1)))
    np.testing.assert_allclose(design.rna, (rna - mean[:, None]) / sd[:, None])
    np.testing.assert_allclose([design.rna_mean, design.rna_sd], [mean, sd])
    lines = [["1A", "1B"], ["2A", "2B"], ["3A"]]
    known, guides = ~np.isnan(rna[design.guide_gene]), list(design.guides)
    values = [
        logfc.loc[guides, own].where(known[:, [at] * len(own)]) for at, own in enumerate(lines)
    ]
    count = np.transpose([own.count(axis=1) for own in values])
    total = np.transpose([own.sum(axis=1) for own in values])
    np.testing.assert_array_equal(design.count, count)
    np.testing.assert_allclose(design.total, total)
    squares = [np.bincount(design.guide_gene, (own**2).sum(axis=1)) for own in values]
    np.testing.assert_allclose(design.sum_of_squares, np.transpose(squares))
    singles = design.measurements
    assert singles is not None and len(singles) == count.sum()
    by_pair = singles.groupby(["guide", "cell_line"])["logfc"].agg(["size", "sum"])
    pairs = tuple(np.transpose([*by_pair.index]))
    np.testing.assert_allclose(by_pair.to_numpy().T, [count[pairs], total[pairs]])
    np.testing.assert_array_equal(singles["rna"], design.rna[singles["gene"], singles["cell_line"]])
    np.testing.assert_array_equal(singles["gene"], design.guide_gene[singles["guide"]])


def test_single_measurements_are_kept_up_to_a_limit():
    for most, kept in ((48, True), (47, False)):
        limits = LOOSE.model_copy(update={"max_measurements_kept": most})
        design, _ = prepared(screen(), preparation=limits)
        assert ((design.measurements is not None), design.n_measurements) == (kept, 48)


def test_z_scores_and_the_first_lineage_are_used_as_they_are():
    models = {"cell_line": [LINES[1], LINES[0], LINES[0]], "lineage": ["Skin", "Lung", "Bone"]}
    names = ["A", None, "B"]
    of = replace(screen(), model_table=pd.DataFrame({**models, "cell_line_name": names}))
    design, _ = prepared(of, z_score=True)
    np.testing.assert_array_equal(design.rna, of.rna.to_numpy().T)
    np.testing.assert_allclose(design.rna_sd, of.rna.std(ddof=1))
    assert (design.rna_is_log2, design.lineage) == (False, ("Lung", "Skin", "", ""))
    assert design.line_labels == (LINES[0], f"{LINES[1]} (A)", *LINES[2:])


@pytest.mark.parametrize("units", ["log2_ratio_plus_1", "ratio"])
def test_copy_number_is_less_the_mean_of_its_gene_and_excludes_nothing(units):
    """Of the first gene a line is unknown, the second has two columns, the third lacks a line.

    A line has no default profile; a line and a gene are not in the screen.
    """
    of, (a, b, c) = screen(), GENES
    copies = pd.DataFrame({a: [1.0, np.nan, 3, 9, 5, 7], c: [4.0, 5, 6, 7, 9, 8], "X (9)": 1.0})
    copies = pd.concat([copies, pd.DataFrame({b: range(6)}), pd.DataFrame({b: range(6)})], axis=1)
    lines = [LINES[0], LINES[1], LINES[2], LINES[2], "ACH-000009", LINES[3]]
    profiles = pd.DataFrame({"profile": [*"pqrstu"], "cell_line": lines})
    default = [True, True, True, False, True, False]
    copy_numbers = CovariateTable(profiles.assign(is_default=default), copies)
    of = replace(of, covariates={"copy_number": copy_numbers})
    logfc = table(of)
    logfc.loc[["C0", "C1"], [f"{LINES[0]}_{letter}" for letter in "AB"]] = np.nan
    parameters = FitParameters(preparation=LOOSE)
    design, report = prepare(of, collect(of, logfc, parameters), parameters, "log2_tpm", units)
    x = np.log2(np.arange(9) + 1) if units == "ratio" else np.arange(9)
    one, two = (x[1] + x[3]) / 2, (x[5] + x[6]) / 2
    expected = [[x[1] - one, 0, x[3] - one, 0], [0] * 4, [x[4] - two, x[5] - two, x[6] - two, 0]]
    np.testing.assert_allclose(design.covariates["copy_number"], expected, atol=1e-15)
    np.testing.assert_allclose(design.covariate_means["copy_number"], [one, np.nan, two])
    assert (report.n_without_copy_number, design.genes) == (2 + 4 + 1, tuple(GENES))
    assert report.copy_number_note == "copy number unknown for 7 gene-line pairs"
    assert prepared(screen())[0].covariates == {}


def test_rna_has_to_vary_by_the_least_sd_and_at_all():
    of, least = screen(), float(np.std([0, 2, 0, 2], ddof=1))
    for rna, min_rna_sd, kept in (([0.0, 2.0, 0.0, 2.0], least, True), ([2.0] * 4, 0, False)):
        of.rna[GENES[1]] = rna
        design, _ = prepared(of, preparation=LOOSE.model_copy(update={"min_rna_sd": min_rna_sd}))
        assert (GENES[1] in design.genes) == kept


def test_parts_without_a_common_measurement_are_refused():
    """The first gene is measured in the first two lines, the second in the others."""
    of = screen()
    logfc = table(of)
    logfc.loc[["A0", "A1"], [f"{line}_{letter}" for line in LINES[2:] for letter in "AB"]] = np.nan
    logfc.loc[["B0", "B1"], [f"{line}_{letter}" for line in LINES[:2] for letter in "AB"]] = np.nan
    assert len(prepared(of, logfc)[0].genes) == 3
    apart = r"2 components; all but the largest: 1 genes \(AAA \(1\)\) x 2 cell lines .*filter to"
    with pytest.raises(PreparationError, match=apart):
        prepared(of, logfc, filters=Filters(genes=("AAA", "BBB")))


def test_replicates_that_are_copies_are_refused():
    of = screen()
    logfc = table(of)
    for line in LINES:
        logfc[f"{line}_B"] = logfc[f"{line}_A"]
    alone = logfc.assign(**{f"{LINES[0]}_B": np.nan})
    for copies in (logfc, logfc * 1e4, logfc * 0, alone):
        with pytest.raises(PreparationError, match="copies of each other; provide the table"):
            prepared(of, copies)
    logfc.iloc[0, 0] += 1e-3
    prepared(of, logfc)
    single = replace(of, sequence_map=of.sequence_map.iloc[: len(LINES)])
    assert len(prepared(single)[0].guides) == 6
