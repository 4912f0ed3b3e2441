"""Spoils of the complete release: tables that do not go together, controls, units, layouts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tests.property.releases import Release
from tests.spoiled.spoil import entry, frame, long_release, with_profiles

CONTROLS = "logfc+essential+nonessential"


def called_z_scores(of: Release) -> Release:
    """Give log2(TPM+1) as z-scores."""
    return replace(of, entries={"rna_units": "z_score"})


def z_scored(of: Release) -> Release:
    """Give RNA as z-scores."""
    return replace(called_z_scores(of), rna=(of.rna - of.rna.mean()) / of.rna.std())


def swapped(of: Release) -> Release:
    """Exchange the lists of control genes."""
    lists = {"essential": "nonessential", "nonessential": "essential"}
    return replace(of, others=of.others | {a: of.others[b] for a, b in lists.items()})


def with_values(table: pd.DataFrame, rows: Any, columns: Any, value: Any) -> pd.DataFrame:
    """Return a table in which some cells have this value."""
    table = table.copy()
    table.iloc[rows, columns] = value
    return table


def in_halves(logfc: pd.DataFrame) -> pd.DataFrame:
    """Return logFC of three genes in three lines, and of the others in the other lines."""
    rows, columns = np.indices(logfc.shape)
    return logfc.where((rows < 9) == (columns < 6))


def renamed(table: pd.DataFrame, first: int, label: str) -> pd.DataFrame:
    """Return RNA whose genes from the first one on have other labels."""
    names = [label.format(place) for place in range(first, table.shape[1])]
    return table.set_axis([*table.columns[:first], *names], axis=1)


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
    frame("two halves without a link", "logfc", "connected", in_halves,
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
    frame("missing RNA", "rna", "rna_missing", lambda rna: with_values(rna, 1, 3, np.nan), "3.3 %"),
    entry("log2(TPM+1) as z-scores", "rna", "rna_z_score_signed", "rna_units", "z_score"),
    frame("high log2(TPM+1) as z-scores", "rna", "rna_z_score",
          lambda rna: rna + 5, of=called_z_scores),
    frame("z-scores off centre", "rna", "rna_z_score_centred",
          lambda rna: rna.assign(**{"G1 (2)": rna["G1 (2)"] - 1.25}), "G1 (2): -1.2", of=z_scored),
    frame("a symbol of two genes", "rna", "rna_symbol_unique",
          lambda rna: rna.assign(**{"G1 (77)": rna["G1 (2)"] / 2}), "G1 (77)"),
    frame("two default profiles of a line", "rna", "one_default_profile",
          lambda rna: with_values(rna, 7, 3, "Yes"), "ACH-000001: 2", of=with_profiles),
    frame("no default profile", "rna", "default_profiles_exist",
          lambda rna: rna.assign(IsDefaultEntryForModel="No"), of=with_profiles),
    # Long tables
    frame("two RNA values of a gene in a line", "logfc", "rna_not_constant",
          lambda table: with_values(table, 9, 3, 0.5), "G0 in cell line line 3", of=long_release),
    frame("a repeated measurement", "logfc", "duplicate_measurement",
          lambda table: pd.concat([table, table.iloc[[9]]]), "on lines 11 and 50", of=long_release),
    frame("a measurement without a gene", "logfc", "missing_label",
          lambda table: with_values(table, 9, 0, None), "line 11", of=long_release),
)  # fmt: skip
