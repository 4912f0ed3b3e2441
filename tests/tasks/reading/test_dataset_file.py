"""A dataset file is read and its tables are found, or it is refused with what to correct."""

from pathlib import Path

import pytest

from tasks.reading.dataset_file import DatasetError, load_dataset

KEYS = "name: s\nrelease: 24Q4\nlibrary: Avana\n"
FOLDER = KEYS + "folder: release\n"
RNA = "OmicsExpressionProteinCodingGenesTPMLogp1.csv"
RELEASE = ("AvanaLogfoldChange.csv", "AvanaGuideMap.csv", "ScreenSequenceMap.csv", RNA)
TABLES = ("logfc", "guide_map", "sequence_map", "rna")
FOUND = {table: f"release/{name}" for table, name in zip(TABLES, RELEASE, strict=True)}
OLDER = {
    "logfc": "Achilles_logfold_change.hdf5",
    "guide_map": "Achilles_guide_map.parquet",
    "sequence_map": "Achilles_replicate_map.csv.gz",
    "rna": "CCLE_expression.csv",
    "copy_number": "CCLE_gene_cn.csv",
    "model_table": "sample_info.csv",
}
LATER = {
    "logfc": "HumagneLogfoldChange.csv",
    "guide_map": "HumagneGuideMap.csv",
    "sequence_map": "ScreenSequenceMap.csv",
    "rna": "OmicsExpressionTPMLogp1HumanProteinCodingGenes.csv",
    "copy_number": "PortalOmicsCNGeneLog2.csv",
    "essential": "common_essentials.csv",
    "nonessential": "nonessentials.csv",
}
MORE = {
    "copy_number": "OmicsCNGene.csv.gz",
    "model_table": "Model.csv",
    "essential": "AchillesCommonEssentialControls.csv",
    "nonessential": "AchillesNonessentialControls.csv",
    "expression_addictions": "RNAiExpressionAddictions.csv",
}


def write(folder: Path, text: str, tables: tuple[str, ...]) -> str:
    (folder / "dataset.yaml").write_text(text)
    for place in ("elsewhere", "release"):
        (folder / place).mkdir()
    for name in tables:
        (folder / "elsewhere" / name).touch()
        (folder / "release" / name).symlink_to(folder / "elsewhere" / name)  # a link is a table
    return str(folder / "dataset.yaml")


@pytest.mark.parametrize(
    ("text", "tables", "found"),
    [
        (KEYS + "logfc: a/b.csv\nrna: s3://b/r\nguide_map: /d/g.csv\ncontrols: {essential: e}", (),
         {"logfc": "a/b.csv", "rna": "s3://b/r", "guide_map": "/d/g.csv", "essential": "e"}),
        (FOLDER, (*RELEASE, *MORE.values(), "README.txt"),
         FOUND | {name: f"release/{file}" for name, file in MORE.items()}),
        *(
            (FOLDER.replace("Avana", library), tuple(names.values()),
             {name: f"release/{file}" for name, file in names.items()})
            for library, names in (("Avana", OLDER), ("Humagne-CD", LATER))
        ),
        # Of several tables of copy number the first known one is used.
        (FOLDER, (*RELEASE, "CCLE_gene_cn.csv", "OmicsCNGeneWGS.csv", "OmicsAbsoluteCNGene.csv"),
         FOUND | {"copy_number": "release/OmicsCNGeneWGS.csv"}),
        # A table that is given is not looked for, and a long table needs no other.
        (FOLDER + "rna: r.csv", (*RELEASE, "CCLE_expression.csv"), FOUND | {"rna": "r.csv"}),
        (FOLDER + "logfc: long.csv", ("Model.csv",),
         {"logfc": "long.csv", "model_table": "release/Model.csv"}),
    ],
)  # fmt: skip
def test_tables_are_found(tmp_path: Path, text: str, tables: tuple[str, ...], found):
    dataset = load_dataset(write(tmp_path, text, tables))
    given = {name: getattr(dataset, name) for name in (*TABLES, "copy_number", "model_table")}
    given |= dataset.controls.model_dump()
    paths = {name: path.removeprefix(f"{tmp_path}/") for name, path in given.items() if path}
    assert paths == found


ALIKE = (*RELEASE, "AvanaLogfoldChange.csv.gz")


@pytest.mark.parametrize(
    ("text", "tables", "words"),
    [
        (FOLDER, RELEASE[:2], "ScreenSequenceMap, Achilles_replicate_map (.csv, .csv.gz, .tsv"),
        (FOLDER.replace("Avana", "avana"), RELEASE, f"got {RELEASE[0]} (names are case-sensitive"),
        # Older names without a library are of Avana.
        (FOLDER.replace("Avana", "KY"), tuple(OLDER.values()), "one of KYLogfoldChange ("),
        (FOLDER, ALIKE, "got AvanaLogfoldChange.csv and AvanaLogfoldChange.csv.gz; name the one"),
        (KEYS + "logfc: c\nrna_units: tpm\n", (), "'log2_tpm' or 'z_score', got 'tpm'"),
        (KEYS + "logfc: https://x/a.csv\n", (), "a path or an s3:// address, got 'ht"),
        (KEYS + "logfc: c\ncontrols: {esential: x}\n", (), "did you mean `essential`?"),
        (KEYS + "logfc: c\ncolumns: {x: y}\n", (), "columns.x: expected one of gene,"),
        (KEYS + "logfc: c\ncolumns: {sgRNA: x}\n", (), "unknown key; did you mean `guide`?"),
        (KEYS + "logfc: c\ncolumns: {gene: x, rna: x}\n", (), "of its own for each, got 'x' twice"),
    ],
)
def test_a_wrong_dataset_is_refused_with_what_to_correct(tmp_path: Path, text, tables, words):
    with pytest.raises(DatasetError) as caught:
        load_dataset(write(tmp_path, text, tables))
    assert words in str(caught.value)
    assert tables != RELEASE[:2] or "guide_map" not in str(caught.value)
