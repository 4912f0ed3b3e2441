"""The rules of the RNA table: its genes, its values, its default profiles.

The text of its leading columns is parsed in `schemas.tables`; the join with the screen is judged in
`schemas.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from schemas.dataset import Dataset
from schemas.findings import Rule, first_cells, share
from schemas.layouts import free_labels
from schemas.parameters import Contract
from schemas.plain_text import is_plain_label
from schemas.reports import Finding
from schemas.screen import RawRna
from schemas.tables import BLANKS, FLAGS, GENE_LABEL, GENE_PATTERN, LABEL, TABLE_EMPTY

DEFAULTS_EXIST = Rule(
    "default_profiles_exist",
    "profiles marked as the default of their cell line",
    "give the table with its flags; without them no profile is taken",
)
ONE_DEFAULT = Rule(
    "one_default_profile",
    "exactly one default RNA profile a cell line",
    "mark one profile of each line as its default",
)
RNA_GENE_UNIQUE = Rule(
    "rna_gene_unique", "one column a gene (Entrez number)", "keep the right column of each"
)
RNA_SYMBOL_UNIQUE = Rule(
    "rna_symbol_unique", "one Entrez number a symbol", "check which number is right", "warning"
)
RNA_FINITE = Rule("rna_finite", "finite numbers", "leave unknown values empty")
RNA_NOT_NEGATIVE = Rule(
    "rna_not_negative",
    "log2(TPM+1), 0 or more",
    "give log2(TPM+1); for z-scores set rna_units: z_score in the dataset",
)
RNA_NOT_LINEAR = Rule(
    "rna_not_linear",
    "log2(TPM+1), at most {limit:g}",
    "this looks like linear TPM: give log2(TPM+1)",
)
RNA_HIGH = Rule(
    "rna_high", "log2(TPM+1), seldom above {limit:g}", "check the unit of these values", "warning"
)
RNA_Z_SCORE = Rule(
    "rna_z_score",
    "z-scores, between -{limit:g} and {limit:g}",
    "for log2(TPM+1) set rna_units: log2_tpm in the dataset",
)
RNA_Z_SCORE_SIGNED = Rule(
    "rna_z_score_signed",
    "z-scores, some of them negative",
    "for log2(TPM+1) set rna_units: log2_tpm in the dataset",
)
RNA_Z_SCORE_CENTRED = Rule(
    "rna_z_score_centred",
    "z-scores, their mean by gene between -{limit:g} and {limit:g}",
    "check that each gene was standardised, over lines like these",
    "warning",
)
RNA_MISSING = Rule(
    "rna_missing",
    "a value for each gene and cell line",
    "nothing, if they are known to be missing: these cells are left out",
    "warning",
)
RNA_GENE_KNOWN = Rule("rna_gene_known", "a value in every column", "take the empty genes out")
RNA_PROFILE_KNOWN = Rule("rna_profile_known", "a value in every row", "take the empty rows out")


def check_rna(raw: RawRna, dataset: Dataset, contract: Contract) -> list[Finding]:
    """Return what is wrong with genes, default profiles and values of an RNA table."""
    return [
        *_broken_genes(raw),
        *_broken_defaults(raw.profiles),
        *_broken_values(raw, dataset, contract),
    ]


def _broken_defaults(profiles: pd.DataFrame) -> Iterator[Finding]:
    """One default profile a line; not judged where a flag cannot be read."""
    if profiles.empty or "cell_line" not in profiles:
        return
    defaults = pd.Series(True, index=profiles.index)
    if "is_default" in profiles:
        defaults = profiles["is_default"].astype("str").str.strip().map(FLAGS).astype("boolean")
    if defaults.isna().any():
        return
    if not defaults.any():
        yield DEFAULTS_EXIST.broken("rna", ("no profile is marked",), column="is_default")
        return
    counts = defaults.groupby(profiles["cell_line"].astype("str").str.strip()).sum()
    wrong = [f"{cell_line}: {count}" for cell_line, count in counts.items() if count != 1]
    if wrong:
        yield ONE_DEFAULT.broken("rna", wrong, column="is_default")


def _broken_genes(raw: RawRna) -> Iterator[Finding]:
    labels = raw.values.columns.astype("str")
    if not len(labels):
        yield TABLE_EMPTY.broken("rna", ("no column of a gene",), column="gene labels")
        return
    genes = pd.Series(labels.str.strip())
    blanks = [repr(label) for label in labels if label != label.strip()]
    if blanks:
        yield BLANKS.broken("rna", blanks, column="gene labels")
    formulas = [repr(label) for label in genes if not is_plain_label(label)]
    if formulas:
        yield LABEL.broken("rna", formulas, column="gene labels")
    numbers = genes.str.extract(f"^{GENE_PATTERN}$", expand=False)
    if not free_labels(raw.source.layout) and numbers.isna().any():
        bad = [repr(label) for label in genes[numbers.isna()]]
        yield GENE_LABEL.broken("rna", bad, column="gene labels")
    keys = numbers.fillna(genes)
    repeated = keys.duplicated(keep=False)
    if repeated.any():
        yield RNA_GENE_UNIQUE.broken("rna", sorted(genes[repeated]), column="gene labels")
    symbols = genes.str.split(" ").str[0].where(~repeated)
    twice = symbols.duplicated(keep=False) & symbols.notna()
    if twice.any():
        yield RNA_SYMBOL_UNIQUE.broken("rna", sorted(genes[twice]), column="gene labels")


def _broken_values(raw: RawRna, dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Rules of the values, on the plain array: pandera takes 16 s over 19,000 columns, this 0.3."""
    values = raw.values.to_numpy(dtype=np.float64)
    genes = raw.values.columns.astype("str")
    lines = raw.profiles.index
    if values.size == 0:
        return
    missing, finite = np.isnan(values), np.isfinite(values)

    def cells(rule: Rule, bad: np.ndarray, limit: float = np.nan) -> Iterator[Finding]:
        if count := int(bad.sum()):
            found = [
                f"line {lines[row]}, {genes[column]}: {values[row, column]:g}"
                for row, column in first_cells(bad)
            ]
            yield rule.broken("rna", found, count=count, limit=limit)

    yield from cells(RNA_FINITE, np.isinf(values))
    if dataset.rna_units == "z_score":
        limit = contract.max_abs_z_score
        yield from cells(RNA_Z_SCORE, finite & (np.abs(values) > limit), limit)
        yield from _broken_centres(np.where(finite, values, np.nan), genes, contract)
    else:
        warn, fail = contract.rna_warn_above, contract.rna_fail_above
        yield from cells(RNA_NOT_NEGATIVE, finite & (values < 0))
        yield from cells(RNA_NOT_LINEAR, finite & (values > fail), fail)
        yield from cells(RNA_HIGH, (values > warn) & (values <= fail), warn)
    if n_missing := int(missing.sum()):
        yield RNA_MISSING.broken("rna", (share(n_missing, values.size),), count=n_missing)
    if missing.all(axis=0).any():
        yield RNA_GENE_KNOWN.broken("rna", list(genes[missing.all(axis=0)]))
    if missing.all(axis=1).any():
        yield RNA_PROFILE_KNOWN.broken(
            "rna", [f"line {line}" for line in lines[missing.all(axis=1)]]
        )


def _broken_centres(values: np.ndarray, genes: pd.Index, contract: Contract) -> Iterator[Finding]:
    """Z-scores lie about 0: what lies on one side of it is of another unit."""
    if not (values < 0).any() and (values > 0).any():
        lowest = f"the smallest is {np.nanmin(values):g}"
        yield RNA_Z_SCORE_SIGNED.broken("rna", (lowest,), count=values.size)
        return
    limit = contract.max_abs_z_score_mean
    means = pd.DataFrame(values, columns=genes).mean()
    off = means[means.abs() > limit]
    if len(off):
        found = [f"{gene}: {mean:.2g}" for gene, mean in off.items()]
        yield RNA_Z_SCORE_CENTRED.broken("rna", found, column="gene labels", limit=limit)
