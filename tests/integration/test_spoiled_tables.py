"""Ways of spoiling the tables of the real sample: each is answered by its own rule.

Every way is a function that changes a copy of the sample, under the rule it must break. The copy is
then given to the validation and to `screenbayes fit`, which must refuse it (exit code 2) and leave
no finished run in MLflow.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT
from schemas.parameters import FitParameters
from schemas.reports import ValidationReport
from tasks.read_dataset import load_dataset
from tasks.validate import validate

pytestmark = pytest.mark.integration

FILES = {
    "logfc": "AvanaLogfoldChange.csv",
    "guide_map": "AvanaGuideMap.csv",
    "sequence_map": "ScreenSequenceMap.csv",
    "rna": "OmicsExpressionProteinCodingGenesTPMLogp1.csv",
    "essential": "AchillesCommonEssentialControls.csv",
    "nonessential": "AchillesNonessentialControls.csv",
    "expression_addictions": "RNAiExpressionAddictions.csv",
}
CONTROLS = ("essential", "nonessential", "expression_addictions")
N_CONTROLS = 25


@dataclass
class Copy:
    """A copy of the sample that may be spoilt."""

    folder: Path
    entries: dict[str, str] = field(default_factory=dict)
    """What the dataset file says beside the tables."""
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))

    def path(self, table: str) -> Path:
        return self.folder / self.files[table]

    def read(self, table: str) -> pd.DataFrame:
        """Return the table as text, the column without a name as in the file."""
        frame = pd.read_csv(self.path(table), dtype="object", keep_default_na=False)
        return frame.rename(columns={"Unnamed: 0": ""})

    def write(self, table: str, frame: pd.DataFrame) -> None:
        frame.to_csv(self.path(table), index=False)

    def set(self, table: str, row: int | slice, column: str | int, value: str) -> None:
        frame = self.read(table)
        name = frame.columns[column] if isinstance(column, int) else column
        frame.loc[frame.index[row], name] = value
        self.write(table, frame)

    def rewrite(self, table: str, change: Callable[[bytes], bytes]) -> None:
        self.path(table).write_bytes(change(self.path(table).read_bytes()))

    def rename(self, table: str, name: str) -> None:
        self.path(table).rename(self.folder / name)
        self.files[table] = name

    def dataset_file(self) -> str:
        tables = {table: name for table, name in self.files.items() if table not in CONTROLS}
        controls = {table: name for table, name in self.files.items() if table in CONTROLS}
        content = {
            "name": "spoilt",
            "release": "1",
            "library": "Avana",
            **tables,
            "controls": controls,
            **self.entries,
        }
        path = self.folder / "dataset.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)


@pytest.fixture(scope="session")
def small_sample(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with all its sequences and RNA, but only the guides of RNA and some controls."""
    sample = shared / "data" / "avana_sample"
    folder = tmp_path_factory.mktemp("sample")
    for table in ("sequence_map", "rna", *CONTROLS):
        shutil.copyfile(sample / FILES[table], folder / FILES[table])
    rna = pd.read_csv(folder / FILES["rna"], nrows=0).columns
    guide_map = pd.read_csv(sample / FILES["guide_map"], dtype="object", keep_default_na=False)
    genes = set(rna)
    for table in CONTROLS:
        controls = pd.read_csv(folder / FILES[table])["Gene"]
        genes |= set(controls[controls.isin(guide_map["Gene"])][:N_CONTROLS])
    guide_map = guide_map[guide_map["Gene"].isin(genes)]
    guide_map.to_csv(folder / FILES["guide_map"], index=False)
    logfc = pd.read_csv(
        sample / f"{FILES['logfc']}.gz", index_col=0, dtype="object", keep_default_na=False
    )
    logfc.loc[guide_map["sgRNA"]].to_csv(folder / FILES["logfc"], index_label="")
    return folder


