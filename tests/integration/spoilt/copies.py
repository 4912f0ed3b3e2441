"""A copy of the real sample that may be spoilt, and the register of ways to do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

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
