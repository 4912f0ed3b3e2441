"""A dataset file is read and its tables are found, or it is refused with what to correct."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.read_dataset import DatasetError, load_dataset

KEYS = "name: s\nrelease: 24Q4\nlibrary: Avana\n"
RELEASE = (
    "AvanaLogfoldChange.csv",
    "AvanaGuideMap.csv",
    "ScreenSequenceMap.csv",
    "OmicsExpressionProteinCodingGenesTPMLogp1.csv",
)
FOLDER = KEYS + "folder: release\n"


def write(folder: Path, text: str, *tables: str) -> str:
    file = folder / "dataset.yaml"
    file.write_text(text)
    (folder / "release").mkdir(exist_ok=True)
    for name in tables:
        (folder / "release" / name).touch()
    return str(file)


def found_in(folder: Path, text: str, *tables: str) -> dict[str, str]:
    """The tables that were found, as paths seen from the folder."""
    dataset = load_dataset(write(folder, text, *tables))
    given = dataset.model_dump(exclude={"name", "release", "library", "rna_units", "folder"})
    given |= given.pop("controls")
    return {name: path.removeprefix(f"{folder}/") for name, path in given.items() if path}


TABLES = ("logfc", "guide_map", "sequence_map", "rna")
PATHS = {table: f"release/{name}" for table, name in zip(TABLES, RELEASE, strict=True)}
OLDER = {
    "logfc": "Achilles_logfold_change.hdf5",
    "guide_map": "Achilles_guide_map.parquet",
    "sequence_map": "Achilles_replicate_map.csv.gz",
    "rna": "CCLE_expression.csv",
    "model_table": "sample_info.csv",
}
MORE = {
    "model_table": "Model.csv",
    "essential": "AchillesCommonEssentialControls.csv",
    "expression_addictions": "RNAiExpressionAddictions.csv",
}


@pytest.mark.parametrize(
    ("text", "tables", "found"),
    [
        (
            KEYS + "logfc: sub/a.csv\nrna: s3://bucket/rna.csv\nguide_map: /data/g.csv\n"
            "controls: {essential: e.csv}\n",
            (),
            {
                "logfc": "sub/a.csv",
                "rna": "s3://bucket/rna.csv",
                "guide_map": "/data/g.csv",
                "essential": "e.csv",
            },
        ),
        (
            FOLDER,
            (*RELEASE, *MORE.values(), "README.txt"),
            PATHS | {name: f"release/{file}" for name, file in MORE.items()},
        ),
        (
            FOLDER,
            tuple(OLDER.values()),
            {name: f"release/{file}" for name, file in OLDER.items()},
        ),
        # A table that is given is not looked for.
        (
            FOLDER + "rna: mine.parquet\n",
            (*RELEASE, "CCLE_expression.csv"),
            PATHS | {"rna": "mine.parquet"},
        ),
        # A long table needs no other from the folder.
        (
            FOLDER + "logfc: long.csv\n",
            ("Model.csv",),
            {"logfc": "long.csv", "model_table": "release/Model.csv"},
        ),
    ],
)
def test_tables_are_found(tmp_path: Path, text: str, tables: tuple[str, ...], found):
    assert found_in(tmp_path, text, *tables) == found


def test_links_to_tables_are_tables(tmp_path: Path):
    write(tmp_path, "", *RELEASE)
    (tmp_path / "links").mkdir()
    for name in RELEASE:
        (tmp_path / "links" / name).symlink_to(tmp_path / "release" / name)
    found = found_in(tmp_path, KEYS + "folder: links\n")
    assert found == {table: path.replace("release", "links") for table, path in PATHS.items()}


@pytest.mark.parametrize(
    ("text", "tables", "words"),
    [
        (
            FOLDER,
            RELEASE[:2],
            (
                "sequence_map: expected in",
                "ScreenSequenceMap, Achilles_replicate_map (.csv, .csv.gz, .parquet, .hdf5)",
                "rna: expected in",
            ),
        ),
        (
            FOLDER.replace("Avana", "avana"),
            RELEASE,
            (f"got {RELEASE[0]} (capital letters count",),
        ),
        # Older names without a library are of Avana.
        (
            FOLDER.replace("Avana", "KY"),
            ("Achilles_logfold_change.csv",),
            ("one of KYLogfoldChange (",),
        ),
        (
            FOLDER,
            (*RELEASE, "AvanaLogfoldChange.csv.gz"),
            ("got AvanaLogfoldChange.csv and AvanaLogfoldChange.csv.gz; name the one",),
        ),
        ("name: 3\nfoo: 1\nlogfc: a\n", (), ("name: ", "release: ", "library: ", "foo: ")),
        *(
            (text, (), (words,))
            for text, words in (
                ("release: a\nlibrary: b\nlogfc: c\n", "name: expected a value, got none; add a"),
                (FOLDER + "logFC: c\n", "logFC: expected one of name, release,"),
                (FOLDER + "logFC: c\n", "did you mean `logfc`?"),
                (KEYS + "logfc: c\nzzz: 1\n", "got this unknown key; remove it"),
                (KEYS, "expected `logfc` (a table) or `folder` (a release folder), got neither"),
                (KEYS + "logfc: [a, b]\n", "logfc: expected text, got ['a', 'b'] (list)"),
                ("name: s\nrelease: 24.2\nlibrary: A\nlogfc: c\n", "24.2 (float); write it in q"),
                ("name: a/b\nrelease: a\nlibrary: A\nlogfc: c\n", "got 'a/b' (str); rename it"),
                (KEYS + "logfc: c\nrna_units: tpm\n", "'log2_tpm' or 'z_score', got 'tpm'"),
                (KEYS + "logfc: ''\n", "logfc: expected a path or an s3:// address, got ''"),
                (KEYS + "logfc: https://x/a.csv\n", "a path or an s3:// address, got 'ht"),
                (KEYS + "logfc: c\ncontrols: x\n", "controls: expected the keys essential, none"),
                (KEYS + "logfc: c\ncontrols: {esential: x}\n", "did you mean `essential`?"),
                (KEYS + "logfc: c\n bad: [\n", "expected YAML, got on line 5, column"),
                ("a: !!python/object/apply:os.getcwd []\n", "expected YAML, got on line 1"),
                ("just text\n", "expected keys and values, got 'just text' (str); the keys are"),
                ("", "expected keys and values, got nothing"),
                (KEYS + "folder: nowhere\n", "folder: expected a folder, there is no"),
                (KEYS + "logfc: x\nname: c\n", "line 1, column 1: the key 'name' twice"),
                ("a: &b c\n", "a name for a part"),
                ("[" * 30, "more than 20 levels"),
                ("name: 2024-99-99\n", "month must be in 1..12"),
            )
        ),
    ],
)
def test_a_wrong_dataset_is_refused_with_what_to_correct(tmp_path: Path, text, tables, words):
    with pytest.raises(DatasetError) as caught:
        load_dataset(write(tmp_path, text, *tables))
    assert all(word in str(caught.value) for word in words)
    if tables == RELEASE[:2]:
        assert "guide_map" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "expected a file, there is none; correct the path"), (b"\xff\xfe\x00", "UTF-8")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None, words: str):
    file = tmp_path / "dataset.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        load_dataset(str(file))
