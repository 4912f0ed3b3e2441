"""Rules on what the values of an RNA table are: log2(TPM+1) or z-scores, measured in each line.

They judge the default profiles alone: the others are not fitted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from schemas.reports import Finding
from schemas.tables.containers import RawProfiles
from schemas.tables.copies import column_keys
from schemas.tables.profiles import default_profiles
from schemas.tables.rule import Rule

RNA_PROFILE_CONSTANT = Rule(
    "rna_profile_constant",
    "values that differ between the genes of each profile",
    "remove these rows: a line without a profile is left out",
)
RNA_PROFILE_COPIED = Rule(
    "rna_profile_copied",
    "distinct values in every profile",
    "check the origin of these rows: one line has the RNA of the other",
    "warning",
)
RNA_GENE_COPIED = Rule(
    "rna_gene_copied",
    "distinct values in every column",
    "check the origin of these columns: they may be one gene under two labels",
    "warning",
)
RNA_ZEROS = Rule(
    "rna_zeros",
    "about as many zeros in each profile as in the others, {usual:.0%}",
    "leave unknown values empty: a 0 is fitted as a gene that is not expressed",
    "warning",
)
RNA_NOT_TPM = Rule(
    "rna_not_tpm",
    "log2(TPM+1): the TPM of a whole profile add up to a million",
    "provide log2(TPM+1), not another logarithm, nor that of counts",
)
RNA_PROFILE_NOT_TPM = Rule(
    "rna_profile_not_tpm",
    "log2(TPM+1) in each profile: its TPM add up to a million",
    "check the unit of these profiles, and whether they are whole",
    "warning",
)
RNA_NOT_LOG2 = Rule(
    "rna_not_log2",
    "log2(TPM+1), from which TPM of two decimals follow, as of RSEM; {share:.0%} of the low values "
    "are such",
    "divide the values by log(2), in the logarithm of that base",
)
RNA_LIKE_COUNTS = Rule(
    "rna_like_counts",
    "log2(TPM+1), from which seldom whole numbers follow",
    "if these are counts of reads, provide log2(TPM+1)",
    "warning",
)
RNA_FILLED = Rule(
    "rna_filled",
    "few cell lines with exactly the same value of an expressed gene",
    "leave unknown values empty: a mean that was filled in is fitted as measured",
    "warning",
)
RNA_LOW = Rule(
    "rna_low",
    "log2(TPM+1), some of it above {limit:g}",
    "check the unit: the values may be log10 or another quantity",
    "warning",
)
RNA_Z_SCORE_SCALED = Rule(
    "rna_z_score_scaled",
    "z-scores, whose SD by gene is near 1",
    "check the unit: provide z-scores or log2(TPM+1)",
    "warning",
)

LOW_TPM, TPM_STEP, STEP_ERROR = 0.5, 0.01, 0.1
"""Values below which single steps of TPM differ in their fourth decimal; the step; the largest
error of a whole number of steps."""
SMALL_COUNT = 6.0
"""Log2 of counts that differ in their fourth decimal."""
FEWEST_STEPS, MOST_OF_LOG2, LEAST_OF_OTHER = 12, 0.6, 0.9
"""Different low values needed, and shares of whole steps under log2 and under another base."""
EXPRESSED, RESOLUTION = 3.0, 0.0018
"""RNA, log2(TPM+1), above which a step of TPM is at most so large; lower values are often equal."""
LEAST_EQUAL, LEAST_FILLED = 0.05, 0.1
"""Share of lines with the same value from which a gene was filled in, and of genes from which the
table was."""
WHOLE_TABLE = 10_000
"""Genes from which a table has nearly all TPM of a line."""
LEAST_TPM, MOST_TPM = 2.5e5, 5e6
"""Limits of the sum of TPM. Of log10 it is near 2e4, of ln 2e5, of counts 5e7; of simulated
releases 1.4e6, as their genes are independent."""
FEWEST_GENES, FEWEST_VALUES = 5, 200
"""Genes of a profile, distinct values of copies, and values of a table, below which the rules show
nothing."""
GENES_COMPARED, LINES_JUDGED = 500, 200
LARGEST_DIFFERENCE = 0.01
"""Root mean square difference of copies, one of them rounded to two decimals; the two most similar
lines of the sample differ by 0.8."""
LOW = 4.5
"""22 TPM; the largest value of the sample is 10.8 (3.3 as log10), of its 24-gene parts above 9."""
FEWEST_OF_ZEROS, MORE_ZEROS = 20, 0.5
"""Genes of a profile, and excess share of zeros, from which it was filled in; 0.23 in the sample.
"""


def check_rna_values(
    raw: RawProfiles, *, z_scores: bool = False, linear_above: float = np.inf
) -> Iterator[Finding]:
    """Yield the findings on RNA, in log2(TPM+1) or z-scores, of the default profiles.

    Values above `linear_above` are linear, which has a rule of its own.
    """
    values = raw.values.to_numpy(dtype=np.float64)
    defaults = default_profiles(raw.profiles).fillna(False).to_numpy(dtype=bool)
    labels = _labels(raw.profiles)[defaults]
    if not defaults.all():
        values = values[defaults]
    if values.shape[1] < FEWEST_GENES or not len(values):
        return
    lowest, highest = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    constant = (lowest == highest) & (np.isfinite(values).sum(axis=1) >= FEWEST_GENES)
    if (silent := constant & (lowest == 0)).any() and _may_be_silent(values[~constant]):
        constant &= ~silent
    if constant.any():
        found = [
            f"{label}: {value:g} in every gene"
            for label, value in zip(labels[constant], lowest[constant], strict=True)
        ]
        yield RNA_PROFILE_CONSTANT.broken("rna", found, column="cell_line")
    kept = ~constant & ~np.isnan(lowest)
    if not kept.all():
        values, labels = values[kept], labels[kept]
    if not len(values):
        return
    yield from _copied_profiles(values, labels)
    yield from _copied_genes(values, raw.values.columns)
    yield from _filled_genes(values, raw.values.columns, z_scores)
    if z_scores:
        yield from _broken_spread(values)
    elif lowest[kept].min() >= 0 and np.isfinite(highest[kept]).all():
        yield from _broken_zeros(values, labels)
        if (largest := float(highest[kept].max())) <= linear_above:
            other = list(_broken_base(values))
            if values.shape[1] < WHOLE_TABLE:  # else the sum of TPM decides
                other += _broken_counts(values)
            yield from other or _broken_unit(values, labels, largest)


def _may_be_silent(values: np.ndarray) -> bool:
    """Whether a line may express none of these genes, given the profiles of other lines.

    So it may of few genes that belong to one lineage, and not of a gene that most lines express.
    """
    few = 0 < values.shape[1] < FEWEST_OF_ZEROS
    return few and len(values) > 0 and float(np.nanquantile(values, 0.1, axis=0).max()) < 1


def _labels(profiles: pd.DataFrame) -> np.ndarray:
    lines = profiles["cell_line"].astype("str").fillna("")
    return np.array([f"line {at}, {line}" for at, line in lines.items()], dtype=object)


def _copied_profiles(values: np.ndarray, labels: np.ndarray) -> Iterator[Finding]:
    """Find equal profiles by their distances, as copies may be rounded to fewer digits."""
    some = values[:, :: max(1, values.shape[1] // GENES_COMPARED)]
    some = some[:, np.isfinite(some).all(axis=0)]
    some = some[:, np.ptp(some, axis=0) > 0] if len(some) else some
    if some.shape[1] < FEWEST_GENES:
        return
    centred = some - some.mean(axis=0)
    lengths = np.einsum("lg,lg->l", centred, centred)
    squares = lengths[:, None] + lengths - 2 * centred @ centred.T
    largest = LARGEST_DIFFERENCE**2 * some.shape[1]
    means = (lengths <= largest) & (np.median(lengths) > 100 * largest)
    if len(some) > FEWEST_GENES and means.any():
        found = [f"{label}: the mean of every gene" for label in labels[means]]
        yield RNA_FILLED.broken("rna", found, column="cell_line")
    close = np.triu(squares <= largest, 1)
    pairs = [
        f"{labels[one]} = {labels[other]}"
        for one, other in np.argwhere(close)
        if len(np.unique(some[one].round(1))) >= FEWEST_GENES  # silent genes are alike by chance
    ]
    if pairs:
        yield RNA_PROFILE_COPIED.broken("rna", pairs, column="cell_line")


def _copied_genes(values: np.ndarray, genes: pd.Index) -> Iterator[Finding]:
    """Find equal columns, but for silent genes, which are alike by chance."""
    weights = np.random.default_rng(1).integers(2**64, size=len(values), dtype=np.uint64)
    # In parts of some genes: a whole table of temporary values would take 0.3 GB.
    parts = np.array_split(values, 1 + values.shape[1] // 1000, axis=1)
    keys = np.concatenate([column_keys(part, weights) for part in parts])
    same = pd.Series(np.arange(len(genes))).groupby(keys).agg(list)
    found = [
        " = ".join(map(str, genes[places]))
        for places in same[same.map(len) > 1]
        if len(np.unique(values[:, places[0]].round(1))) >= FEWEST_GENES
    ]
    if found:
        yield RNA_GENE_COPIED.broken("rna", found, column="gene labels")


def _broken_spread(values: np.ndarray) -> Iterator[Finding]:
    if values.size < FEWEST_VALUES or len(values) < FEWEST_GENES:
        return
    spread = float(np.median(pd.DataFrame(values).std().dropna()))
    if not 1 / 3 <= spread <= 3:
        found = (f"the median over genes is {spread:.2g}",)
        yield RNA_Z_SCORE_SCALED.broken("rna", found, count=values.shape[1])


def _broken_zeros(values: np.ndarray, labels: np.ndarray) -> Iterator[Finding]:
    if values.shape[1] < FEWEST_OF_ZEROS:
        return
    zeros = np.count_nonzero(values == 0, axis=1) / values.shape[1]
    usual = float(np.median(zeros))
    many = zeros > usual + MORE_ZEROS
    if many.any():
        found = [
            f"{label}: {part:.0%}" for label, part in zip(labels[many], zeros[many], strict=True)
        ]
        yield RNA_ZEROS.broken("rna", found, column="cell_line", usual=usual)


def _filled_genes(values: np.ndarray, genes: pd.Index, z_scores: bool) -> Iterator[Finding]:
    """Find genes of which many lines have exactly the same value, in some hundred genes.

    As many as by chance are allowed for, given the decimals of the table. Of z-scores, a mean that
    was filled in is 0.
    """
    step = max(1, values.shape[1] // GENES_COMPARED)
    some = values[:, ::step][np.isfinite(values[:, ::step])]
    decimals = next((n for n in (1, 2) if (some == some.round(n)).all()), 4)
    found, n_judged = [], 0
    for gene, column in zip(genes[::step], values.T[::step], strict=True):
        known = column[np.isfinite(column)]
        of_gene, counts = np.unique(known, return_counts=True)
        judged = of_gene == 0 if z_scores else of_gene > EXPRESSED
        if not judged.any() or len(of_gene) < FEWEST_GENES:
            continue
        n_judged += 1
        most = counts[judged].argmax()
        chance = 0.4 * len(known) * max(RESOLUTION, 10.0**-decimals) / known.std()
        limit = max(3, LEAST_EQUAL * len(known), chance + 5 * np.sqrt(chance) + 2)
        if (count := counts[judged][most]) >= limit:
            found.append(f"{gene}: {of_gene[judged][most]:g} in {count} of {len(known)} lines")
    if len(found) >= max(2, LEAST_FILLED * n_judged):
        yield RNA_FILLED.broken("rna", found, column="gene labels")


def _broken_base(values: np.ndarray) -> Iterator[Finding]:
    """Check that TPM have two decimals under log2, where they have under another logarithm."""
    some = values[:: max(1, len(values) // LINES_JUDGED)]
    low = np.unique(some[(some > 0) & (some < LOW_TPM)])
    if len(low) < FEWEST_STEPS:
        return

    def whole_steps(base: float) -> float:
        steps = (base**low - 1) / TPM_STEP
        return float(np.mean(np.abs(steps - steps.round()) <= STEP_ERROR))

    of_log2 = whole_steps(2)
    for base, name in ((np.e, "ln(TPM+1)"), (10, "log10(TPM+1)")):
        if of_log2 < MOST_OF_LOG2 and (share := whole_steps(base)) >= LEAST_OF_OTHER:
            found = (f"{share:.0%} are as {name}",)
            yield RNA_NOT_LOG2.broken("rna", found, count=values.size, share=of_log2)


def _broken_counts(values: np.ndarray) -> Iterator[Finding]:
    """Check that the values are not logarithms of whole numbers, which TPM seldom are."""
    some = values[:: max(1, len(values) // LINES_JUDGED)]
    counts = np.exp2(np.unique(some[(some > 0) & (some < SMALL_COUNT)])) - 1
    whole = np.abs(counts - counts.round()) <= STEP_ERROR / 2
    if len(counts) >= FEWEST_STEPS and whole.mean() >= LEAST_OF_OTHER:
        found = (f"{whole.mean():.0%} of the low values are log2 of a whole number",)
        yield RNA_LIKE_COUNTS.broken("rna", found, count=values.size)


def _broken_unit(values: np.ndarray, labels: np.ndarray, highest: float) -> Iterator[Finding]:
    """Check the sum of TPM, exp2(values) - 1, by profile (float32: three digits are enough)."""
    parts = np.array_split(values, 1 + len(values) // 100)
    sums = np.concatenate(
        [
            np.nansum(np.exp2(part.astype(np.float32)) - 1, axis=1, dtype=np.float64)
            for part in parts
        ]
    )
    middle = float(np.median(sums))
    least = LEAST_TPM if values.shape[1] >= WHOLE_TABLE else 0
    if not least <= middle <= MOST_TPM:
        total = f"{middle:,.0f} in {values.shape[1]:,} genes (median over profiles)"
        yield RNA_NOT_TPM.broken("rna", (total,), count=values.size)
        return
    wrong = (sums < least) | (sums > MOST_TPM)
    if wrong.any():
        found = [
            f"{label}: {part:,.0f}" for label, part in zip(labels[wrong], sums[wrong], strict=True)
        ]
        yield RNA_PROFILE_NOT_TPM.broken("rna", found, column="cell_line")
    elif values.size >= FEWEST_VALUES and highest < LOW:
        yield RNA_LOW.broken("rna", (f"the largest is {highest:g}",), count=1, limit=LOW)
