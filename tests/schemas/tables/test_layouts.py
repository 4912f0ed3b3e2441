"""Every published header is recognised; what is no table, or none of ours, is refused by name."""

import pytest

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.layouts import (
    NUMBER,
    check_head,
    name_columns,
    parse_header,
    recognise,
)

PROFILES = ",SequencingID,ModelConditionID,ModelID,IsDefaultEntryForMC,IsDefaultEntryForModel"
HEADERS: list[tuple[TableName, str, str]] = [
    ("logfc", "current", ",A2058_RepA,A2058_RepB"),
    ("logfc", "older", "Construct Barcode,A2058_RepA,A2058_RepB"),
    ("logfc", "long", "gene,cell_line,guide,replicate,logfc"),
    ("logfc", "long_simulated", "gene,cell_line,rna,sgrna_idx,logfc"),
    ("logfc", "long_simulated", ",gene,cell_line,rna,sgrna_idx,logfc"),
    ("logfc", "long_modelling_frame", "sgrna,replicate_id,lfc,hugo_symbol,depmap_id,rna_expr"),
    ("guide_map", "current", "sgRNA,GenomeAlignment,Gene,nAlignments,UsedByChronos,DropReason"),
    ("guide_map", "older", "sgrna,genome_alignment,gene,n_alignments"),
    (
        "sequence_map",
        "current",
        "SequenceID,ScreenID,ModelConditionID,ModelID,ScreenType,Library,Days,pDNABatch,PassesQC,"
        "ExcludeFromCRISPRCombined,Replicate",
    ),
    ("sequence_map", "older", "replicate_ID,DepMap_ID,pDNA_batch,passes_QC"),
    ("rna", "one_profile", ",SOX10 (6663),MYB (4602)"),
    ("rna", "several_profiles", f"{PROFILES},SOX10 (6663)"),
    *(("rna", "one_profile", f"{name},SOX10 (6663)") for name in ("V1", "X", "...1", "row.names")),
    ("rna", "one_profile_named", "ModelID,SOX10 (6663)"),
    ("logfc", "long_sgrna", "gene,cell_line,sgrna,logfc"),
    ("copy_number", "one_profile", ",SOX10 (6663)"),
    ("copy_number", "several_profiles", f"{PROFILES},SOX10 (6663)"),
    ("model_table", "current", "ModelID,PatientID,CellLineName,OncotreeLineage"),
    ("model_table", "older", "DepMap_ID,cell_line_name,lineage,sex"),
    ("nonessential", "older", "gene"),
    ("expression_addictions", "current", "Gene"),
]


@pytest.mark.parametrize(("table", "layout", "header"), HEADERS)
def test_each_published_header_is_recognised(table: TableName, layout: str, header: str):
    found = recognise(table, "x.csv", name_columns(header.split(",")))
    assert (found.name, found.table) == (layout, table)


OF_GUIDES = (
    "expected the columns of one of [current: sgRNA, Gene, nAlignments, UsedByChronos] "
    "[older: sgrna, gene, n_alignments], got "
)
RENAME = "; name the right file or rename its columns"


@pytest.mark.parametrize(
    ("table", "header", "words"),
    [
        ("guide_map", "sgrna,a,b,c,d,e,f,g,h,i,j,k,l",
         f"{OF_GUIDES}sgrna, a, b, c, d, e, f, g, h, i, j, k, ... (13 columns); for older it lacks "
         f"gene, n_alignments{RENAME}"),
        ("rna", "a,b", "IsDefaultEntryForModel, one column per gene] [one_profile: (unnamed), one "
         f"column per gene] [one_profile_named: ModelID, one column per gene], got a, b{RENAME}"),
        ("rna", "depmap_id,cell_line_display_name,SOX10", "in place of a custom download of the"),
        ("rna", ",SequencingID,ModelID,SOX10 (6663)", "it lacks IsDefaultEntryForModel"),
        ("logfc", ",gene,cell_line,rna,sgrna_idx", "for long_simulated it lacks logfc"),
        ("logfc", "A,", "got A, (unnamed)"),  # row labels come first
        ("guide_map", "sgrna,gene,n_alignments,sgrna,gene",
         "expected each column once, got twice: sgrna, gene; delete or rename one of them"),
    ],
)  # fmt: skip
def test_another_header_is_answered_with_the_expected_ones(
    table: TableName, header: str, words: str
):
    with pytest.raises(TableFormatError) as refused:
        recognise(table, "x.csv", header.split(","))
    error = refused.value
    assert words in f"{error.message}; {error.remedy}"
    rule = "duplicate_column" if "twice" in words else "unknown_layout"
    assert (error.table, error.location, error.rule) == (table, "x.csv", rule)


@pytest.mark.parametrize(
    ("head", "rule", "words"),
    [
        (b"\xef\xbb\xbf \r\n", "empty_file", ""),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "html_page", ""),
        (b"<html>\xe9" + b"a" * 50, "html_page", f"begins '<html>\ufffd{'a' * 33}'; download"),
        (b"PAR1\x15", "wrong_format", "got a Parquet file"),
        (b"a;b\n1;2\n", "wrong_delimiter", "the header has semicolons"),
    ],
)
def test_what_is_no_table_is_named(head: bytes, rule: str, words: str):
    with pytest.raises(TableFormatError) as refused:
        check_head("logfc", "x.csv", head)
    error = refused.value
    assert (error.table, error.location, error.rule) == ("logfc", "x.csv", rule)
    assert words in f"{error.message}; {error.remedy}"


@pytest.mark.parametrize(
    "head", [b"Gene\nA\nA\n", b",HB11;19_RepA\nACGT,1\n", b"a,b\r\n1,2", b"Gene\nA;B\nC\tD\n"]
)
def test_a_table_is_accepted(head: bytes):
    check_head("logfc", "x.csv", head)


def test_a_header_is_parsed_as_csv():
    assert parse_header("logfc", "x.csv", b'\xef\xbb\xbf"","a,b", c \r\n') == ("", "a,b", " c ")
    assert parse_header("logfc", "x.csv", b"\xef\xbb\xbfa,b") == ("a", "b")
    assert parse_header("logfc", "x.csv", b"\n") == ("",)
    assert name_columns(["Unnamed: 0", "index"]) == ("", "index")
    assert name_columns(["__index_level_0__"]) == name_columns(["index"]) == ("",)


def test_numbers_are_what_tables_write():
    for text in ("1", "-1.5", "+2.", ".5", "1e-5", ".5E+3", "-INF", "infinity", " 3 "):
        assert NUMBER.fullmatch(text), text
    for text in ("1_000", "1,5", "0x12", "--1", "e5", "#REF!", ".", "1.5.2", "1e", "\xa01"):
        assert not NUMBER.fullmatch(text), text