@pytest.fixture
def copy(small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    folder = tmp_path / "release"
    shutil.copytree(small_sample, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Copy(folder)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A server for all fits of this module, their heartbeat off: ending it takes half a second."""
    with (
        prefect_test_harness(server_startup_timeout=180),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


def report_of(copy: Copy) -> ValidationReport:
    validated = validate(load_dataset(copy.dataset_file()), FitParameters())
    assert (validated.statistics is None) == bool(validated.report.errors)
    return validated.report


@dataclass(frozen=True)
class Case:
    rule: str
    table: str
    also: tuple[str, ...]
    spoil: Callable[[Copy], None]


CASES: list[Case] = []


def breaks(
    rule: str, table: str, also: tuple[str, ...] = ()
) -> Callable[[Callable[[Copy], None]], Callable[[Copy], None]]:
    """Register a way of spoiling a copy under the rule, and the table, it must be answered with.

    `also`: further rules it cannot help breaking. No other may be.
    """

    def register(spoil: Callable[[Copy], None]) -> Callable[[Copy], None]:
        CASES.append(Case(rule, table, also, spoil))
        return spoil

    return register


# ------------------------------------------------------------------------------------------ files


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


# ----------------------------------------------------------------------------------------- guides


@breaks("guide_sequence", "logfc", also=("guide_in_map",))
def a_guide_of_eighteen_letters(copy: Copy) -> None:
    copy.set("logfc", 3, "", copy.read("logfc")[""].astype(str).iloc[3][:18])


@breaks("guide_sequence", "guide_map", also=("guide_in_map",))
def a_guide_with_an_unknown_base(copy: Copy) -> None:
    copy.set("guide_map", 3, "sgRNA", "ACGTNACGTACGTACGTACG")


@breaks(
    "guide_sequence",
    "logfc",
    also=("guide_in_map", "guides_retained", "controls_measured", "genes_left"),
)
def guides_in_small_letters(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", frame.assign(**{"": frame[""].str.lower()}))


@breaks("value_missing", "logfc")
def a_guide_without_a_label(copy: Copy) -> None:
    copy.set("logfc", 3, "", "")


@breaks("guide_unique", "logfc")
def a_guide_standing_twice(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", pd.concat([frame, frame.iloc[[5]]]))


@breaks("guide_in_map", "logfc+guide_map")
def a_guide_the_map_does_not_have(copy: Copy) -> None:
    copy.set("logfc", 3, "", "ACGTACGTACGTACGTACGT")


@breaks("guide_of_one_gene", "guide_map")
def a_guide_of_two_genes(copy: Copy) -> None:
    frame = copy.read("guide_map")
    frame = frame[frame["nAlignments"] == "1.0"]
    other = frame.iloc[[0]].assign(
        Gene=frame.loc[frame["Gene"] != frame["Gene"].iloc[0], "Gene"].iloc[0]
    )
    copy.write("guide_map", pd.concat([copy.read("guide_map"), other]))


@breaks("guide_map_unique", "guide_map")
def a_guide_standing_twice_in_its_map(copy: Copy) -> None:
    frame = copy.read("guide_map")
    once = frame[frame["nAlignments"] == "1.0"]
    copy.write("guide_map", pd.concat([frame, once.iloc[[0]]]))


@breaks("guides_left", "guide_map")
def no_guide_used(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").assign(UsedByChronos="False"))


@breaks("guides_left", "guide_map")
def every_guide_hitting_twice(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").assign(nAlignments="2.0"))


@breaks("whole_number", "guide_map")
def alignments_in_words(copy: Copy) -> None:
    copy.set("guide_map", 4, "nAlignments", "one")


@breaks("flag", "guide_map")
def a_flag_that_is_none(copy: Copy) -> None:
    copy.set("guide_map", 4, "UsedByChronos", "maybe")


@breaks("gene_label", "guide_map")
def a_gene_without_its_number(copy: Copy) -> None:
    copy.set("guide_map", 4, "Gene", "SOX10")


@breaks("gene_of_one_symbol", "guide_map")
def two_symbols_of_one_number(copy: Copy) -> None:
    frame = copy.read("guide_map")
    fitted = frame.index[(frame["nAlignments"] == "1.0") & (frame["UsedByChronos"] == "True")]
    number = frame.loc[fitted[0], "Gene"].split(" ")[1]
    frame.loc[fitted[0], "Gene"] = f"OTHER {number}"
    copy.write("guide_map", frame)


@breaks("surrounding_blanks", "guide_map")
def a_blank_behind_a_gene(copy: Copy) -> None:
    copy.set("guide_map", 4, "Gene", copy.read("guide_map")["Gene"].iloc[4] + " ")


# -------------------------------------------------------------------------------------- sequences


@breaks("logfc_sequence_unique", "logfc")
def a_sequence_standing_twice(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", frame.set_axis([*frame.columns[:2], *frame.columns[1:-1]], axis=1))


@breaks("sequence_unique", "sequence_map")
def a_sequence_standing_twice_in_its_map(copy: Copy) -> None:
    frame = copy.read("sequence_map")
    copy.write("sequence_map", pd.concat([frame, frame.iloc[[2]]]))


@breaks("sequence_in_map", "logfc+sequence_map")
def a_sequence_the_map_does_not_have(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").iloc[1:])


@breaks("flag", "sequence_map")
def a_doubtful_no(copy: Copy) -> None:
    copy.set("sequence_map", 5, "PassesQC", "No?")


@breaks("value_missing", "sequence_map")
def no_word_on_quality_control(copy: Copy) -> None:
    copy.set("sequence_map", 5, "PassesQC", "")


@breaks("value_missing", "sequence_map")
def a_screened_sequence_without_a_cell_line(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", "")


@breaks("cell_line_id", "sequence_map")
def a_cell_line_by_its_name(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", "A375")


@breaks("surrounding_blanks", "sequence_map")
def a_blank_before_a_cell_line(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", " " + copy.read("sequence_map")["ModelID"].iloc[5])


@breaks("library_in_map", "sequence_map")
def another_library(copy: Copy) -> None:
    copy.entries["library"] = "KY"


@breaks("sequences_left", "sequence_map")
def no_sequence_passing(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").assign(PassesQC="No"))


@breaks("sequences_left", "sequence_map")
def every_sequence_excluded(copy: Copy) -> None:
    frame = copy.read("sequence_map").assign(ExcludeFromCRISPRCombined="True")
    copy.write("sequence_map", frame)


@breaks("sequences_left", "sequence_map")
def only_organoids(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").replace("2DS", "3DO"))


# -------------------------------------------------------------------------------------------- RNA


def with_profiles(copy: Copy, flags: Callable[[pd.DataFrame], pd.Series]) -> None:
    """Turn RNA into its later layout, each line's profile twice: the first is the default."""
    frame = copy.read("rna")
    frame = pd.concat([frame, frame], ignore_index=True)
    leading = pd.DataFrame(
        {
            "": range(len(frame)),
            "SequencingID": [f"CDS-{number:06}" for number in range(len(frame))],
            "ModelConditionID": "MC-1",
            "ModelID": frame[""],
            "IsDefaultEntryForMC": "Yes",
            "IsDefaultEntryForModel": ["Yes"] * (len(frame) // 2) + ["No"] * (len(frame) // 2),
        }
    )
    leading["IsDefaultEntryForModel"] = flags(leading)
    copy.write("rna", pd.concat([leading, frame.drop(columns="")], axis=1))


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


# ------------------------------------------------------------------------------------------ logFC


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


# ------------------------------------------------------------------------------------------- join


@breaks("cell_lines_retained", "sequence_map+rna")
def no_line_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    copy.write("rna", frame.assign(**{"": [f"ACH-9{row:05}" for row in range(len(frame))]}))


@breaks("cell_lines_retained", "sequence_map+rna")
def few_lines_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    renamed = [f"ACH-9{row:05}" if row % 5 else line for row, line in enumerate(frame[""])]
    copy.write("rna", frame.assign(**{"": renamed}))


@breaks("genes_retained", "guide_map+rna")
def few_genes_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    renamed = [f"N{i} (9{i:06})" if i % 5 else gene for i, gene in enumerate(frame.columns)]
    copy.write("rna", frame.set_axis(["", *renamed[1:]], axis=1))


@breaks("genes_left", "logfc+guide_map+rna")
def too_few_lines_for_any_gene(copy: Copy) -> None:
    frame = copy.read("sequence_map")
    lines = frame.loc[frame["PassesQC"] == "True", "ModelID"].unique()[:4]
    copy.write("sequence_map", frame.assign(PassesQC=frame["ModelID"].isin(lines)))


@breaks("connected", "logfc+rna")
def two_halves_without_a_link(copy: Copy) -> None:
    frame, maps = copy.read("logfc"), copy.read("sequence_map").set_index("SequenceID")
    genes = frame[""].map(copy.read("guide_map").set_index("sgRNA")["Gene"])
    lines = maps["ModelID"].reindex(frame.columns[1:])
    early_genes = (genes < "H").to_numpy()
    early_lines = (lines < "ACH-000500").to_numpy()
    frame.iloc[:, 1:] = frame.iloc[:, 1:].where(early_genes[:, None] == early_lines[None, :], "")
    copy.write("logfc", frame)


# --------------------------------------------------------------------------------------- controls


@breaks("controls_separated", "logfc+essential+nonessential")
def controls_the_wrong_way_round(copy: Copy) -> None:
    copy.files["essential"], copy.files["nonessential"] = FILES["nonessential"], FILES["essential"]


@breaks("controls_separated", "logfc+essential+nonessential")
def log_fold_changes_of_the_wrong_sign(copy: Copy) -> None:
    frame = copy.read("logfc").replace("", "nan")
    copy.write("logfc", pd.concat([frame[[""]], -frame.iloc[:, 1:].astype(float)], axis=1))


@breaks("controls_found", "essential+guide_map")
def controls_of_another_species(copy: Copy) -> None:
    copy.path("essential").write_text("Gene\nRpl3 (27367)\nPolr2a (20020)\n")


@breaks("controls_found", "expression_addictions+guide_map")
def addictions_of_another_species(copy: Copy) -> None:
    copy.path("expression_addictions").write_text("Gene\nSox10 (20665)\n")


@breaks("gene_label", "nonessential", also=("controls_found",))
def controls_by_symbol(copy: Copy) -> None:
    copy.path("nonessential").write_text("Gene\nABCG8\nACTL7A\n")


@breaks("controls_found", "nonessential+guide_map")
def controls_whose_guides_are_not_used(copy: Copy) -> None:
    frame = copy.read("guide_map")
    controls = pd.read_csv(copy.path("nonessential"))["Gene"]
    copy.write("guide_map", frame.assign(UsedByChronos=~frame["Gene"].isin(controls)))


@breaks("controls_measured", "logfc+essential")
def controls_without_a_value(copy: Copy) -> None:
    """Guides of controls are left one value each, in a sequence that fails quality control."""
    frame, maps = copy.read("logfc"), copy.read("sequence_map")
    controls = pd.read_csv(copy.path("essential"))["Gene"]
    genes = frame[""].map(copy.read("guide_map").set_index("sgRNA")["Gene"])
    frame.loc[genes.isin(controls), frame.columns[2:]] = ""
    copy.write("logfc", frame)
    maps.loc[maps["SequenceID"] == frame.columns[1], "PassesQC"] = "False"
    copy.write("sequence_map", maps)


# ---------------------------------------------------------------------- model table, long tables


@breaks("cell_line_unique", "model_table")
def a_line_standing_twice_in_the_model_table(copy: Copy) -> None:
    copy.files["model_table"] = "Model.csv"
    copy.path("model_table").write_text("ModelID,OncotreeLineage\n" + "ACH-000004,Myeloid\n" * 2)


@breaks("cell_line_id", "model_table")
def a_line_by_its_name_in_the_model_table(copy: Copy) -> None:
    copy.files["model_table"] = "Model.csv"
    copy.path("model_table").write_text("ModelID,OncotreeLineage\nHEL,Myeloid\n")


def as_long(copy: Copy, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Put a long table of twelve lines in place of all tables."""
    rng = np.random.default_rng(7)
    cells = [(f"G{i // 2}", f"g{i}", f"line {j}") for i in range(8) for j in range(12)]
    frame = pd.DataFrame(cells, columns=["gene", "guide", "cell_line"])
    rna = {key: rng.normal() for key in zip(frame["gene"], frame["cell_line"], strict=True)}
    frame["rna"] = [rna[key] for key in zip(frame["gene"], frame["cell_line"], strict=True)]
    frame["logfc"] = rng.normal(size=len(frame))
    copy.files = {"logfc": "long.csv"}
    copy.entries["rna_units"] = "z_score"
    copy.write("logfc", change(frame))


@breaks("rna_not_constant", "logfc")
def two_rna_values_of_a_gene_in_a_line(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(rna=long["rna"].where(long.index != 9, 0.5)))


@breaks("duplicate_measurement", "logfc")
def a_measurement_standing_twice(copy: Copy) -> None:
    as_long(copy, lambda long: pd.concat([long, long.iloc[[9]]]))


@breaks("missing_label", "logfc")
def a_measurement_of_no_gene(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(gene=long["gene"].where(long.index != 9)))


@breaks("guide_of_one_gene", "guide_map")
def a_guide_of_two_genes_in_a_long_table(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(guide=long["guide"].replace("g2", "g1")))


# ------------------------------------------------------------------------------------------ tests


def finished_runs(folder: Path) -> list[str]:
    """Return the finished runs of MLflow's default store in a folder."""
    store = folder / "mlflow.db"
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute("select run_uuid from runs where status = 'FINISHED'")
        return [run for (run,) in rows]


def test_the_sound_sample_has_no_error(copy: Copy):
    report = report_of(copy)
    assert report.errors == ()
    assert {finding.rule for finding in report.warnings} == {
        "genes_lost",
        "guides_per_gene",
        "logfc_missing",
    }


def test_the_whole_sample_has_no_error(shared: Path, tmp_path: Path):
    sample = shared / "data" / "avana_sample"
    files = FILES | {"logfc": f"{FILES['logfc']}.gz"}
    shutil.copytree(sample, tmp_path / "whole")
    report = report_of(Copy(tmp_path / "whole", files=files))
    assert report.errors == ()
    assert {finding.rule: finding.found for finding in report.warnings} == {
        "genes_lost": ("C8orf37 (157657)",),
        "guides_per_gene": ("DTX2 (113878): 1", "MPRIP (23164): 1"),
        "logfc_missing": ("0.23 % of 319,608 values",),
    }


def test_sound_later_and_long_layouts_have_no_error(copy: Copy):
    with_profiles(copy, lambda rna: rna["IsDefaultEntryForModel"])
    assert report_of(copy).errors == ()
    as_long(copy, lambda long: long)
    assert report_of(copy).errors == ()


def test_there_are_many_ways():
    assert len({case.spoil.__name__ for case in CASES}) == len(CASES) >= 45


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spoil.__name__)
def test_spoiled_tables_are_refused_by_their_rule(
    case: Case, copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    case.spoil(copy)
    report = report_of(copy)
    assert (case.rule, case.table) in {(error.rule, error.table) for error in report.errors}
    assert {error.rule for error in report.errors} == {case.rule, *case.also}
    assert main(["fit", copy.dataset_file()]) == BAD_INPUT
    assert case.rule in capsys.readouterr().err
    assert finished_runs(tmp_path) == []
