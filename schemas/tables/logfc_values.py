"""Rules on what the values of a logFC table are: log2 fold changes, and no other quantity.

They judge evenly spaced rows of the table: some thousand guides tell what its columns are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from schemas.reports import Finding
from schemas.tables.rule import Rule

LOGFC_SIGNED = Rule(
    "logfc_signed",
    "log2 fold changes, some of them below 0",
    "the values seem to be ratios, counts or log counts: provide the log2 of end over start",
)
LOGFC_NOT_COUNTS = Rule(
    "logfc_not_counts",
    "log2 fold changes, not whole numbers",
    "the values seem to be counts: provide the log2 of end over start",
)
SEQUENCE_CONSTANT = Rule(
    "sequence_constant",
    "values that differ between the guides of each column",
    "remove these columns: a sample divided by itself, or unknown values that were filled in",
)
LOGFC_BOTH_SIGNS = Rule(
    "logfc_both_signs",
    "at least {limit:.0%} of the values of each column on either side of 0",
    "check the unit of these columns: most guides have little effect, so their medians are near 0",
    "warning",
)
LOGFC_ZEROS = Rule(
    "logfc_zeros",
    "exact zeros in at most {limit:.0%} of the table and {of_column:.0%} of each column",
    "leave unknown values empty, where 0 stands for them, and provide more than one decimal",
    "warning",
)
GENE_LEVEL = Rule(
    "gene_level",
    "log fold changes of guides and replicates; this table has one value per gene and cell line",
    "none needed with --model m4_zero_mean or m4: their sigma includes noise of guides and "
    "replicates, which cannot be told from differences between lines",
    "warning",
)
LOGFC_NOT_Z_SCORE = Rule(
    "logfc_not_z_score",
    "log2 fold changes, not standardised",
    "the values seem to be z-scores: provide log2 fold changes, whose spread is part of the model",
    "warning",
)

GUIDES_JUDGED = 2000
"""Rows that are enough to tell what the columns are."""
FEWEST_VALUES = 20
"""Values of a table below which their signs and digits show nothing."""
FEWEST_OF_CONSTANT = 5
"""Values of a column or row below which they may be equal by chance."""
FEWEST_OF_COLUMN = 100
"""Values of a column below which all may have one sign: some screens are of essential genes."""
LEAST_OF_SIGN = 0.01
"""Usual columns have 26 to 87 % negative values, in the sample and in simulated releases."""
MOST_ZEROS, MOST_ZEROS_OF_COLUMN = 0.05, 0.25
"""The sample has 0.01 % of zeros; values with two decimals have one in a hundred."""
FEWEST_STANDARDISED = 10
"""Values of a row or column from which its mean and SD show that it was standardised."""


def check_logfc_values(
    values: np.ndarray, sequences: np.ndarray, used: np.ndarray
) -> Iterator[Finding]:
    """Yield the findings on log2 fold changes (n_guides, n_sequences), NaN where missing.

    `sequences`: labels of the columns; `used`: which of them are fitted, as others failed quality
    control and may have any defect. Infinite values have a rule of their own.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    yield from _broken_standards(values)
    values, sequences = values[:, used], sequences[used]
    count = np.count_nonzero(~np.isnan(values), axis=0)
    lowest, highest = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    constant = (count >= FEWEST_OF_CONSTANT) & (lowest == highest)
    if constant.any():
        found = [
            f"{label!r}: {value:g} in every guide"
            for label, value in zip(sequences[constant], lowest[constant], strict=True)
        ]
        yield SEQUENCE_CONSTANT.broken("logfc", found, column="sequence")
    values, count = values[:, ~constant], count[~constant]
    known = values[~np.isnan(values)]
    if known.size < FEWEST_VALUES:
        return
    middle = f"the smallest of the values is {known.min():g}, their median {np.median(known):.3g}"
    if not (known < 0).any():
        yield LOGFC_SIGNED.broken("logfc", (middle,), count=known.size)
    elif (known == np.round(known)).all():
        yield LOGFC_NOT_COUNTS.broken("logfc", (middle,), count=known.size)
    else:
        yield from _broken_signs(values, count, sequences[~constant])
    yield from _broken_zeros(values, count, sequences[~constant])


def _broken_signs(
    values: np.ndarray, count: np.ndarray, sequences: np.ndarray
) -> Iterator[Finding]:
    below, above = np.count_nonzero(values < 0, axis=0), np.count_nonzero(values > 0, axis=0)
    one_sign = (count >= FEWEST_OF_COLUMN) & (
        np.minimum(below, above) + (count - below - above) < LEAST_OF_SIGN * count
    )
    if one_sign.any():
        medians = np.nanmedian(values[:, one_sign], axis=0)
        found = [
            f"{label!r}: median {median:.3g}"
            for label, median in zip(sequences[one_sign], medians, strict=True)
        ]
        yield LOGFC_BOTH_SIGNS.broken("logfc", found, column="sequence", limit=LEAST_OF_SIGN)


def _broken_zeros(
    values: np.ndarray, count: np.ndarray, sequences: np.ndarray
) -> Iterator[Finding]:
    zeros, limits = np.count_nonzero(values == 0, axis=0), (MOST_ZEROS, MOST_ZEROS_OF_COLUMN)
    share = zeros.sum() / count.sum()
    many = (count >= FEWEST_VALUES) & (zeros > limits[1] * count)
    found = [
        f"{label!r}: {part:.0%}"
        for label, part in zip(sequences[many], zeros[many] / count[many], strict=True)
    ]
    if share > limits[0]:
        found = [f"{share:.0%} of the values", *found]
    if found:
        yield LOGFC_ZEROS.broken("logfc", found, limit=limits[0], of_column=limits[1])


def _broken_standards(values: np.ndarray) -> Iterator[Finding]:
    """Check that neither the columns nor the rows all have mean 0 and SD 1."""
    for axis, what in ((0, "column"), (1, "row")):
        count = np.count_nonzero(~np.isnan(values), axis=axis)
        judged = np.compress(count >= FEWEST_STANDARDISED, values, axis=1 - axis)
        if judged.shape[1 - axis] < 2:
            continue
        means, sds = np.nanmean(judged, axis=axis), np.nanstd(judged, axis=axis)
        # An SD over n - 1 of ten values is 1.054 times that over n.
        if (np.abs(means) < 0.01).all() and (np.abs(sds - 1) < 0.06).all():
            found = (f"every {what} has mean 0 and SD 1",)
            yield LOGFC_NOT_Z_SCORE.broken("logfc", found, count=judged.size)
            return
