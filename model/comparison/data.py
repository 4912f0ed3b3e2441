"""Differences between the data of two fits: lines, genes, guides, sequences, profiles, values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from model.screen.covariates import COPY_NUMBER
from model.screen.design import ScreenDesign
from model.screen.inclusion import InclusionTable
from schemas.column_catalog import COMPARED_LINES
from schemas.comparison import BatchShift, DataChanges, ItemChange, ProfileChange
from schemas.formatting import label_line
from schemas.tables.eligibility import INCLUDED

ENTREZ = re.compile(r"\((\d+)\)\s*$")
FITTED, ABSENT = "fitted", "absent"
ROUNDING = 1e-9
"""Differences below this, log2, are rounding errors."""

GUIDES_AT_ONCE = 5000


@dataclass(frozen=True, eq=False)
class FittedScreen:
    """The data of a fit."""

    design: ScreenDesign
    inclusion: InclusionTable


@dataclass(frozen=True, eq=False)
class SharedPart:
    """Positions of shared items in the designs of A and of B; equal lengths, same order."""

    genes: tuple[np.ndarray, np.ndarray]
    guides: tuple[np.ndarray, np.ndarray]
    cell_lines: tuple[np.ndarray, np.ndarray]


def gene_key(label: str) -> str:
    """Return the identifier of a gene in all releases: its Entrez number, else its label."""
    found = ENTREZ.search(label)
    return found[1] if found else label


def shared_part(a: ScreenDesign, b: ScreenDesign) -> SharedPart:
    """Return the items that two designs share; guides are those of shared genes."""
    genes = _common([gene_key(gene) for gene in a.genes], [gene_key(gene) for gene in b.genes])
    of_gene_a, of_gene_b = (
        [gene_key(design.genes[gene]) for gene in design.guide_gene] for design in (a, b)
    )
    guides = _common(
        list(zip(a.guides, of_gene_a, strict=True)), list(zip(b.guides, of_gene_b, strict=True))
    )
    return SharedPart(genes, guides, _common(a.cell_lines, b.cell_lines))


def data_changes(a: FittedScreen, b: FittedScreen) -> tuple[DataChanges, pd.DataFrame]:
    """Return the differences, and a table with one row per cell line of either fit.

    Columns and their units are `schemas.column_catalog.COMPARED_LINES`. `logfc_shift`,
    `logfc_spread`, `rna_change` and `copy_number_change` are NaN for a line that is not in both.
    """
    shared = shared_part(a.design, b.design)
    lines = _lines(a, b, shared)
    both = lines[(lines["a"] == FITTED) & (lines["b"] == FITTED)]
    # Profiles that are all missing are a column of numbers, which takes no text.
    before, after = (both[f"profile_{x}"].astype(object).fillna("") for x in "ab")
    profiles = both[before != after]
    own_genes = {gene_key(gene) for gene in a.design.genes} & {
        gene_key(gene) for gene in b.design.genes
    }
    in_both = set(both["cell_line"])
    tables = (a.inclusion, b.inclusion)
    lost_lines, gained_lines = _item_changes([one.cell_lines for one in tables], "cell_line")

    def labels(which: pd.Series) -> tuple[str, ...]:
        rows = both[which]
        return tuple(map(label_line, rows["cell_line"], rows["cell_line_name"]))

    lost_genes, gained_genes = _item_changes([_keyed(one.genes) for one in tables], "gene", "key")
    lost_guides, gained_guides = _item_changes(
        [_of_genes(one.guides, own_genes) for one in tables], "guide"
    )
    lost_sequences, gained_sequences = _item_changes(
        [one.sequences[one.sequences["cell_line"].isin(in_both)] for one in tables], "sequence"
    )
    return (
        DataChanges(
            n_cell_lines_joined=len(both),
            cell_lines_lost=_with_names(lost_lines, a.inclusion),
            cell_lines_gained=_with_names(gained_lines, b.inclusion),
            genes_lost=lost_genes,
            genes_gained=gained_genes,
            guides_lost=lost_guides,
            guides_gained=gained_guides,
            sequences_lost=lost_sequences,
            sequences_gained=gained_sequences,
            profiles_changed=tuple(
                ProfileChange(cell_line=label_line(line, name), a=_text(before), b=_text(after))
                for line, name, before, after in profiles[
                    ["cell_line", "cell_line_name", "profile_a", "profile_b"]
                ].itertuples(index=False)
            ),
            rna_changed=labels(both["rna_change"] > ROUNDING),
            copy_number_changed=labels(both["copy_number_change"] > ROUNDING),
            copy_number_in=tuple(
                name
                for name, screen in (("A", a), ("B", b))
                if COPY_NUMBER in screen.design.covariates
            ),
            values_changed=labels(both["values_changed"]),
            batches=tuple(_batches(both[both["values_changed"]], b.inclusion.sequences)),
        ),
        lines,
    )


# ------------------------------------------------------------------------------------------ lines


def _lines(a: FittedScreen, b: FittedScreen, shared: SharedPart) -> pd.DataFrame:
    """Return the table of cell lines."""
    states = [_states(screen.inclusion.cell_lines, "cell_line") for screen in (a, b)]
    fitted = [{line for line, state in one.items() if state == FITTED} for one in states]
    labels = sorted(fitted[0] | fitted[1])
    table = pd.DataFrame({"cell_line": labels, "cell_line_name": ""})
    for x, screen, state in zip("ab", (a, b), states, strict=True):
        sequences = screen.inclusion.sequences
        kept = sequences[sequences["reason"] == INCLUDED].groupby("cell_line")["sequence"]
        of_lines = screen.inclusion.cell_lines.set_index("cell_line")
        profile = of_lines["profile"]
        if "cell_line_name" in of_lines:  # those of B, where both have some
            names = table["cell_line"].map(of_lines["cell_line_name"])
            table["cell_line_name"] = names.astype(object).fillna(table["cell_line_name"])
        table[x] = [state.get(line, ABSENT) for line in labels]
        table[f"n_sequences_{x}"] = table["cell_line"].map(kept.size()).fillna(0).astype(int)
        table[f"profile_{x}"] = table["cell_line"].map(profile)
        table[f"of_{x}"] = table["cell_line"].map(kept.agg(frozenset))
    in_both = (table["a"] == FITTED) & (table["b"] == FITTED)
    table["sequences_changed"] = in_both & (table["of_a"] != table["of_b"])
    numbers = _value_changes(a.design, b.design, shared)
    table = table.merge(numbers, on="cell_line", how="left")
    differs = table.pop("differs").fillna(False).astype(bool)
    table["values_changed"] = in_both & ~table["sequences_changed"] & differs
    return table[list(COMPARED_LINES)]


def _value_changes(a: ScreenDesign, b: ScreenDesign, shared: SharedPart) -> pd.DataFrame:
    """Return the changes of values of each shared line over shared guides and genes."""
    n_lines = len(shared.cell_lines[0])
    n, total, squares = np.zeros((3, n_lines))
    differs = np.zeros(n_lines, bool)
    for moved, unequal in _mean_changes(a, b, shared):
        n += np.isfinite(moved).sum(axis=0)
        total += np.nansum(moved, axis=0)
        differs |= unequal.any(axis=0)
    with np.errstate(invalid="ignore"):
        shift = total / n
    # A second pass: one-pass sums of squares lose a small spread around a large shift.
    for moved, _ in _mean_changes(a, b, shared):
        squares += np.nansum((moved - shift) ** 2, axis=0)

    def largest_change(raw: Callable[[ScreenDesign], np.ndarray]) -> np.ndarray:
        """Largest change of a gene by line; undoing the standardisation leaves rounding errors."""
        of_a, of_b = (
            raw(design)[np.ix_(genes, lines)]
            for design, genes, lines in zip((a, b), shared.genes, shared.cell_lines, strict=True)
        )
        change = np.nan_to_num(np.abs(of_b - of_a)).max(axis=0, initial=0)
        return np.where(change > ROUNDING, change, 0.0)

    with np.errstate(invalid="ignore"):
        spread = np.sqrt(squares / n)
    return pd.DataFrame(
        {
            "cell_line": [a.cell_lines[line] for line in shared.cell_lines[0]],
            "differs": differs,
            "logfc_shift": shift,
            "logfc_spread": spread,
            "rna_change": largest_change(raw_rna),
            "copy_number_change": largest_change(raw_copy_number),
        }
    )


def _mean_changes(
    a: ScreenDesign, b: ScreenDesign, shared: SharedPart
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for blocks of shared guides, B minus A of the means and whether pairs differ.

    Both (guides, lines); the first NaN where either has no measurement. Blocks avoid doubling the
    memory of both screens.
    """
    for start in range(0, len(shared.guides[0]), GUIDES_AT_ONCE):
        cells = [
            np.ix_(guides[start : start + GUIDES_AT_ONCE], lines)
            for guides, lines in zip(shared.guides, shared.cell_lines, strict=True)
        ]
        counts = [design.count[own] for design, own in zip((a, b), cells, strict=True)]
        means = [
            design.total[own] / np.maximum(count, 1)
            for design, own, count in zip((a, b), cells, counts, strict=True)
        ]
        moved = means[1] - means[0]
        moved[(counts[0] == 0) | (counts[1] == 0)] = np.nan
        yield moved, (np.abs(np.nan_to_num(moved)) > ROUNDING) | (counts[0] != counts[1])


