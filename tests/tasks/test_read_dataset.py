"""A dataset file is found, understood and completed, or answered with what to mend."""

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


def write(folder: Path, text: str, *tables: str) -> str:
    file = folder / "dataset.yaml"
    file.write_text(text)
    (folder / "release").mkdir(exist_ok=True)
    for name in tables:
        (folder / "release" / name).touch()
    return str(file)


def refusal(folder: Path, text: str, *tables: str) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(write(folder, text, *tables))
    return str(caught.value)


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path):
    dataset = load_dataset(
        write(
            tmp_path,
            KEYS + "logfc: sub/a.csv\nrna: s3://bucket/rna.csv\nguide_map: /data/g.csv\n"
            "controls: {essential: e.csv}\n",
        )
    )
    assert dataset.logfc == str(tmp_path / "sub/a.csv")
    assert dataset.rna == "s3://bucket/rna.csv"
    assert dataset.guide_map == "/data/g.csv"
    assert dataset.sequence_map is None
    assert dataset.controls.essential == str(tmp_path / "e.csv")


def test_tables_of_a_release_folder_are_found(tmp_path: Path):
    more = (
        "Model.csv",
        "AchillesCommonEssentialControls.csv",
        "RNAiExpressionAddictions.csv",
        "README.txt",
    )
    dataset = load_dataset(write(tmp_path, KEYS + "folder: release\n", *RELEASE, *more))
    assert dataset.logfc == str(tmp_path / "release" / RELEASE[0])
    assert dataset.rna == str(tmp_path / "release" / RELEASE[3])
    assert dataset.model_table == str(tmp_path / "release/Model.csv")
    assert dataset.controls.essential == str(tmp_path / "release" / more[1])
    assert dataset.controls.expression_addictions == str(tmp_path / "release" / more[2])
    assert dataset.controls.nonessential is None


def test_a_library_in_other_letters_is_told(tmp_path: Path):
    keys = KEYS.replace("library: Avana", "library: avana")
    assert keys != KEYS
    with pytest.raises(DatasetError, match=rf"got {RELEASE[0]} \(capital letters count"):
        load_dataset(write(tmp_path, keys + "folder: release\n", *RELEASE))


def test_links_to_tables_are_tables(tmp_path: Path):
    file = write(tmp_path, KEYS + "folder: .\n", *RELEASE)
    for name in RELEASE:
        (tmp_path / name).symlink_to(tmp_path / "release" / name)
    assert load_dataset(file).logfc == str(tmp_path / RELEASE[0])


def test_older_names_and_other_formats_are_found(tmp_path: Path):
    older = (
        "Achilles_logfold_change.hdf5",
        "Achilles_guide_map.parquet",
        "Achilles_replicate_map.csv.gz",
        "CCLE_expression.csv",
        "sample_info.csv",
    )
    dataset = load_dataset(write(tmp_path, KEYS + "folder: release\n", *older))
    found = (dataset.logfc, dataset.guide_map, dataset.sequence_map, dataset.rna)
    assert [Path(str(path)).name for path in (*found, dataset.model_table)] == list(older)


def test_a_table_given_wins_over_the_folder(tmp_path: Path):
    dataset = load_dataset(
        write(
            tmp_path, KEYS + "folder: release\nrna: mine.parquet\n", *RELEASE, "CCLE_expression.csv"
        )
    )
    assert dataset.rna == str(tmp_path / "mine.parquet")
    assert dataset.guide_map == str(tmp_path / "release" / RELEASE[1])


def test_a_long_table_beside_a_folder_needs_nothing_from_it(tmp_path: Path):
    dataset = load_dataset(
        write(tmp_path, KEYS + "folder: release\nlogfc: long.csv\n", "Model.csv")
    )
    assert dataset.guide_map is None
    assert dataset.model_table == str(tmp_path / "release/Model.csv")


