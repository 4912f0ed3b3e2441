"""Small releases for tests: sound tables in any format, drawn by hypothesis or by seed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Preparation

TIMES = int(os.environ.get("SCREENBAYES_FUZZ", "1"))
"""How many times the examples of the suite; more than once, they are other ones each time."""
LIBRARY = "Avana"
LOOSE = FitParameters(preparation=Preparation(min_rna_sd=0, min_cell_lines_per_gene=2))
SMALL = ("logfc", "guide_map", "sequence_map", "rna")
MATRICES = ("logfc", "rna", "copy_number")
CONTROLS = ("essential", "nonessential", "expression_addictions")
MATRIX_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".hdf5")
LIST_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def examples(number: int) -> settings:
    return settings(max_examples=number * TIMES)


@dataclass(frozen=True)
class Release:
    """The tables of a release, every one in the layout of today."""

    logfc: pd.DataFrame
    """Guides x sequences."""
    guide_map: pd.DataFrame
    sequence_map: pd.DataFrame
    rna: pd.DataFrame
    """Cell lines x genes."""
    suffixes: dict[str, str] = field(default_factory=dict)
    """Format of each table; CSV where none is said."""

    others: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Copy number, model table and lists of control genes, where there are any."""
    entries: dict[str, Any] = field(default_factory=dict)
    """What the dataset says beside the tables, or in place of one."""
    rewrites: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """What is done to the file of a table after it was written."""

    def table(self, name: str) -> pd.DataFrame:
        return self.others[name] if name in self.others else getattr(self, name)

    def write(self, folder: Path) -> Dataset:
        paths = {}
        for name in (*SMALL, *self.others):
            path = folder / f"{name}{self.suffixes.get(name, '.csv')}"
            frame = self.table(name)
            # Long tables, and profiles with flags, have no row labels.
            labels = name in MATRICES and frame.index.inferred_type != "integer"
            save(frame, path, index=labels)
            if name in self.rewrites:
                path.write_bytes(self.rewrites[name](path.read_bytes()))
            paths[name] = str(path)
        controls = {name: paths.pop(name) for name in CONTROLS if name in paths}
        content = {"name": "small", "release": "1", "library": LIBRARY, "controls": controls}
        return Dataset.model_validate(content | paths | self.entries)

    def having(self, table: str, frame: pd.DataFrame) -> "Release":
        """Return the release with another table in the place of one."""
        if table not in SMALL:
            return replace(self, others=self.others | {table: frame})
        tables: dict[str, Any] = {table: frame}
        return replace(self, **tables)

    def shuffled(self, seed: int) -> "Release":
        """Return the release with the rows and columns of every table in another order."""
        source = np.random.RandomState(seed)
        other = self
        for name in SMALL:
            frame = self.table(name).sample(frac=1, random_state=source)
            if name in MATRICES:
                frame = frame.sample(frac=1, axis=1, random_state=source)
            other = other.having(name, frame)
        return other


def save(frame: pd.DataFrame, path: Path, *, index: bool) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=index, row_group_size=3)
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file["data"] = frame.to_numpy(dtype=float)
            file["dim_0"] = frame.index.to_numpy(dtype="S")
            file["dim_1"] = frame.columns.to_numpy(dtype="S")
    else:
        frame.to_csv(path, index=index, index_label="" if index else None)


def release(
    n_genes: int = 3,
    n_lines: int = 4,
    n_guides: int = 2,
    n_replicates: int = 2,
    *,
    share_missing: float = 0.0,
    seed: int = 0,
) -> "Release":
    """Return a sound release with a guide that is not used, a plasmid pool and a failed sequence.

    A share of the log fold changes is missing; of each guide and each sequence some are not.
    """
    random = np.random.default_rng(seed)
    genes = [f"G{number} ({number + 1})" for number in range(n_genes)]
    lines = [f"ACH-{number:06}" for number in range(n_lines)]
    codes = random.permutation(4**5)[: n_genes * n_guides + 1]
    guides = ["ACGTACGTACGTACG" + "".join("ACGT"[n >> 2 * i & 3] for i in range(5)) for n in codes]
    replicates = [f"{line} r{number}" for line in lines for number in range(n_replicates)]
    sequences = [*replicates, "failed"]
    logfc = random.normal(0, 1, (len(guides), len(sequences))).round(6)
    missing = random.random(logfc.shape) < share_missing
    places = np.arange(len(guides))
    missing[places, places % len(sequences)] = False
    columns = np.arange(len(sequences))
    missing[columns % len(guides), columns] = False
    logfc[missing] = np.nan
    of_gene = [gene for gene in genes for _ in range(n_guides)]
    return Release(
        logfc=pd.DataFrame(logfc, guides, sequences),
        guide_map=pd.DataFrame(
            {
                "sgRNA": guides,
                "Gene": [*of_gene, genes[0]],
                "nAlignments": [*[1.0] * len(of_gene), 2.0],
                "UsedByChronos": [*[True] * len(of_gene), False],
            }
        ),
        sequence_map=pd.DataFrame(
            {
                "SequenceID": [*sequences, "pool"],
                "ModelID": [*np.repeat(lines, n_replicates), lines[0], None],
                "ScreenType": [*["2DS"] * len(sequences), "pDNA"],
                "Library": LIBRARY,
                "PassesQC": [*[True] * len(replicates), False, True],
            }
        ),
        rna=pd.DataFrame(random.uniform(0, 10, (n_lines, n_genes)).round(6), lines, genes),
    )


@st.composite
def releases(draw: st.DrawFn) -> "Release":
    """Sound releases of all sizes and formats, rows and columns in any order."""
    drawn = release(
        draw(st.integers(1, 4)),
        draw(st.integers(2, 6)),
        draw(st.integers(1, 3)),
        draw(st.integers(2, 3)),
        share_missing=draw(st.sampled_from((0.0, 0.1, 0.3))),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    suffixes = {
        name: draw(st.sampled_from(MATRIX_SUFFIXES if name in MATRICES else LIST_SUFFIXES))
        for name in SMALL
    }
    return replace(drawn, suffixes=suffixes).shuffled(draw(st.integers(0, 2**32 - 1)))
