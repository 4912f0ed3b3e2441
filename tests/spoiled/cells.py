"""Spoils of single values: a cell of text, a number, a label of a matrix."""

from math import inf

from tests.spoiled.spoil import cell, number, row_label

GUIDE = "TGCATGCATGCATGCATGCA"
"""A guide that no release has."""
NO_GENES = ("SOX10", "SOX10 6663", "(6663)", "SOX 10 (6663)", "SOX10 (x)")
NO_LINES = ("A375", "ACH-1", "ach-000001", "ACH-0000011", "ACH 000001")
NO_FLAGS = ("maybe", "2", "yes?", "Y", "NO", "0.5", "none")
NO_GUIDES = ("ACGTNACGTACGTACGTACG", "ACGTACGTACGTACGTAC", "acgtacgtacgtacgtacgt", "ACGT" * 6)
NO_LABELS = tuple(f"{sign}SOX10 (6663)" for sign in "=+-@")
BLANKS = (" SOX10 (6663)", "SOX10 (6663) ")

CELLS = (
    cell("guide_map", "sgRNA", "guide", "guide_sequence", *NO_GUIDES),
    cell("guide_map", "sgRNA", "guide", "value_missing", None),
    cell("guide_map", "Gene", "gene", "gene_label", *NO_GENES),
    cell("guide_map", "Gene", "gene", "plain_label", *NO_LABELS),
    cell("guide_map", "Gene", "gene", "surrounding_blanks", *BLANKS),
    cell("guide_map", "nAlignments", "n_alignments", "whole_number", "one", "-1", "1.5", "1e0"),
    cell("guide_map", "UsedByChronos", "used", "flag", *NO_FLAGS),
    cell("sequence_map", "SequenceID", "sequence", "value_missing", None),
    cell("sequence_map", "SequenceID", "sequence", "plain_label", "=1+1"),
    cell("sequence_map", "ModelID", "cell_line", "value_missing", None),
    cell("sequence_map", "ModelID", "cell_line", "cell_line_id", *NO_LINES),
    cell("sequence_map", "ModelID", "cell_line", "surrounding_blanks", " ACH-000001"),
    cell("sequence_map", "PassesQC", "passes_qc", "flag", *NO_FLAGS),
    cell("model_table", "ModelID", "cell_line", "cell_line_id", *NO_LINES),
    cell("model_table", "OncotreeLineage", "lineage", "plain_label", "=1+1"),
    cell("nonessential", "Gene", "gene", "plain_label", *NO_LABELS),
    cell("expression_addictions", "Gene", "gene", "surrounding_blanks", *BLANKS),
    number("rna", "rna_finite", inf, -inf),
    number("rna", "rna_not_negative", -1e-9, -0.5, -30.0),
    number("rna", "rna_not_linear", 40.1, 500.0, 1e5),
    number("copy_number", "copy_number_finite", inf, -inf),
    number("copy_number", "copy_number_not_negative", -1e-9, -0.5),
    number("logfc", "logfc_finite", inf, -inf),
    number("logfc", "logfc_range", 15.1, -15.1, 1e5),
    row_label("rna", "cell_line", "cell_line_id", *NO_LINES),
    row_label("rna", "cell_line", "value_missing", ""),
    row_label("logfc", "guide", "guide_sequence", *NO_GUIDES),
    row_label("logfc", "", "value_missing", ""),
    row_label("logfc", "guide", "guide_in_map", GUIDE, reported="logfc+guide_map"),
)
