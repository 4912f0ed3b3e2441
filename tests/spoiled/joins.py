"""Spoils of the complete release: tables that do not go together, controls, units, layouts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from schemas.tables.matching import r_name
from tests.property.releases import Release
from tests.spoiled.spoil import entry, frame, long_release, wide_release, with_profiles

CONTROLS = "logfc+essential+nonessential"


def called_z_scores(of: Release) -> Release:
    return replace(of, entries={"rna_units": "z_score"})


def z_scored(of: Release) -> Release:
    return replace(called_z_scores(of), rna=(of.rna - of.rna.mean()) / of.rna.std())


def many_lines(table: pd.DataFrame, n_lines: int) -> pd.DataFrame:
    """Return a matrix of many lines, each with values of the first ones."""
    rows = table.iloc[np.arange(n_lines) % len(table)]
    return rows.set_axis([f"ACH-{line:06}" for line in range(n_lines)])


def swapped(of: Release) -> Release:
    lists = {"essential": "nonessential", "nonessential": "essential"}
    return replace(of, others=of.others | {a: of.others[b] for a, b in lists.items()})


def with_values(table: pd.DataFrame, rows: Any, columns: Any, value: Any) -> pd.DataFrame:
    table = table.copy()
    table.iloc[rows, columns] = value
    return table


def in_halves(matrix: pd.DataFrame, n_rows: int, n_columns: int) -> pd.DataFrame:
    """Return a matrix of the first rows in the first columns, and of the others in the others."""
    rows, columns = np.indices(matrix.shape)
    return matrix.where((rows < n_rows) == (columns < n_columns))


def renamed(table: pd.DataFrame, first: int, label: str) -> pd.DataFrame:
    names = [label.format(place) for place in range(first, table.shape[1])]
    return table.set_axis([*table.columns[:first], *names], axis=1)


def of_many_genes(rna: pd.DataFrame) -> pd.DataFrame:
    """Return RNA of four times the genes, the others with longer numbers."""
    longer = [rna.set_axis([f"{str(gene)[:-1]}{end})" for gene in rna], axis=1) for end in "678"]
    return pd.concat([rna, *longer], axis=1)


def standardised(table: pd.DataFrame) -> pd.DataFrame:
    return table.sub(table.mean(axis=1), axis=0).div(table.std(axis=1), axis=0)


def of_many_guides(of: Release) -> Release:
    """Give each gene forty times its guides: a column then shows what it is."""
    letters = ["".join("ACGT"[place // 4**digit % 4] for digit in range(5)) for place in range(40)]
    guides = pd.concat(
        [of.guide_map.assign(sgRNA=of.guide_map["sgRNA"].str[:15] + end) for end in letters]
    )
    logfc = pd.concat([of.logfc + 0.01 * place for place in range(40)])
    return replace(of, guide_map=guides, logfc=logfc.set_axis(guides["sgRNA"]))


def noise(n_rows: int, n_columns: int) -> Any:
    """Return numbers of four decimals near 0."""
    return np.random.default_rng(5).normal(0, 0.8, (n_rows, n_columns)).round(4)


def filled(rna: pd.DataFrame) -> pd.DataFrame:
    rna = rna.clip(lower=0)
    for gene in (1, 3):
        rna = with_values(rna, slice(4 * gene, 4 * gene + 4), gene, rna.iloc[:, gene].mean())
    return rna


def hundredths(rna: pd.DataFrame) -> pd.DataFrame:
    return rna * 0 + np.arange(1, rna.size + 1).reshape(rna.shape) / 100


MAP = "logfc+guide_map"
JOINS = (
    # The maps and the logFC table
    frame("a table cut off between two rows", "logfc", "guides_retained",
          lambda logfc: logfc.iloc[:12], reported=MAP),
    frame("a lost guide", "logfc", "guides_lost",
          lambda logfc: logfc.drop(index=logfc.index[4]), reported=MAP),
    frame("a guide without a gene", "guide_map", "guides_without_gene",
          lambda guides: guides.assign(Gene=guides["Gene"].where(guides.index != 4))),
    frame("a gene of one guide", "guide_map", "guides_per_gene",
          lambda guides: guides.assign(UsedByChronos=~guides.index.isin([4, 5, 15])),
          "G1 (2): 1", reported=MAP),
    frame("a repeated sequence", "logfc", "logfc_sequence_unique",
          lambda logfc: logfc.set_axis([*logfc.columns[:-2], *logfc.columns[:2]], axis=1),
          "ACH-000000 r1"),
    frame("a sequence that its map does not have", "sequence_map", "sequence_in_map",
          lambda sequences: sequences.iloc[1:], "ACH-000000 r0", reported="logfc+sequence_map"),
    frame("a copied sequence", "logfc", "sequence_copied",
          lambda logfc: logfc.assign(**{"ACH-000002 r0": logfc["ACH-000000 r1"]}),
          "ACH-000000 r1 = ACH-000002 r0"),
    frame("a missing log fold change", "logfc", "logfc_missing",
          lambda logfc: with_values(logfc, 3, 2, np.nan), "0.48 % of 208 values"),
    # Values that are no log fold changes
    frame("ratios for their logarithms", "logfc", "logfc_signed",
          lambda logfc: 2**logfc, "their median 0.65"),
    frame("log counts for log fold changes", "logfc", "logfc_signed",
          lambda logfc: (logfc + 5).clip(lower=0), "smallest of the values is 0"),
    frame("counts", "logfc", "logfc_not_counts", lambda logfc: (logfc * 4).round()),
    frame("one column of ratios", "logfc", "logfc_both_signs",
          lambda logfc: logfc.assign(**{"ACH-000000 r0": np.exp2(logfc["ACH-000000 r0"])}),
          "'ACH-000000 r0': median", of=of_many_guides),
    frame("a column of zeros", "logfc", "sequence_constant",
          lambda logfc: with_values(with_values(logfc, slice(None), 3, 0.0), 1, 3, np.nan),
          ": 0 in every guide"),
    frame("a row of zeros", "logfc", "guide_constant",
          lambda logfc: with_values(logfc, 4, slice(None), 0.0), "0 in every column"),
    frame("zeros for missing values", "logfc", "logfc_zeros",
          lambda logfc: logfc.where(logfc.abs() > 0.2, 0.0), "of the values"),
    frame("log fold changes standardised by guide", "logfc", "logfc_not_z_score", standardised,
          "every row"),
    frame("log fold changes standardised by sequence", "logfc", "logfc_not_z_score",
          lambda logfc: standardised(logfc.T).T, "every column"),
    # Their join with RNA and with the model table
    frame("two of six lines in common", "rna", "cell_lines_retained",
          lambda rna: rna.set_axis([*rna.index[:2], *(f"ACH-9{row:05}" for row in range(4))]),
          reported="sequence_map+rna"),
    frame("a line without RNA", "rna", "cell_lines_lost",
          lambda rna: rna.rename(index={"ACH-000002": "ACH-900000"}),
          "ACH-000002", reported="sequence_map+rna"),
    frame("two of five genes in common", "rna", "genes_retained",
          lambda rna: renamed(rna, 2, "N{0} (9{0})"), reported="guide_map+rna"),
    frame("a gene that RNA does not have", "rna", "genes_lost",
          lambda rna: renamed(rna, 4, "N{0} (9{0})"), "G4 (5)", reported="guide_map+rna"),
    frame("a line of no model", "model_table", "cell_lines_in_model_table",
          lambda models: models.iloc[1:], "ACH-000000"),
    frame("a repeated model", "model_table", "cell_line_unique",
          lambda models: pd.concat([models, models.iloc[[3]]]), "line 8: 'ACH-000003'"),
    frame("too few lines for any gene", "sequence_map", "genes_left",
          lambda sequences: sequences.assign(PassesQC=sequences.index < 4),
          "5 genes and 2 cell lines in all tables", reported="logfc+guide_map+rna"),
    frame("too few lines for one gene", "logfc", "cell_lines_per_gene",
          lambda logfc: with_values(logfc, slice(3, 6), slice(4, 12), np.nan),
          "G1 (2): 2", reported="logfc+rna"),
    frame("two halves without a link", "logfc", "connected",
          lambda logfc: in_halves(logfc, 9, 6),
          "2 genes (G3 (4), G4 (5)) x 3 cell lines (ACH-000003, ACH-000004, ACH-000005)",
          reported="logfc+rna"),
    frame("two halves without a link by RNA", "rna", "connected",
          lambda rna: in_halves(rna, 3, 3),
          "2 genes (G3 (4), G4 (5)) x 3 cell lines (ACH-000003, ACH-000004, ACH-000005)",
          reported="logfc+rna"),
    # Controls
    frame("exchanged lists of controls", "essential", "controls_separated",
          lambda genes: genes, of=swapped, reported=CONTROLS),
    frame("controls of another species", "essential", "controls_found",
          lambda _: pd.DataFrame({"Gene": ["Rpl3 (27367)", "Polr2a (20020)"]}),
          "Polr2a (20020)", reported="essential+guide_map"),
    frame("essential genes without a value", "logfc", "controls_measured",
          lambda logfc: with_values(logfc, slice(0, 6), slice(0, -1), np.nan),
          reported="logfc+essential"),
    # RNA: units, genes and profiles
    frame("high RNA", "rna", "rna_high", lambda rna: with_values(rna, 1, 3, 20.5), "G3 (4): 20.5"),
    frame("RNA a little above its limit", "rna", "rna_not_linear",
          lambda rna: with_values(rna, 1, 3, 40.0000001), "line 3, G3 (4): 40.0000001"),
    frame("missing RNA", "rna", "rna_missing", lambda rna: with_values(rna, 1, 3, np.nan), "3.3 %"),
    entry("log2(TPM+1) as z-scores", "rna", "rna_z_score_signed", "rna_units", "z_score"),
    frame("high log2(TPM+1) as z-scores", "rna", "rna_z_score",
          lambda rna: rna + 5, of=called_z_scores),
    frame("z-scores off centre", "rna", "rna_z_score_centred",
          lambda rna: rna.assign(**{"G1 (2)": rna["G1 (2)"] - 1.25}), "G1 (2): -1.2", of=z_scored),
    frame("a symbol of two genes", "rna", "rna_symbol_unique",
          lambda rna: rna.assign(**{"G1 (77)": rna["G1 (2)"] / 2}), "G1 (77)"),
    frame("a profile of zeros", "rna", "rna_profile_constant",
          lambda rna: with_values(rna, 2, slice(None), 0.0), "ACH-000002: 0 in every gene"),
    frame("a profile of one value", "rna", "rna_profile_constant",
          lambda rna: with_values(rna, 2, slice(4, None), 7.5), "7.5 in every gene",
          of=with_profiles),
    frame("a copied profile, rounded", "rna", "rna_profile_copied",
          lambda rna: with_values(rna, 2, slice(None), rna.iloc[4].round(2)),
          "line 4, ACH-000002 = line 6, ACH-000004"),
    frame("a profile mostly of zeros", "rna", "rna_zeros",
          lambda rna: with_values(of_many_genes(rna), 2, slice(4, None), 0.0), "ACH-000002: 80%"),
    frame("RNA of one gene under two labels", "rna", "rna_gene_copied",
          lambda rna: rna.assign(**{"G1 (2)": rna["G2 (3)"]}), "G1 (2) = G2 (3)"),
    frame("log counts as RNA", "rna", "rna_not_tpm", lambda rna: rna + 20, "in 5 genes"),
    frame("log counts in one profile", "rna", "rna_profile_not_tpm",
          lambda rna: with_values(rna, 2, slice(None), rna.iloc[2] + 19), "line 4, ACH-000002"),
    frame("log10 as log2", "rna", "rna_low",
          lambda rna: many_lines(rna, 40) * np.log10(2), "the largest is"),
    frame("natural logarithms as log2", "rna", "rna_not_log2",
          lambda rna: hundredths(rna).map(np.log1p), "100% are as ln(TPM+1)"),
    frame("decimal logarithms as log2", "rna", "rna_not_log2",
          lambda rna: hundredths(rna).add(1).map(np.log10).round(4), "as log10(TPM+1)"),
    frame("log2 of counts in a few genes", "rna", "rna_like_counts",
          lambda rna: (hundredths(rna) * 100).add(1).map(np.log2), "100% of the low values"),
    frame("means for missing RNA", "rna", "rna_filled",
          lambda rna: filled(many_lines(rna, 40) + noise(40, 5)), "in 4 of 40 lines"),
    frame("means for a missing profile", "rna", "rna_filled",
          lambda rna: with_values(rna, 2, slice(None), rna.drop(rna.index[2]).mean().round(5)),
          "line 4, ACH-000002: the mean of every gene"),
    frame("means for missing z-scores", "rna", "rna_filled",
          lambda rna: with_values(many_lines(rna, 40) + noise(40, 5), slice(0, 4), slice(3), 0.0),
          "0 in 4 of 40 lines", of=z_scored),
    frame("gene effects as z-scores", "rna", "rna_z_score_scaled",
          lambda rna: many_lines(rna, 40) / 10, "the median over genes is 0.", of=z_scored),
    frame("two default profiles of a line", "rna", "one_default_profile",
          lambda rna: with_values(rna, 7, 3, "Yes"), "ACH-000001: 2", of=with_profiles),
    frame("a line without a default profile", "rna", "no_default_profile",
          lambda rna: with_values(rna, 1, 3, "No"), "ACH-000001", of=with_profiles),
    frame("no default profile", "rna", "default_profiles_exist",
          lambda rna: rna.assign(IsDefaultEntryForModel="No"), of=with_profiles),
    # Copy number: units, genes, values, and the other tables
    frame("copy number as RNA", "rna", "rna_like_copy_number", lambda rna: rna / 30 + 0.75, "100%"),
    frame("absolute copy number as RNA", "rna", "rna_not_copy_number",
          lambda rna: (rna / 3).round() + 1, "whole numbers"),
    frame("RNA as copy number", "copy_number", "copy_number_not_rna",
          lambda copies: copies * 3, "0% within 0.5 of 1"),
    frame("absolute copy number", "copy_number", "copy_number_not_absolute",
          lambda copies: copies.round() * 2, "median 2"),
    frame("ratios as log2", "copy_number", "copy_number_not_ratio",
          lambda copies: with_values(copies, 1, 3, 10.5), "largest 10.5"),
    frame("log2 as ratios", "copy_number", "copy_number_not_log2",
          lambda copies: many_lines(copies, 10_000), "100% within",
          of=lambda of: replace(of, entries={"copy_number_units": "ratio"})),
    frame("a high copy number", "copy_number", "copy_number_high",
          lambda copies: with_values(copies, 1, 3, 7.5), "G3 (4): 7.5"),
    frame("no copy number", "copy_number", "copy_number_known", lambda copies: copies * np.nan),
    frame("missing copy number", "copy_number", "copy_number_missing",
          lambda copies: with_values(copies, slice(None), 3, np.nan), "1 genes without any"),
    frame("copy number of a gene without number", "copy_number", "copy_number_gene_label",
          lambda copies: copies.assign(ENSG00000182378_PAR_Y=1.0), "ENSG00000182378_PAR_Y"),
    frame("copy number of a gene twice", "copy_number", "copy_number_gene_unique",
          lambda copies: pd.concat([copies, copies[["G1 (2)"]]], axis=1), "G1 (2)"),
    frame("copy number of other genes", "copy_number", "covariate_retained",
          lambda copies: renamed(copies, 2, "N{0} (9{0})"), "G2 (3)"),
    frame("lines without copy number", "copy_number", "covariate_lost",
          lambda copies: copies.iloc[2:], "ACH-000001"),
    # Long tables
    frame("two RNA values of a gene in a line", "logfc", "rna_not_constant",
          lambda table: with_values(table, 9, 3, 0.5), "G0 in cell line line 3", of=long_release),
    frame("a repeated measurement", "logfc", "duplicate_measurement",
          lambda table: pd.concat([table, table.iloc[[9]]]), "on lines 11 and 50", of=long_release),
    # Labels that seem to mean another thing
    frame("a line in two spellings", "logfc", "similar_labels",
          lambda table: table.replace({"cell_line": {"line 1": "LINE-2"}}),
          "'LINE-2' = 'line 2'", of=long_release),
    frame("a gene with a Cyrillic letter", "logfc", "similar_labels",
          lambda table: table.assign(gene=["\u0421" + "CND1" if i < 6 else "CCND1"
                                           if i < 12 else f"G{i // 12}" for i in range(48)]),
          r"'\u0421CND1' = 'CCND1'", of=long_release),
    frame("sequences by numbers and decimals", "logfc", "similar_labels",
          lambda logfc: logfc.set_axis(["7", "7.0", *logfc.columns[2:]], axis=1), "'7' = '7.0'"),
    frame("a gene that is a date", "guide_map", "spreadsheet_label",
          lambda guides: guides.replace({"Gene": {"G4 (5)": "1-Mar (5)"}}), "1-Mar (5)"),
    frame("genes that are numbers", "logfc", "spreadsheet_label",
          lambda table: table.replace({"gene": {"G1": "44256", "G2": "2.31E+13"}}), "44256",
          of=long_release),
    frame("a gene of another symbol in RNA", "rna", "genes_matched",
          lambda rna: rna.rename(columns={"G4 (5)": "NEW4 (5)"}), "NEW4 (5) = G4 (5)",
          reported="rna+guide_map"),
    frame("columns named as replicates of lines", "logfc", "replicates_matched",
          lambda logfc: logfc, "ACH-000000 r1 of ACH-000000", of=wide_release),
    frame("columns that are no lines", "logfc", "missing_table",
          lambda logfc: logfc.rename(columns=lambda name: name.replace("ACH", "line")),
          "is a cell line of RNA (ACH-000000", of=wide_release, reported="sequence_map"),
    frame("a symbol of two genes in RNA", "rna", "genes_ambiguous",
          lambda rna: rna.assign(**{"G0 (77)": rna["G0 (1)"] + 1}),
          "G0 = G0 (1) or G0 (77)", of=wide_release, reported="logfc+rna"),
    frame("sequences named by R", "logfc", "sequences_matched",
          lambda logfc: logfc.rename(columns=r_name),
          "ACH.000000.r0 = ACH-000000 r0", reported="logfc+sequence_map"),
    frame("unnumbered replicates in a long table", "logfc", "replicates_numbered",
          lambda table: pd.concat([table, table.assign(logfc=table["logfc"] + 0.1)]),
          "96 rows of 48 guides", of=long_release),
    frame("two libraries in a long table", "logfc", "one_screen",
          lambda table: table.assign(Library=["A", "B"] * 24), "A: ", of=long_release),
    frame("a treatment in a long table", "logfc", "one_condition",
          lambda table: pd.concat([table.assign(replicate=arm, Treatment=arm)
                                   for arm in ("none", "MEKi")]),
          "line 0: none, MEKi", of=long_release),
    frame("two time points of a line", "sequence_map", "one_condition",
          lambda sequences: sequences.assign(Days=[7, 21, *[21] * (len(sequences) - 2)]),
          "ACH-000000: 7, 21"),
    frame("time points in labels of sequences", "logfc", "one_condition",
          lambda table: pd.concat([table.assign(replicate=f"D{day}") for day in (7, 21)]),
          "line 0: 7, 21", of=long_release),
    frame("a measurement without a gene", "logfc", "missing_label",
          lambda table: with_values(table, 9, 0, None), "line 11", of=long_release),
)  # fmt: skip
