"""Files that are cut off, of another kind, or without what the contract names."""

from __future__ import annotations

import gzip

import pandas as pd

from tests.integration.spoilt.copies import Copy, breaks


@breaks("html_page", "guide_map")
def a_web_page_saved_as_the_guide_map(copy: Copy) -> None:
    copy.path("guide_map").write_text("<!DOCTYPE html>\n<html><body>Log in</body></html>\n")


@breaks("html_page", "logfc")
def an_error_page_saved_as_the_logfc_table(copy: Copy) -> None:
    copy.path("logfc").write_text("\n<html><head><title>404</title></head></html>\n")


@breaks("truncated", "logfc")
def a_compressed_file_cut_off(copy: Copy) -> None:
    packed = gzip.compress(copy.path("logfc").read_bytes())
    copy.rename("logfc", "AvanaLogfoldChange.csv.gz")
    copy.path("logfc").write_bytes(packed[: len(packed) // 2])


@breaks("truncated", "rna")
def a_text_file_cut_off_within_a_row(copy: Copy) -> None:
    copy.rewrite("rna", lambda content: content[: len(content) * 2 // 3])


@breaks("truncated", "logfc")
def a_text_file_cut_off_within_its_last_number(copy: Copy) -> None:
    copy.rewrite("logfc", lambda content: content[:-5])


@breaks("guides_retained", "logfc+guide_map")
def a_text_file_cut_off_between_two_rows(copy: Copy) -> None:
    frame = copy.read("logfc").sort_values("")
    copy.write("logfc", frame.iloc[: len(frame) * 3 // 4])


@breaks("uneven_rows", "logfc")
def a_row_with_a_column_too_many(copy: Copy) -> None:
    lines = copy.path("logfc").read_text().splitlines()
    lines[9] += ",0.1"
    copy.path("logfc").write_text("\n".join(lines) + "\n")


@breaks("wrong_delimiter", "guide_map")
def tabs_for_commas(copy: Copy) -> None:
    copy.rewrite("guide_map", lambda content: content.replace(b",", b"\t"))


@breaks("wrong_delimiter", "sequence_map")
def semicolons_for_commas(copy: Copy) -> None:
    copy.rewrite("sequence_map", lambda content: content.replace(b",", b";"))


@breaks("missing_file", "rna")
def a_file_that_is_not_there(copy: Copy) -> None:
    copy.path("rna").unlink()


@breaks("empty_file", "sequence_map")
def an_empty_file(copy: Copy) -> None:
    copy.path("sequence_map").write_text("")


@breaks("table_empty", "guide_map")
def a_guide_map_of_a_header_alone(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").iloc[:0])


@breaks("table_empty", "logfc")
def a_logfc_table_of_a_header_alone(copy: Copy) -> None:
    copy.write("logfc", copy.read("logfc").iloc[:0])


@breaks("unknown_layout", "guide_map")
def columns_of_other_names(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").rename(columns={"sgRNA": "barcode"}))


@breaks("unknown_layout", "sequence_map")
def a_sequence_map_without_quality_control(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").drop(columns="PassesQC"))


@breaks("unknown_layout", "rna")
def a_parquet_file_with_other_columns(copy: Copy) -> None:
    copy.rename("rna", "rna.parquet")
    pd.DataFrame({"line": ["ACH-000004"], "value": [1.0]}).to_parquet(copy.path("rna"))


@breaks("damaged_file", "rna")
def a_parquet_file_of_noise(copy: Copy) -> None:
    copy.rename("rna", "rna.parquet")
    copy.path("rna").write_bytes(bytes(range(256)) * 8)


@breaks("wrong_format", "guide_map")
def a_workbook_saved_as_csv(copy: Copy) -> None:
    copy.path("guide_map").write_bytes(b"PK\x03\x04" + bytes(200))


@breaks("unknown_suffix", "guide_map")
def a_suffix_nobody_reads(copy: Copy) -> None:
    copy.rename("guide_map", "AvanaGuideMap.xlsx")


@breaks("repeated_header", "sequence_map")
def a_header_standing_twice(copy: Copy) -> None:
    copy.rewrite("sequence_map", lambda content: content.split(b"\n", 1)[0] + b"\n" + content)


@breaks("duplicate_column", "guide_map")
def a_column_standing_twice(copy: Copy) -> None:
    frame = copy.read("guide_map")
    copy.write("guide_map", frame.set_axis([*frame.columns[:-1], "Gene"], axis=1))


@breaks("not_utf8", "sequence_map")
def another_encoding(copy: Copy) -> None:
    copy.rewrite("sequence_map", lambda content: content.replace(b"HEL-311", b"H\xc9L-311"))


@breaks("missing_table", "sequence_map")
def no_sequence_map_named(copy: Copy) -> None:
    del copy.files["sequence_map"]
