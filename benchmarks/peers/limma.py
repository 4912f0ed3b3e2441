"""Calls of limma (Ritchie et al. 2015, Nucleic Acids Research 43), in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.peers import HERE, Missing
from model.effects.regression import line_means
from model.screen.design import ScreenDesign


def called_by_limma(design: ScreenDesign, level: float) -> np.ndarray:
    """Return which genes limma calls at a false discovery rate (G,); raise Missing without it.

    It regresses the same line means on RNA as `model.effects.regression`.
    """
    rscript = shutil.which("Rscript")
    if rscript is None:
        raise Missing("no Rscript; Debian has R as r-base-core and limma as r-bioc-limma")
    with TemporaryDirectory() as folder:
        for name, table in (("logfc", line_means(design)), ("rna", design.rna)):
            text = np.where(np.isnan(table), "NA", table.astype("U25"))
            np.savetxt(Path(folder, f"{name}.csv"), text, "%s", delimiter=",")
        done = subprocess.run(
            [rscript, "--vanilla", str(HERE / "limma.R"), folder], capture_output=True, text=True
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise Missing(f"{said[0]}; Debian has limma as r-bioc-limma")
        q = np.genfromtxt(Path(folder, "q_values.csv"), missing_values="NA")
    return np.asarray(q <= level)
