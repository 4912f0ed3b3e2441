"""Values of RNA and log fold change that no screen has."""

from __future__ import annotations

import pandas as pd

from tests.integration.spoilt.copies import Copy, breaks, with_profiles


@breaks("one_default_profile", "rna")
def two_rows_of_a_line(copy: Copy) -> None:
    frame = copy.read("rna")
    copy.write("rna", pd.concat([frame, frame.iloc[[0]]]))


@breaks("one_default_profile", "rna")
def two_default_profiles_of_a_line(copy: Copy) -> None:
    with_profiles(copy, lambda rna: rna["IsDefaultEntryForModel"].where(rna.index != 60, "Yes"))


@breaks("one_default_profile", "rna")
def a_line_without_a_default_profile(copy: Copy) -> None:
    with_profiles(copy, lambda rna: rna["IsDefaultEntryForModel"].where(rna.index != 3, "No"))


@breaks("default_profiles_exist", "rna")
def no_default_profile_at_all(copy: Copy) -> None:
    with_profiles(copy, lambda rna: pd.Series("No", rna.index))


@breaks("flag", "rna")
def a_default_that_is_no_flag(copy: Copy) -> None:
    with_profiles(copy, lambda rna: rna["IsDefaultEntryForModel"].where(rna.index != 3, "Perhaps"))


@breaks("cell_line_id", "rna")
def rna_of_a_line_by_its_name(copy: Copy) -> None:
    copy.set("rna", 3, "", "A375_SKIN")


@breaks("gene_label", "rna")
def rna_of_a_gene_without_its_number(copy: Copy) -> None:
    frame = copy.read("rna")
    copy.write("rna", frame.rename(columns={frame.columns[3]: "AKT1"}))


@breaks("rna_gene_unique", "rna")
def two_genes_of_one_number(copy: Copy) -> None:
    frame = copy.read("rna")
    number = frame.columns[3].split(" ")[1]
    copy.write("rna", frame.rename(columns={frame.columns[4]: f"OTHER {number}"}))


@breaks("not_a_number", "rna")
def text_among_the_rna(copy: Copy) -> None:
    copy.set("rna", 3, 3, "high")


@breaks("rna_not_negative", "rna")
def negative_rna(copy: Copy) -> None:
    copy.set("rna", 3, 3, "-0.2")


@breaks("rna_not_linear", "rna")
def linear_tpm(copy: Copy) -> None:
    frame = copy.read("rna")
    values = 2 ** frame.iloc[:, 1:].astype(float) - 1
    copy.write("rna", pd.concat([frame[[""]], values], axis=1))


@breaks("rna_finite", "rna")
def infinite_rna(copy: Copy) -> None:
    copy.set("rna", 3, 3, "inf")


@breaks("rna_z_score", "rna", also=("rna_z_score_signed",))
def log2_tpm_called_z_scores(copy: Copy) -> None:
    copy.entries["rna_units"] = "z_score"


@breaks("rna_z_score_signed", "rna")
def small_log2_tpm_called_z_scores(copy: Copy) -> None:
    frame = copy.read("rna")
    copy.entries["rna_units"] = "z_score"
    copy.write("rna", pd.concat([frame[[""]], frame.iloc[:, 1:].astype(float) / 2], axis=1))


@breaks("rna_gene_known", "rna")
def a_gene_without_any_rna(copy: Copy) -> None:
    copy.set("rna", slice(None), 3, "")


@breaks("rna_profile_known", "rna")
def a_line_without_any_rna(copy: Copy) -> None:
    frame = copy.read("rna")
    frame.iloc[3, 1:] = ""
    copy.write("rna", frame)


@breaks("not_a_number", "logfc")
def text_among_the_log_fold_changes(copy: Copy) -> None:
    copy.set("logfc", 3, 3, "#DIV/0!")


@breaks("logfc_finite", "logfc")
def an_infinite_log_fold_change(copy: Copy) -> None:
    copy.set("logfc", 3, 3, "-inf")


@breaks("logfc_range", "logfc")
def a_log_fold_change_no_screen_has(copy: Copy) -> None:
    copy.set("logfc", 3, 3, "-15.5")


@breaks("logfc_range", "logfc", also=("controls_separated",))
def counts_for_log_fold_changes(copy: Copy) -> None:
    frame = copy.read("logfc").replace("", "nan")
    values = (500 * 2 ** frame.iloc[:, 1:].astype(float)).round()
    copy.write("logfc", pd.concat([frame[[""]], values], axis=1))


@breaks("guide_measured", "logfc")
def a_guide_without_any_value(copy: Copy) -> None:
    frame = copy.read("logfc")
    frame.iloc[3, 1:] = ""
    copy.write("logfc", frame)


@breaks("sequence_measured", "logfc")
def a_sequence_without_any_value(copy: Copy) -> None:
    copy.set("logfc", slice(None), 3, "")
