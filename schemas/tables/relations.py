"""Rules across the small tables, after `schemas.tables.maps` has parsed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import Finding
from schemas.tables.eligibility import (
    INCLUDED,
    NO_GENE,
    guide_reasons,
    sequence_reasons,
    usable_guides,
    usable_sequences,
)
from schemas.tables.labels import same_label
from schemas.tables.maps import BLANKS, CheckedTables
from schemas.tables.rule import Rule

LOGFC_SEQUENCE_UNIQUE = Rule(
    "logfc_sequence_unique", "one column per sequence", "keep the right column of each"
)
SEQUENCE_IN_MAP = Rule(
    "sequence_in_map",
    "every sequence of the logFC table in the sequence map",
    "use table and map of the same release",
)
LIBRARY_IN_MAP = Rule(
    "library_in_map",
    "the dataset's library ({library}) in the sequence map",
    "set `library` in the dataset to one of the sequence map",
)
SEQUENCES_LEFT = Rule(
    "sequences_left",
    "a sequence of {library} that passes quality control, is not excluded and is of a 2DS screen",
    "check these columns of the sequence map",
)
GUIDES_LEFT = Rule(
    "guides_left",
    "a guide that is used, has one alignment and a gene",
    "check these columns of the guide map",
)
GUIDE_OF_ONE_GENE = Rule(
    "guide_of_one_gene",
    "one gene per guide, among guides with one alignment",
    "keep one row of each guide, or correct its number of alignments",
)
GUIDE_MAP_UNIQUE = Rule(
    "guide_map_unique", "one row per guide, among guides with one alignment", "keep one row of each"
)
GUIDES_WITHOUT_GENE = Rule(
    "guides_without_gene",
    "a gene for each guide with one alignment",
    "none needed if they are non-targeting: they are excluded",
    "warning",
)
GENES_RETAINED = Rule(
    "genes_retained",
    "at least {least:.0%} of the genes of {smaller} in {other}; {n_shared} of {n_all} are",
    "use guide map and RNA of matching releases, in which genes have the same labels",
)
GENES_LOST = Rule(
    "genes_lost",
    "every gene of {smaller} in {other}; {n_shared} of {n_all} are",
    "none needed if intended: these genes are excluded",
    "warning",
)
CELL_LINES_RETAINED = Rule(
    "cell_lines_retained",
    "at least {least:.0%} of the cell lines of {smaller} in {other}; {n_shared} of {n_all} are",
    "use sequence map and RNA of matching releases, in which lines have the same labels",
)
CELL_LINES_LOST = Rule(
    "cell_lines_lost",
    "every cell line of {smaller} in {other}; {n_shared} of {n_all} are",
    "none needed if intended: these lines are excluded",
    "warning",
)
COVARIATE_RETAINED = Rule(
    "covariate_retained",
    "at least {least:.0%} of the {what} of {smaller} in {other}; {n_shared} of {n_all} are",
    "use a table of the same release, with the labels of the screen",
)
COVARIATE_LOST = Rule(
    "covariate_lost",
    "the {covariate} of all {what} that are fitted; known of {n_shared} of {n_all}",
    "none needed if intended: the mean of the gene is used instead",
    "warning",
)
LINES_IN_MODEL_TABLE = Rule(
    "cell_lines_in_model_table",
    "every fitted cell line in the model table",
    "none needed if intended: these lines have no lineage",
    "warning",
)
CONTROLS_FOUND = Rule(
    "controls_found",
    "some of the control genes among the genes of usable guides",
    "check that this is the list for this library",
)


def check_across(
    tables: CheckedTables,
    sequences: Sequence[str] | None,
    dataset: Dataset,
    parameters: FitParameters,
) -> list[Finding]:
    """Return the rules broken between the small tables and the columns of the logFC table.

    `sequences` is None where the logFC table could not be opened. Rules whose tables are missing
    are skipped.
    """
    findings: list[Finding] = []
    if sequences is not None:
        findings += _sequences(sequences, tables.sequence_map)
        sequences = [sequence.strip() for sequence in sequences]
    if tables.sequence_map is not None:
        findings += _usable_sequences(tables.sequence_map, sequences, dataset.library)
    if tables.guide_map is not None:
        findings += _guides(tables.guide_map)
        findings += _controls(tables)
    if sequences is not None:
        findings += _retention(tables, sequences, dataset.library, parameters)
    return findings


def _sequences(sequences: Sequence[str], sequence_map: pd.DataFrame | None) -> Iterator[Finding]:
    labels = pd.Series(sequences, dtype="str")
    if (blanks := labels != labels.str.strip()).any():
        yield BLANKS.broken("logfc", list(map(repr, labels[blanks])), column="sequence")
    labels = labels.str.strip()
    if labels.duplicated().any():
        yield LOGFC_SEQUENCE_UNIQUE.broken("logfc", list(labels[labels.duplicated()]))
    if sequence_map is not None:
        missing = labels[~labels.isin(sequence_map["sequence"])].unique()
        if len(missing):
            yield SEQUENCE_IN_MAP.broken("logfc+sequence_map", list(missing), column="sequence")


def _usable_sequences(
    sequence_map: pd.DataFrame, sequences: Sequence[str] | None, library: str
) -> Iterator[Finding]:
    libraries = sequence_map["library"].dropna().unique()
    if library not in libraries:
        found = [f"it has {', '.join(sorted(libraries)) or 'none'}"]
        yield LIBRARY_IN_MAP.broken("sequence_map", found, column="library", library=library)
        return
    if sequences is not None:
        sequence_map = sequence_map[sequence_map["sequence"].isin(sequences)]
    reasons = sequence_reasons(sequence_map, library)
    if len(reasons) and not (reasons == INCLUDED).any():
        yield SEQUENCES_LEFT.broken(
            "sequence_map", _counted(reasons), count=len(reasons), library=library
        )


def _guides(guide_map: pd.DataFrame) -> Iterator[Finding]:
    reasons = guide_reasons(guide_map)
    usable = guide_map[reasons == INCLUDED]
    # Rows without a guide break VALUE_MISSING of `schemas.tables.maps`.
    without_gene = guide_map.loc[reasons == NO_GENE, "guide"].dropna()
    if len(without_gene):
        yield GUIDES_WITHOUT_GENE.broken("guide_map", list(without_gene), column="gene")
    if len(guide_map) and usable.empty:
        yield GUIDES_LEFT.broken("guide_map", _counted(reasons), count=len(guide_map))
    repeated = usable[usable["guide"].duplicated(keep=False)]
    genes = repeated.groupby("guide")["gene"].unique()
    of_several = [
        f"{guide}: {', '.join(names)}" for guide, names in genes.items() if len(names) > 1
    ]
    if of_several:
        yield GUIDE_OF_ONE_GENE.broken("guide_map", of_several, column="guide")
    again = [str(guide) for guide, names in genes.items() if len(names) == 1]
    if again:
        yield GUIDE_MAP_UNIQUE.broken("guide_map", again, column="guide")


def _counted(reasons: pd.Series) -> list[str]:
    return [f"{count} of {len(reasons)}: {why}" for why, count in reasons.value_counts().items()]


def _controls(tables: CheckedTables) -> Iterator[Finding]:
    assert tables.guide_map is not None
    targeted = tables.guide_map.loc[usable_guides(tables.guide_map), "gene"]
    for name in ("essential", "nonessential", "expression_addictions"):
        genes = getattr(tables, name)
        if genes and len(targeted) and not targeted.isin(genes).any():
            yield CONTROLS_FOUND.broken(f"{name}+guide_map", genes, column="gene")


def _retention(
    tables: CheckedTables, sequences: Sequence[str], library: str, parameters: FitParameters
) -> Iterator[Finding]:
    guide_map, sequence_map = tables.guide_map, tables.sequence_map
    profiles, rna = tables.profiles, tables.rna
    least = parameters.contract.min_join_retention
    if guide_map is not None and rna is not None:
        screened = set(guide_map.loc[usable_guides(guide_map), "gene"])
        yield from _overlap(
            screened, set(rna.columns), GENES_RETAINED, GENES_LOST, "guide_map", "gene", least
        )
        screened &= set(rna.columns)
        for name, covariate in tables.covariates.items():
            yield from _covariate(name, screened, set(covariate.values.columns), "gene", least)
    if sequence_map is not None and profiles is not None:
        usable = sequence_map[usable_sequences(sequence_map, library)]
        screened = set(usable.loc[usable["sequence"].isin(sequences), "cell_line"].dropna())
        known = set(profiles.loc[profiles["is_default"], "cell_line"].dropna())
        yield from _overlap(
            screened,
            known,
            CELL_LINES_RETAINED,
            CELL_LINES_LOST,
            "sequence_map",
            "cell_line",
            least,
        )
        for name, covariate in tables.covariates.items():
            default = covariate.profiles.loc[covariate.profiles["is_default"], "cell_line"]
            found = set(default.dropna())
            yield from _covariate(name, screened & known, found, "cell_line", least)
        if tables.model_table is not None:
            unknown = (screened & known) - set(tables.model_table["cell_line"])
            if unknown:
                yield LINES_IN_MODEL_TABLE.broken(
                    "model_table", sorted(unknown), column="cell_line"
                )


def _covariate(
    table: str, fitted: set[str], known: set[str], column: str, least: float
) -> Iterator[Finding]:
    """Check how many genes or lines in all other tables have values of a covariate.

    An error where the tables have little in common, a warning where the covariate has fewer.
    """
    shared, names = fitted & known, ("the screen", table)
    smaller, other = names if len(fitted) <= len(known) else names[::-1]
    n_smaller = min(len(fitted), len(known))
    missing = sorted(fitted - known)
    if not n_smaller or not missing:
        return
    few = not shared or len(shared) < least * n_smaller
    yield (COVARIATE_RETAINED if few else COVARIATE_LOST).broken(
        table,
        missing,
        column=column,
        least=least,
        covariate=table.replace("_", " "),
        what="genes" if column == "gene" else "cell lines",
        smaller=smaller,
        other=other,
        n_shared=len(shared),
        n_all=n_smaller if few else len(fitted),
    )


def _overlap(
    screened: set[str],
    known: set[str],
    retained: Rule,
    lost: Rule,
    table: str,
    column: str,
    least: float,
) -> Iterator[Finding]:
    """Check the share of the smaller set found in the other; an empty set has its own rule."""
    names = (table, "rna") if len(screened) <= len(known) else ("rna", table)
    smaller, other = (screened, known) if names[0] == table else (known, screened)
    missing = sorted(smaller - other)
    if not smaller or not missing:
        return
    n_shared = len(smaller) - len(missing)
    rule = retained if n_shared == 0 or n_shared < least * len(smaller) else lost
    yield rule.broken(
        f"{table}+rna",
        same_label(missing, sorted(other - smaller), names[1]),
        column=column,
        least=least,
        smaller=names[0],
        other=names[1],
        n_shared=n_shared,
        n_all=len(smaller),
    )
