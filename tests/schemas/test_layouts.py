"""Every published header is told from the others; what is no table is named for what it is."""

from __future__ import annotations

import pytest

from schemas.layouts import (
    LAYOUTS,
    NUMBER,
    check_head,
    free_labels,
    known_file_stems,
    name_columns,
    parse_header,
    recognise,
)
from schemas.screen import (
    GUIDE_MAP_COLUMNS,
    MODEL_TABLE_COLUMNS,
    PROFILE_COLUMNS,
    SEQUENCE_MAP_COLUMNS,
    TableFormatError,
    TableName,
)

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
    (
        "rna",
        "several_profiles",
        ",SequencingID,ModelConditionID,ModelID,IsDefaultEntryForMC,IsDefaultEntryForModel,"
        "SOX10 (6663)",
    ),
    ("model_table", "current", "ModelID,PatientID,CellLineName,OncotreeLineage"),
    ("model_table", "older", "DepMap_ID,cell_line_name,lineage,sex"),
    ("essential", "current", "Gene"),
    ("nonessential", "older", "gene"),
    ("expression_addictions", "current", "Gene"),
]


@pytest.mark.parametrize(("table", "layout", "header"), HEADERS)
def test_each_published_header_is_recognised(table: TableName, layout: str, header: str):
    assert recognise(table, "x.csv", header.split(",")).name == layout


def test_layouts_use_canonical_names_only():
    canonical: dict[TableName, tuple[str, ...]] = {
        "guide_map": GUIDE_MAP_COLUMNS,
        "sequence_map": SEQUENCE_MAP_COLUMNS,
        "rna": ("", *PROFILE_COLUMNS),
        "model_table": MODEL_TABLE_COLUMNS,
    }
    for table, names in canonical.items():
        for layout in LAYOUTS[table]:
            assert set(layout.canonical.values()) <= set(names)


@pytest.mark.parametrize(
    ("table", "header", "lacks"),
    [
        ("guide_map", "sgRNA,Gene,nAlignments", "for current it lacks UsedByChronos"),
        ("logfc", "sgRNA,GenomeAlignment,Gene", "got sgRNA, GenomeAlignment, Gene"),
        ("logfc", ",gene,cell_line,rna,sgrna_idx", "for long_simulated it lacks logfc"),
        ("rna", ",SequencingID,ModelID,SOX10 (6663)", "it lacks IsDefaultEntryForModel"),
        ("sequence_map", "A,B", "expected the columns of one of [current: SequenceID, ModelID"),
    ],
)
def test_an_unknown_header_is_answered_with_the_expected_ones(
    table: TableName, header: str, lacks: str
):
    with pytest.raises(TableFormatError) as caught:
        recognise(table, "x.csv", header.split(","))
    assert caught.value.rule == "unknown_layout"
    assert lacks in str(caught.value)


def test_a_known_column_may_stand_once_only():
    with pytest.raises(TableFormatError, match="got twice: sgrna") as caught:
        recognise("guide_map", "x.csv", ["sgrna", "gene", "n_alignments", "sgrna"])
    assert caught.value.rule == "duplicate_column"


def test_labels_of_a_matrix_may_stand_twice():
    assert recognise("logfc", "x.csv", ["", "A", "A"]).name == "current"


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        (b"", "empty_file"),
        (b" \n\n", "empty_file"),
        (b"\xef\xbb\xbf\n", "empty_file"),
        (b"\n<!DOCTYPE html><html>", "html_page"),
        (b"<HTML lang=en>", "html_page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "html_page"),
        (b"PK\x03\x04\x14", "wrong_format"),
        (b"PAR1\x15", "wrong_format"),
        (b"\x89HDF\r\n\x1a\n", "wrong_format"),
        (b"a\tb\n1\t2\n", "wrong_delimiter"),
        (b"a;b\n1,5;2,5\n", "wrong_delimiter"),
        (b"a,b\na,b\n1,2\n", "repeated_header"),
    ],
)
def test_what_is_no_table_is_named(head: bytes, rule: str):
    with pytest.raises(TableFormatError) as caught:
        check_head("logfc", "x.csv", head)
    assert caught.value.rule == rule


@pytest.mark.parametrize("head", [b"Gene\nA\nA\n", b",HB11;19_RepA\nACGT,1\n", b"a,b\r\n1,2"])
def test_a_table_is_let_through(head: bytes):
    check_head("logfc", "x.csv", head)


def test_header_is_parsed_as_csv():
    header = parse_header("logfc", "x.csv", b'\xef\xbb\xbf"","a,b", c \r\n')
    assert header == ("", "a,b", " c ")


def test_header_in_another_encoding_is_refused():
    with pytest.raises(TableFormatError, match="byte 0xe9") as caught:
        parse_header("logfc", "x.csv", "é,b".encode("latin-1"))
    assert caught.value.rule == "not_utf8"


def test_names_given_to_an_unnamed_index_are_undone():
    assert name_columns(["Unnamed: 0", "index"]) == ("", "index")
    assert name_columns(["__index_level_0__"]) == ("",)


@pytest.mark.parametrize(
    ("table", "stems"),
    [
        ("logfc", ("AvanaLogfoldChange", "Achilles_logfold_change")),
        ("guide_map", ("AvanaGuideMap", "Achilles_guide_map")),
        ("sequence_map", ("ScreenSequenceMap", "Achilles_replicate_map")),
        (
            "rna",
            (
                "OmicsExpressionTPMLogp1HumanProteinCodingGenes",
                "OmicsExpressionProteinCodingGenesTPMLogp1",
                "CCLE_expression",
            ),
        ),
        ("model_table", ("Model", "sample_info")),
        ("essential", ("AchillesCommonEssentialControls", "common_essentials")),
        ("nonessential", ("AchillesNonessentialControls", "nonessentials")),
        ("expression_addictions", ("RNAiExpressionAddictions",)),
    ],
)
def test_files_are_named_as_they_are_released(table: TableName, stems: tuple[str, ...]):
    assert known_file_stems(table, "Avana") == stems


def test_file_names_follow_the_library():
    assert known_file_stems("logfc", "KY") == ("KYLogfoldChange",)
    assert known_file_stems("guide_map", "Humagne-CD") == ("HumagneGuideMap",)
    assert known_file_stems("logfc", "Avana") == ("AvanaLogfoldChange", "Achilles_logfold_change")


def test_labels_are_free_in_long_tables_alone():
    free = {layout.name for layout in LAYOUTS["logfc"] if free_labels(layout.name)}
    assert free == {"long", "long_simulated", "long_modelling_frame"}


@pytest.mark.parametrize("text", ["1", "-1.5", "+2.", ".5", "1e-5", "-INF", "infinity", " 3 "])
def test_numbers_as_tables_write_them(text: str):
    assert NUMBER.fullmatch(text)


@pytest.mark.parametrize("text", ["1_000", "1,5", "0x12", "--1", "e5", "#REF!", ".", "1.5.2"])
def test_what_is_no_number(text: str):
    assert not NUMBER.fullmatch(text)