def test_all_missing_tables_are_listed_with_the_names_looked_for(tmp_path: Path):
    text = refusal(tmp_path, KEYS + "folder: release\n", *RELEASE[:2])
    assert "sequence_map: expected in" in text
    assert "ScreenSequenceMap, Achilles_replicate_map (.csv, .csv.gz, .parquet, .hdf5)" in text
    assert "rna: expected in" in text
    assert "guide_map" not in text


def test_older_avana_names_are_not_taken_for_another_library(tmp_path: Path):
    text = refusal(
        tmp_path,
        "name: s\nrelease: a\nlibrary: KY\nfolder: release\n",
        "Achilles_logfold_change.csv",
    )
    assert "one of KYLogfoldChange (" in text


def test_two_candidates_are_not_chosen_between(tmp_path: Path):
    text = refusal(tmp_path, KEYS + "folder: release\n", *RELEASE, "AvanaLogfoldChange.csv.gz")
    assert "got AvanaLogfoldChange.csv and AvanaLogfoldChange.csv.gz; name the one" in text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("release: a\nlibrary: b\nlogfc: c\n", "name: expected a value, got none; add a line"),
        (KEYS + "logFC: c\nfolder: release\n", "logFC: expected one of name, release,"),
        (KEYS + "logFC: c\nfolder: release\n", "did you mean `logfc`?"),
        (KEYS + "logfc: c\nzzz: 1\n", "got this unknown key; remove it"),
        (KEYS, "expected `logfc` (a table) or `folder` (a release folder), got neither"),
        (KEYS + "logfc: [a, b]\n", "logfc: expected text, got ['a', 'b'] (list)"),
        ("name: s\nrelease: 24.2\nlibrary: A\nlogfc: c\n", "got 24.2 (float); write it in quotes"),
        ("name: a/b\nrelease: a\nlibrary: A\nlogfc: c\n", "got 'a/b' (str); rename it"),
        (KEYS + "logfc: c\nrna_units: tpm\n", "expected 'log2_tpm' or 'z_score', got 'tpm'"),
        (KEYS + "logfc: ''\n", "logfc: expected a path or an s3:// address, got ''"),
        (KEYS + "logfc: https://x/a.csv\n", "logfc: expected a path or an s3:// address, got 'ht"),
        (KEYS + "logfc: c\ncontrols: x.csv\n", "controls: expected the keys essential, nonessen"),
        (KEYS + "logfc: c\ncontrols: {esential: x}\n", "did you mean `essential`?"),
        (KEYS + "logfc: c\n bad: [\n", "expected YAML, got on line 5, column"),
        ("a: !!python/object/apply:os.getcwd []\n", "expected YAML, got on line 1"),
        ("just text\n", "expected keys and values, got 'just text' (str); the keys are `name:`"),
        ("", "expected keys and values, got nothing"),
        (KEYS + "folder: nowhere\n", "folder: expected a folder, there is no"),
    ],
)
def test_what_cannot_be_used_is_answered_with_the_mend(tmp_path: Path, text: str, answer: str):
    assert answer in refusal(tmp_path, text)


def test_several_mistakes_are_told_at_once(tmp_path: Path):
    text = refusal(tmp_path, "name: 3\nfoo: 1\nlogfc: a\n")
    assert all(key in text for key in ("name: ", "release: ", "library: ", "foo: "))


def test_a_missing_dataset_file_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(DatasetError, match="expected a file, there is none; correct the path"):
        load_dataset(str(tmp_path / "none.yaml"))


def test_a_dataset_that_is_no_text_is_refused(tmp_path: Path):
    file = tmp_path / "dataset.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="UTF-8"):
        load_dataset(str(file))


def test_a_key_written_twice_is_refused(tmp_path):
    file = tmp_path / "dataset.yaml"
    file.write_text("name: a\nrelease: b\nlibrary: Avana\nlogfc: x.csv\nname: c\n")
    with pytest.raises(DatasetError, match="line 1, column 1: the key 'name' twice"):
        load_dataset(str(file))
