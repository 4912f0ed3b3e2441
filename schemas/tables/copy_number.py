"""Rules of the copy-number table: its genes, its unit, its values, its default profiles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from schemas.dataset import Dataset
from schemas.parameters import Contract
from schemas.reports import Finding
from schemas.tables.containers import RawProfiles
from schemas.tables.layouts import free_labels
from schemas.tables.maps import GENE_PATTERN
from schemas.tables.profiles import (
    are_absolute,
    broken_cells,
    broken_defaults,
    broken_labels,
    share_near_one,
)
from schemas.tables.rule import Rule, beyond, share

COPY_NUMBER_GENE_LABEL = Rule(
    "copy_number_gene_label",
    "SYMBOL (ENTREZ), as SOX10 (6663)",
    "none needed if intended: these columns are not used",
    "warning",
)
COPY_NUMBER_GENE_UNIQUE = Rule(
    "copy_number_gene_unique",
    "one column per gene",
    "keep the right column of each; the copy number of these genes counts as unknown",
    "warning",
)
COPY_NUMBER_FINITE = Rule("copy_number_finite", "finite numbers", "leave unknown values empty")
COPY_NUMBER_NOT_NEGATIVE = Rule(
    "copy_number_not_negative",
    "log2(ratio + 1) or ratios, 0 or more",
    "for log2(ratio), which is negative for losses, provide log2(ratio + 1)",
)
COPY_NUMBER_NOT_RNA = Rule(
    "copy_number_not_rna",
    "copy numbers relative to the ploidy of the line, at least {limit:.0%} within 0.5 of 1",
    "the values seem to be RNA: name this table as `rna`, and one of copy number as `copy_number`",
)
COPY_NUMBER_NOT_ABSOLUTE = Rule(
    "copy_number_not_absolute",
    "copy numbers relative to the ploidy of the line, not whole numbers",
    "the values seem to be absolute copy numbers: provide relative ones, such as OmicsCNGene",
)
COPY_NUMBER_NOT_RATIO = Rule(
    "copy_number_not_ratio",
    "log2(ratio + 1), at most {limit:g}",
    "the values seem to be ratios: set copy_number_units: ratio in the dataset",
)
COPY_NUMBER_NOT_LOG2 = Rule(
    "copy_number_not_log2",
    "ratios, some of them above {limit:g} in a table of so many values",
    "the values seem to be log2(ratio + 1): set copy_number_units: log2_ratio_plus_1",
)
COPY_NUMBER_HIGH = Rule(
    "copy_number_high",
    "log2(ratio + 1) seldom above {limit:g}, a ratio of {ratio:,.0f}",
    "check these values, and their unit: for ratios set copy_number_units: ratio in the dataset",
    "warning",
)
COPY_NUMBER_KNOWN = Rule("copy_number_known", "some values", "provide the table with its values")
COPY_NUMBER_MISSING = Rule(
    "copy_number_missing",
    "a value for each gene and cell line",
    "none needed if intended: the mean of the gene is used for these gene-line pairs",
    "warning",
)

LEAST_NEAR_ONE = 0.5
"""Share of copy numbers within 0.5 of 1 below which they are something else."""
MANY_VALUES = 50_000
"""Number of ratios of which some are above `copy_number_fail_above`: 7 of 52,084 in the sample."""


def check_copy_number(raw: RawProfiles, dataset: Dataset, contract: Contract) -> list[Finding]:
    """Return the findings on genes, default profiles and values of a copy-number table.

    Releases have genes without a number, of which none is in a screen: they are no errors.
    """
    return [
        *broken_labels(raw),
        *_broken_genes(raw.values.columns, free_labels(raw.source.layout)),
        *broken_defaults("copy_number", raw.profiles),
        *_broken_values(raw, dataset, contract),
    ]


def _broken_genes(columns: pd.Index, is_free: bool) -> Iterator[Finding]:
    genes = pd.Series(columns.astype("str").str.strip())
    unnumbered = genes[~genes.str.fullmatch(GENE_PATTERN)]
    if len(unnumbered) and not is_free:
        yield COPY_NUMBER_GENE_LABEL.broken(
            "copy_number", list(map(repr, unnumbered)), column="gene labels"
        )
    repeated = genes[genes.duplicated()].unique()
    if len(repeated):
        yield COPY_NUMBER_GENE_UNIQUE.broken("copy_number", repeated, column="gene labels")


def _broken_values(raw: RawProfiles, dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    values = raw.values.to_numpy(dtype=np.float64)
    if values.size == 0:
        return
    missing, infinite = np.isnan(values), np.isinf(values)
    if missing.all():
        yield COPY_NUMBER_KNOWN.broken("copy_number", (f"none of {values.size:,} is known",))
        return
    yield from broken_cells(COPY_NUMBER_FINITE, raw, infinite)
    negative = (values < 0) & ~infinite
    yield from broken_cells(COPY_NUMBER_NOT_NEGATIVE, raw, negative)
    if not (infinite | negative).any():  # otherwise the unit is not clear
        yield from _broken_scale(raw, values, dataset, contract)
    if n_missing := int(missing.sum()):
        found = (
            share(n_missing, values.size),
            f"{missing.all(axis=0).sum():,} genes without any",
            f"{missing.all(axis=1).sum():,} profiles without any",
        )
        yield COPY_NUMBER_MISSING.broken("copy_number", found, count=n_missing)


def _broken_scale(
    raw: RawProfiles, values: np.ndarray, dataset: Dataset, contract: Contract
) -> Iterator[Finding]:
    """Check that values, 0 or more or NaN, are relative and in the unit of the dataset."""
    warn, fail = contract.copy_number_warn_above, contract.copy_number_fail_above
    is_ratio, near = dataset.copy_number_units == "ratio", share_near_one(values)
    if are_absolute(values):
        rule, limit = COPY_NUMBER_NOT_ABSOLUTE, np.nan
    elif near < LEAST_NEAR_ONE:
        rule, limit = COPY_NUMBER_NOT_RNA, LEAST_NEAR_ONE
    elif is_ratio and values.size >= MANY_VALUES and not (values > fail).any():
        rule, limit = COPY_NUMBER_NOT_LOG2, fail
    elif not is_ratio and (values > fail).any():
        rule, limit = COPY_NUMBER_NOT_RATIO, fail
    else:
        ratio = 2**warn - 1
        high = values > (ratio if is_ratio else warn)
        yield from broken_cells(COPY_NUMBER_HIGH, raw, high, limit=warn, ratio=ratio)
        return
    known = values[np.isfinite(values)]
    middle, upper = np.quantile(known, (0.5, 0.999))
    largest = beyond(known.max(), limit)
    near_one = "" if np.isnan(near) else f", {near:.0%} within 0.5 of 1"
    found = f"median {middle:.3g}, 99.9 % quantile {upper:.3g}, largest {largest}{near_one}"
    yield rule.broken("copy_number", (found,), count=known.size, limit=limit)