def raw_rna(design: ScreenDesign) -> np.ndarray:
    """Return RNA as given, (G, C); up to rounding where it was standardised."""
    if not design.rna_is_log2:
        return design.rna
    return design.rna * design.rna_sd[:, None] + design.rna_mean[:, None]


def raw_copy_number(design: ScreenDesign) -> np.ndarray:
    """Return copy number, log2(ratio + 1) (G, C), up to rounding; NaN where it is unknown.

    Unknown are the pairs without any deviation from the mean of the gene, and all without a table.
    """
    if COPY_NUMBER not in design.covariates:
        return np.full(design.rna.shape, np.nan)
    deviation = design.covariates[COPY_NUMBER]
    mean = design.covariate_means[COPY_NUMBER][:, None]
    return np.where(deviation == 0, np.nan, deviation + mean)


# ---------------------------------------------------------------------------------------- batches


def _batches(lines: pd.DataFrame, sequences: pd.DataFrame) -> list[BatchShift]:
    """Return the shifts by pDNA batch of the sequences.

    A line's mean weighs its sequences equally, so that

        shift_c = sum_b share_cb s_b

    is solved for the shifts s_b of the batches by least squares.
    """
    # A line whose guides are measured in only one of the two has no shift.
    lines = lines[lines["logfc_shift"].notna()]
    if lines.empty:
        return []
    fitted = sequences[sequences["reason"] == INCLUDED]
    # Screens of the long layouts have no batches.
    batch = fitted["pdna_batch"].astype(object).where(fitted["pdna_batch"].notna(), "unknown")
    counted = pd.crosstab(fitted["cell_line"], batch).reindex(lines["cell_line"])
    share = counted.div(counted.sum(axis=1), axis=0).fillna(0)
    share = share.loc[:, (share > 0).any()]
    shift, *_ = np.linalg.lstsq(share.to_numpy(), lines["logfc_shift"].to_numpy(), rcond=None)
    spread = lines["logfc_spread"].to_numpy()
    found = [
        BatchShift(
            pdna_batch=str(name),
            n_cell_lines=int((share[name] > 0).sum()),
            shift=float(moved),
            spread=float(np.average(spread, weights=share[name])),
        )
        for name, moved in zip(share.columns, shift, strict=True)
    ]
    return sorted(found, key=lambda one: -abs(one.shift))


