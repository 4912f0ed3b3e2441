"""The gene explorer of a fit: one self-contained HTML page of tables and charts to click.

The data come from `model.effects.explorer`, the page from `explorer.html.j2` and `explorer.js`. It
carries DataTables and plotly.js, and needs no network.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from model.effects.explorer import Explorer, explorer
from model.plots.gene_effects import CALL_COLOURS
from schemas.column_catalog import TABLES
from tasks.reports.answer import NOT_KNOWN, dominant_group
from tasks.reports.gene import DIRECTIONS, describe_flags
from tasks.reports.page import page_environment

if TYPE_CHECKING:
    from model.fit import FitResults

FLAGS = {
    "carried_by_one_line": "one line",
    "carried_by_one_lineage": "one lineage",
    "marks_lineage": "marks a lineage",
    "carried_by_copy_number": "copy number",
}
"""Flags of a gene, as short as the table shows them."""
NOT_ASSESSED = "not assessed"
SHOWN = {
    "gene": "Gene",
    "call": "Call",
    "driven by": "Driven by",
    "flags": "Flags",
    "beta_mean": "Beta",
    "beta_hdi_low": "Low",
    "beta_hdi_high": "High",
    "lfsr": "lfsr",
}
"""Headings of the columns that the table shows; others are in the CSV alone."""
RATES = ("call_error", "lfsr", "s_value", "lfsr_without_copy_number", "s_value_without_copy_number")
MEANINGS = {
    **TABLES["gene_effects.csv, gene_effects.parquet"],
    "driven by": "the cell line or lineage without which the sign would not be sure, or copy "
    f"number; {NOT_KNOWN}: none was left out",
    "flags": "reasons to check the gene, in words below its name",
}
MISSING = -32768
"""The integer that stands for a missing number."""
ROUNDED = 0.01
"""To this RNA, log fold change and copy number of single gene-line pairs are rounded."""


def render_explorer(results: FitResults, run_id: str) -> str:
    """Return the page of a fit as HTML that needs no other file and no network."""
    influence = results.influence
    data = explorer(
        results.tree["posterior"].to_dataset(),
        results.design,
        results.effects,
        None if influence is None else influence.line_influence,
        None if influence is None else influence.lineage_sensitivity,
    )
    title = f"{results.dataset.name} {results.dataset.release}, {results.parameters.model}"
    return explorer_page(data, title, run_id, results.convergence.n_draws)


def explorer_page(data: Explorer, title: str, run_id: str, n_draws: int) -> str:
    """Return the page of an explorer; `n_draws` is the number of draws of the posterior."""
    arrays = _Arrays()
    facts = json.dumps(_facts(data, arrays) | {"nDraws": n_draws}, allow_nan=False)
    return _ENVIRONMENT.get_template("explorer.html.j2").render(
        title=title,
        run_id=run_id,
        n_genes=len(data.effects),
        n_lines=len(data.cell_lines),
        rounded=ROUNDED,
        calls=[call for call in CALL_COLOURS if (data.effects["call"] == call).any()],
        flags=_flags_of_any(data.effects),
        flagged_lineages=_flagged_lineages(data.effects),
        has_lineages=bool((data.cell_lines["lineage"] != "").any()),
        has_copy_number=data.pairs.copy_number is not None,
        blobs={
            "facts": _packed(facts.encode()),
            "arrays": _packed(arrays.bytes()),
            "plotly": _library("plotly", "plotly/package_data/plotly.min.js"),
            "datatables": _library("itables", "itables/html/dt_bundle.js"),
        },
        style=_text_of("itables", "itables/html/dt_bundle.css"),
        script=(Path(__file__).parent / "explorer.js").read_text(encoding="utf-8"),
        licences=_licences(),
    )


class _Arrays:
    """Numbers as one block of bytes, and where in it each array is, for the script."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, values: Any, scale: float = 0.0) -> dict[str, object]:
        """Store an array; return type, offset, length and scale.

        Integers below 2^16 as they are, others and real numbers as float32; with a scale, as
        multiples of it, MISSING for numbers that are not finite or too large.
        """
        numbers = np.asarray(values)
        if scale:
            whole = np.round(numbers / scale)
            signed = np.where(np.abs(whole) < -MISSING, whole, MISSING).astype(int)
            # 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small numbers of either sign are small.
            numbers = np.where(signed < 0, -2 * signed - 1, 2 * signed).astype("<u2")
        elif numbers.dtype.kind in "iu" and numbers.max(initial=0) < 2**16:
            numbers = numbers.astype("<u2")
        else:
            numbers = numbers.astype("<f4")
        place = {"at": self._size, "length": numbers.size, "scale": scale}
        raw = numbers.tobytes()
        if scale:  # all lower bytes, then all higher ones, which are nearly all alike
            raw = numbers.view("u1").reshape(-1, 2).T.tobytes()
        padded = raw + b"\0" * (-len(raw) % 4)  # typed arrays begin at multiples of their items
        self._parts.append(padded)
        self._size += len(padded)
        return {"type": numbers.dtype.name, **place}

    def bytes(self) -> bytes:
        return b"".join(self._parts)


