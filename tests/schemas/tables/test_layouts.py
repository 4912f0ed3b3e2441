"""Every published header is recognised; tables of other kinds are refused by name."""

import pytest

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.heads import name_columns
from schemas.tables.layouts import NUMBER
from schemas.tables.recognition import recognise

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
    ("sequence_map", "current", "SequenceID,ScreenID,ModelID,ScreenType,Library,Days,PassesQC"),
    ("sequence_map", "older", "replicate_ID,DepMap_ID,pDNA_batch,passes_QC"),
    ("rna", "one_profile", ",SOX10 (6663),MYB (4602)"),
    ("rna", "several_profiles", f"{PROFILES},SOX10 (6663)"),
    *(("rna", "one_profile", f"{name},SOX10 (6663)") for name in ("V1", "X", "...1", "row.names")),
    *(("rna", "one_profile_named", f"{name},SOX10 (6663)") for name in ("ModelID", "depmap_id")),
    ("rna", "one_value_per_row", "depmap_id,gene,rna_expression,gene_name,entrez_id,cell_line"),
    ("copy_number", "one_value_per_row", "depmap_id,gene,log_copy_number,gene_name,entrez_id"),
    ("model_table", "of_r", "depmap_id,cell_line,aliases,lineage,lineage_subtype"),
    ("logfc", "current_named", "sgRNA,A2058_RepA"),
    ("logfc", "long", "gene,hugo_symbol,cell_line,sgrna,logfc,LFC"),  # the name of the role wins
    # Of MAGeCK and drugZ with a column of lines, of CRISPRcleanR, and of PoolQ.
    ("logfc", "long", "CellLine,sgrna,Gene,control_mean,treat_mean,LFC,FDR"),
    ("logfc", "long", "model_id,sgRNA,genes,avgFC,correctedFC"),
    ("logfc", "wide_with_gene", "sgRNA,Gene,A375,HT29"),
    ("logfc", "current_named", "Construct Barcode,Construct IDs,A375,HT29"),
    ("logfc", "wide_with_gene", ",Construct Barcode,Construct IDs,Gene Symbol,A375,HT29"),
    ("logfc", "gene_effects", "X,SOX10..6663.,MYB..4602."),
    ("logfc", "gene_effects", "ModelID,SOX10 (6663),MYB (4602)"),
    ("sequence_map", "own", "sequence,cell_line"),
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
    ("table", "header", "rule", "words"),
    [
        ("guide_map", "sgrna,a,b,c,d,e,f,g,h,i,j,k,l", "unknown_layout",
         f"{OF_GUIDES}sgrna, a, b, c, d, e, f, g, h, i, j, k, ... (13 columns); for older it lacks "
         f"gene, n_alignments{RENAME}"),
        ("rna", "a,b", "unknown_layout", "one column per gene] [one_value_per_row: depmap_id, "
         f"gene, rna_expression], got a, b{RENAME}"),
        ("rna", ",SequencingID,ModelID,SOX10 (6663)", "unknown_layout",
         "it lacks IsDefaultEntryForModel"),
        ("logfc", ",gene,cell_line,rna,sgrna_idx", "unknown_layout",
         "for long_simulated it lacks logfc"),
        ("logfc", "A,", "unknown_layout", "got A, (unnamed)"),  # row labels come first
        ("rna", "Depmap ID,Expression Public 23Q4,Cell Line Name,Primary Disease,Lineage",
         "foreign_table", "for single genes"),
        ("logfc", "depmap_id,gene,dependency,gene_name,entrez_id,cell_line", "foreign_table",
         "of the R package depmap, without guides; fetch AvanaLogfoldChange"),
        ("logfc", "sgrna,Gene,control_mean,treat_mean,LFC", "foreign_table", "MAGeCK"),
        ("logfc", "id,num,neg|score,neg|fdr,pos|score", "foreign_table", "genes ranked by MAGeCK"),
        ("logfc", "key,num,neg|score,pos|score", "unknown_layout", "columns: {guide: ..."),
        ("rna", "depmap_id,cell_line_display_name,SOX10", "foreign_table", "a custom download"),
        ("rna", "cell_line_display_name,lineage_1,SOX10", "foreign_table", "a custom download"),
        ("rna", ",gene,cell_line,guide,logfc", "other_table", "the columns are those of logfc"),
        ("rna", "V1,ACH-000001,ACH-000002", "transposed", "the columns are cell lines"),
        ("logfc", ",ACGTACGTACGTACGTACGT", "transposed", "guides x sequences"),
    ],
)  # fmt: skip
def test_another_header_is_refused_by_name(table: TableName, header: str, rule: str, words: str):
    with pytest.raises(TableFormatError) as refused:
        recognise(table, "x.csv", name_columns(header.split(",")))
    error = refused.value
    assert (error.table, error.location, error.rule) == (table, "x.csv", rule)
    assert words in f"{error.message}; {error.remedy}"


def test_numbers_are_what_tables_write():
    for text in ("1", "-1.5", "+2.", ".5", "1e-5", ".5E+3", "-INF", "infinity", " 3 "):
        assert NUMBER.fullmatch(text), text
    for text in ("1_000", "1,5", "0x12", "--1", "e5", "#REF!", ".", "1.5.2", "1e", "\xa01"):
        assert not NUMBER.fullmatch(text), text