# ------------------------------------------------------------------------------------------ items


def _item_changes(
    tables: list[pd.DataFrame], label: str, key: str = ""
) -> tuple[tuple[ItemChange, ...], tuple[ItemChange, ...]]:
    """Return the items fitted only in A, and those fitted only in B."""
    key = key or label
    states = [_states(table, key) for table in tables]
    changes = []
    for mine, table in enumerate(tables):
        other = 1 - mine
        fitted = table[table["reason"] == INCLUDED].drop_duplicates(key)
        gone = fitted.loc[[states[other].get(name, ABSENT) != FITTED for name in fitted[key]]]
        pairs = []
        for name, text, line in zip(
            gone[key],
            gone[label],
            gone["cell_line"] if label == "sequence" else [""] * len(gone),
            strict=True,
        ):
            pair = [FITTED, states[other].get(name, ABSENT)]
            before, after = pair if mine == 0 else pair[::-1]
            pairs.append(ItemChange(item=text, cell_line=line, a=before, b=after))
        changes.append(tuple(pairs))
    return changes[0], changes[1]


def _with_names(
    changes: tuple[ItemChange, ...], inclusion: InclusionTable
) -> tuple[ItemChange, ...]:
    """Return changes of cell lines with the names of these lines."""
    labels = inclusion.label_lines(change.item for change in changes)
    return tuple(
        change.model_copy(update={"item": label})
        for change, label in zip(changes, labels, strict=True)
    )


def _states(table: pd.DataFrame, key: str) -> Mapping[str, str]:
    """Return `fitted`, or the reason of exclusion, by item; of several rows, the fitted one."""
    fitted_last = table.iloc[np.argsort(table["reason"] == INCLUDED, kind="stable")]
    return dict(zip(fitted_last[key], fitted_last["reason"].replace(INCLUDED, FITTED), strict=True))


def _keyed(genes: pd.DataFrame) -> pd.DataFrame:
    return genes.assign(key=[gene_key(gene) for gene in genes["gene"]])


def _of_genes(guides: pd.DataFrame, keys: set[str]) -> pd.DataFrame:
    return guides.loc[[gene_key(gene) in keys for gene in guides["gene"].fillna("").astype(str)]]


def _common(a: list | tuple, b: list | tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in `a` and in `b` of shared items, in the order of `b`."""
    at = {item: position for position, item in enumerate(a)}
    pairs = [(at[item], position) for position, item in enumerate(b) if item in at]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _text(value: str | float) -> str:
    return "" if pd.isna(value) else str(value)