def _facts(data: Explorer, arrays: _Arrays) -> dict[str, object]:
    """Return texts, and where the numbers are."""
    effects, pairs, guides, left = data.effects, data.pairs, data.guides, data.left_out
    n_genes, fitted, histograms = len(effects), data.fitted, data.histograms
    start = np.cumsum(pairs.n) - pairs.n
    first = np.zeros(len(pairs.cell_line), bool)
    first[start[pairs.n > 0]] = True
    # The steps from line to line are nearly all 1, and take next to no space.
    step = np.where(first, pairs.cell_line, np.diff(pairs.cell_line, prepend=0))

    def per_gene(genes: pd.Series) -> dict[str, object]:
        return arrays.add(np.bincount(genes.to_numpy(int), minlength=n_genes))

    return {
        "columns": _columns(effects, arrays),
        "words": _words(effects),
        "directions": DIRECTIONS,
        "colours": CALL_COLOURS,
        "rnaUnit": "log2(TPM+1)" if data.rna_is_log2 else "z-score",
        "lines": {
            "label": data.cell_lines["cell_line"].tolist(),
            "lineage": data.cell_lines["lineage"].tolist(),
            "gamma": arrays.add(data.line_effects.gamma),
            "scale": arrays.add(data.line_effects.scale),
        },
        "pairs": {
            "n": arrays.add(pairs.n),
            "of": arrays.add(effects.get("n_cell_lines", pd.Series(pairs.n))),
            "step": arrays.add(step, 1.0),
            "rna": arrays.add(pairs.rna, ROUNDED),
            "logfc": arrays.add(pairs.logfc, ROUNDED),
            "copyNumber": None
            if pairs.copy_number is None
            else arrays.add(pairs.copy_number, ROUNDED),
        },
        "fitted": {
            "points": fitted.rna.shape[1],
            "rna": arrays.add(fitted.rna, ROUNDED),
            **{
                name: arrays.add(getattr(fitted, name), 0.001) for name in ("fitted", "low", "high")
            },
        },
        "histograms": {
            "bins": histograms.counts.shape[1],
            "low": arrays.add(histograms.low.astype(float)),
            "high": arrays.add(histograms.high.astype(float)),
            "counts": arrays.add(histograms.counts),
            "zero": arrays.add(histograms.n_zero),
        },
        "guides": {
            "n": per_gene(guides["gene"]),
            "guide": guides["guide"].tolist(),
            "lines": arrays.add(guides["n_cell_lines"]),
            "logfc": arrays.add(guides["logfc"], 0.001),
            "slope": arrays.add(guides["slope"], 0.001),
        },
        "leftOut": {
            "n": per_gene(left["gene"]),
            "label": left["left_out"].tolist(),
            "unit": left["unit"].tolist(),
            "beta": arrays.add(left["beta_without"].astype(float)),
            "change": arrays.add(left["change_in_sd"].astype(float)),
            "lfsr": arrays.add(left["lfsr_without"].astype(float)),
        },
    }


def _columns(effects: pd.DataFrame, arrays: _Arrays) -> list[dict[str, object]]:
    """Return name, heading, meaning, kind and values of all columns, those shown first."""
    table = effects.assign(**{"driven by": dominant_group(effects), "flags": _flags(effects)})
    names = [name for name in SHOWN if name in table]
    names += [str(name) for name in table if name not in SHOWN]
    columns: list[dict[str, object]] = []
    for name in names:
        values = table[name]
        if is_numeric_dtype(values) and not is_bool_dtype(values):
            kind = "rate" if name in RATES else "integer" if values.dtype.kind in "iu" else "number"
            stored: object = arrays.add(values)
        else:
            kind, stored = "text", ["" if pd.isna(one) else str(one) for one in values]
        heading, meaning = SHOWN.get(name, ""), MEANINGS.get(name, "").replace("`", "")
        columns.append(
            {"name": name, "title": heading, "meaning": meaning, "kind": kind, "values": stored}
        )
    return columns


def _flags(effects: pd.DataFrame) -> pd.Series:
    """Return the flags of each gene, short, after each other."""
    words = pd.Series("", effects.index)
    for flag, short in FLAGS.items():
        if flag in effects:
            words[effects[flag].fillna(False).astype(bool)] += f"{short}, "
    if "carried_by_one_line" in effects:
        words[effects["carried_by_one_line"].isna()] += f"{NOT_ASSESSED}, "
    return words.str.removesuffix(", ")


def _words(effects: pd.DataFrame) -> dict[str, list[str]]:
    """Return what `describe_flags` says, by flags of `_flags`, and by gene where it has any."""
    flags, words = _flags(effects), {}
    for short, rows in effects.groupby(flags):
        # Genes without flags, nearly all of a large screen, have the same words.
        alike = short in ("", NOT_ASSESSED)
        for number in rows.index[:1] if alike else rows.index:
            words[str(short) if alike else str(number)] = describe_flags(effects.loc[number])
    return words


def _flags_of_any(effects: pd.DataFrame) -> list[str]:
    found = _flags(effects)
    return [short for short in (*FLAGS.values(), NOT_ASSESSED) if found.str.contains(short).any()]


def _flagged_lineages(effects: pd.DataFrame) -> list[str]:
    """Return the lineages that drive a slope or that a gene marks."""
    flagged = _flags(effects).str.contains("lineage")
    return sorted(set(effects.loc[flagged, "most_influential_lineage"])) if flagged.any() else []


def _packed(content: bytes) -> str:
    return b64encode(gzip.compress(content, 6, mtime=0)).decode()


@cache
def _library(package: str, file: str) -> str:
    return _packed(_text_of(package, file).encode())


@cache
def _text_of(package: str, file: str) -> str:
    """Return a file of an installed package, without importing it."""
    return Path(str(distribution(package).locate_file(file))).read_text(encoding="utf-8")


@cache
def _licences() -> str:
    """Return the licences of all code that the page carries and that is not ours."""
    plotly = distribution("plotly").read_text("licenses/LICENSE.txt")
    itables = distribution("itables").read_text("licenses/LICENSE")
    bundle = _text_of("itables", "itables/html/dt_bundle.js")
    bundled = bundle[bundle.rindex("/*! Bundled license information") :]
    return "\n\n".join(
        [f"plotly.js\n\n{plotly}", f"itables, which bundles DataTables\n\n{itables}", bundled]
    )


_ENVIRONMENT = page_environment()
