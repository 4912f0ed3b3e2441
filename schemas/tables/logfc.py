"""Rules of the logFC table, checked block by block in one reading.

A release has 1.6e8 values: only counts, histograms and missing items are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from schemas.parameters import Contract
from schemas.reports import Finding
from schemas.tables.containers import LogfcBlock, LogfcSource
from schemas.tables.copies import column_keys
from schemas.tables.coverage import JoinCoverage, join_of
from schemas.tables.eligibility import usable_guides, usable_sequences
from schemas.tables.layouts import free_labels
from schemas.tables.logfc_values import FEWEST_OF_CONSTANT, GUIDES_JUDGED, check_logfc_values
from schemas.tables.maps import (
    GUIDE_PATTERN,
    GUIDE_SEQUENCE,
    TABLE_EMPTY,
    VALUE_MISSING,
    CheckedTables,
)
from schemas.tables.rule import MOST_KEPT, MOST_SHOWN, Rule, at_line, beyond, first_cells, share

GUIDE_UNIQUE = Rule("guide_unique", "one row per guide", "keep the right row of each")
GUIDE_IN_MAP = Rule(
    "guide_in_map",
    "every guide of the logFC table in the guide map",
    "use table and map of the same release",
)
GUIDES_RETAINED = Rule(
    "guides_retained",
    "at least {least:.0%} of the usable guides of the map in the logFC table; {n_found} of {n_all} "
    "are",
    "download the table again, it may be truncated; else use table and map of the same release",
)
GUIDES_LOST = Rule(
    "guides_lost",
    "every usable guide of the map in the logFC table; {n_found} of {n_all} are",
    "none needed if intended: these guides are excluded",
    "warning",
)
LOGFC_FINITE = Rule("logfc_finite", "finite numbers", "leave unknown values empty")
LOGFC_RANGE = Rule(
    "logfc_range",
    "log2 fold changes between -{limit:g} and {limit:g}",
    "the unit seems to be wrong: provide log2 fold changes, not counts",
)
LOGFC_MISSING = Rule(
    "logfc_missing",
    "a value for each guide and sequence",
    "none needed if intended: these measurements are excluded",
    "warning",
)
GUIDE_MEASURED = Rule("guide_measured", "a value in every row", "remove the empty rows")
SEQUENCE_MEASURED = Rule("sequence_measured", "a value in every column", "remove the empty columns")
GUIDE_CONSTANT = Rule(
    "guide_constant",
    "values that differ between the columns of each row",
    "leave unknown values empty: a value that was filled in is fitted as measured",
    "warning",
)
SEQUENCE_COPIED = Rule(
    "sequence_copied",
    "distinct values in every column",
    "check the origin of these columns: copies are counted as replicates",
    "warning",
)
CONTROLS_MEASURED = Rule(
    "controls_measured",
    "a value of some of the control genes, in usable guides and sequences",
    "check that these guides are in the logFC table; else remove the list from the dataset",
)
CONTROLS_SEPARATED = Rule(
    "controls_separated",
    "guides of essential genes deplete more than those of non-essential ones (median)",
    "check the sign of the log fold changes, and which list of controls is which",
)

OF_GUIDES = (GUIDE_SEQUENCE, GUIDE_UNIQUE, GUIDE_IN_MAP, GUIDE_CONSTANT)
MOST_CONSTANT = 0.001
"""Share of rows of one value from which they are reported."""
N_BINS = 6000
FINGERPRINT_SEED = 1
_GUIDE = re.compile(GUIDE_PATTERN)


class LogfcChecks:
    """Checks a logFC table, one block of guides at a time, and collects findings."""

    def __init__(
        self, logfc: LogfcSource, tables: CheckedTables, library: str, contract: Contract
    ) -> None:
        self.n_guides = 0
        self._logfc = logfc
        self._contract = contract
        sequences = [sequence.strip() for sequence in logfc.sequences]
        self._sequences = np.array(sequences, dtype=object)
        self._found: dict[Rule, list[str]] = {}
        self._counts: dict[Rule, int] = {}
        self._lines: dict[str, int] = {}
        self._n_missing = 0
        self._measured_sequence = np.zeros(len(sequences), dtype=bool)
        self._fingerprints = np.zeros(len(sequences), dtype=np.uint64)
        self._random = np.random.default_rng(FINGERPRINT_SEED)
        self._bins = np.linspace(-contract.max_abs_logfc, contract.max_abs_logfc, N_BINS + 1)
        self._histograms = np.zeros((2, N_BINS), dtype=np.int64)
        self._judged: list[np.ndarray] = []

        # One index for all blocks: its hash table of the library's guides is built once.
        genes = _gene_by_guide(tables)
        self._guides = pd.Index(genes.index, dtype=object)
        self._step = max(1, len(self._guides) // GUIDES_JUDGED)
        self._usable_guide = np.append(genes.notna().to_numpy(), False)  # the last: not in the map
        self._usable_guides = self._guides[self._usable_guide[:-1]]
        self._has_map = tables.guide_map is not None
        self._controls = [
            genes.isin(controls).to_numpy() for controls in (tables.essential, tables.nonessential)
        ]
        lines = _cell_lines(self._sequences, tables, library)
        self._usable_sequence = lines.notna().to_numpy()
        self._join = join_of(tables, sequences, library)
        if self._join is not None:
            self._gene = self._join.genes.get_indexer(pd.Index(genes))
            codes = self._join.cell_lines.get_indexer(pd.Index(lines))
            # Columns by line; unused ones (-1) precede the first start. One reduceat ORs the rest.
            self._by_line = np.argsort(codes, kind="stable")
            self._line_starts = np.flatnonzero(np.diff(codes[self._by_line], prepend=-1))
            self._gene_n_guides = np.zeros(len(self._join.genes), dtype=np.int64)
            self._measured = np.zeros(self._join.has_rna.shape, dtype=bool)

    def add(self, block: LogfcBlock) -> None:
        """Check one block; blocks come in the order of the file."""
        lines = np.arange(block.first_line, block.first_line + len(block.guides))
        values = block.values
        self._judged.append(values[-self.n_guides % self._step :: self._step].copy())
        self.n_guides += len(block.guides)
        known = self._guides.get_indexer(pd.Index(block.guides, dtype=object))
        self._add_guides(block.guides, lines, known)
        self._add_constant(block, lines, np.flatnonzero(self._usable_guide[known]))
        # One comparison finds all unusual values: NaN, too, is not within the limit.
        finite = np.abs(values) <= self._contract.max_abs_logfc
        if finite.all():
            self._measured_sequence |= len(values) > 0
        else:
            finite = self._add_unusual(block, lines, finite)
        self._add_fingerprints(values)
        rows = np.flatnonzero(known >= 0)
        self._add_controls(known[rows], rows, values, finite)
        self._add_coverage(known[rows], finite if len(rows) == len(finite) else finite[rows])

    def findings(self, *, whole: bool = True) -> list[Finding]:
        """Return the findings of all blocks.

        `whole`: whether the whole table was added; otherwise only rules of single rows apply.
        """
        # Not earlier: before the table has been read, `source` would read it completely.
        free = free_labels(self._logfc.source.layout)
        if free:
            self._found.pop(GUIDE_SEQUENCE, None)
        # 2 of 3,474 guides of the sample are not in the plasmid pool, and 0 wherever known.
        n_constant = self._counts.get(GUIDE_CONSTANT, 0)
        if n_constant <= MOST_CONSTANT * self.n_guides:
            self._found.pop(GUIDE_CONSTANT, None)
        broken = [
            rule.broken(
                "logfc+guide_map" if rule is GUIDE_IN_MAP else "logfc",
                found,
                column="guide" if rule in OF_GUIDES else "",
                count=self._counts[rule],
                limit=self._contract.max_abs_logfc,
            )
            for rule, found in self._found.items()
        ]
        if not whole:
            return broken
        if not self.n_guides:
            return [*broken, TABLE_EMPTY.broken("logfc", (), count=1)]
        if not free:
            broken += self._guides_lost()
        broken += self._copied()
        empty = self._sequences[~self._measured_sequence]
        if len(empty):
            broken.append(SEQUENCE_MEASURED.broken("logfc", list(map(repr, empty))))
        if self._n_missing:
            found = share(self._n_missing, self.n_guides * len(self._sequences))
            broken.append(LOGFC_MISSING.broken("logfc", (found,), count=self._n_missing))
        used = self._usable_sequence if self._usable_sequence.any() else self._measured_sequence
        return [
            *broken,
            *check_logfc_values(np.concatenate(self._judged), self._sequences, used),
            *self._broken_controls(),
        ]

    def _guides_lost(self) -> Iterator[Finding]:
        n_all = len(self._usable_guides)
        lost = [guide for guide in self._usable_guides if guide not in self._lines]
        if lost:
            least = self._contract.min_guides_retained
            cut = n_all - len(lost) < least * n_all
            yield (GUIDES_RETAINED if cut else GUIDES_LOST).broken(
                "logfc+guide_map",
                lost,
                column="guide",
                least=least,
                n_found=n_all - len(lost),
                n_all=n_all,
            )

    def _copied(self) -> Iterator[Finding]:
        measured = pd.Series(self._sequences[self._measured_sequence])
        same = measured.groupby(self._fingerprints[self._measured_sequence]).agg(list)
        copies = [" = ".join(labels) for labels in same if len(labels) > 1]
        if copies:
            yield SEQUENCE_COPIED.broken("logfc", copies, column="sequence")

    def _broken_controls(self) -> Iterator[Finding]:
        for name, histogram, is_control in zip(
            ("essential", "nonessential"), self._histograms, self._controls, strict=True
        ):
            if is_control.any() and self._usable_sequence.any() and not histogram.any():
                yield CONTROLS_MEASURED.broken(
                    f"logfc+{name}", ("none has a value",), column="gene"
                )
        essential, nonessential = (self._median(histogram) for histogram in self._histograms)
        if essential >= nonessential:
            digits = 2 if essential - nonessential > 0.01 else 4
            found = (
                f"median {essential:.{digits}f} of essentials, {nonessential:.{digits}f} of "
                "non-essentials"
            )
            yield CONTROLS_SEPARATED.broken("logfc+essential+nonessential", (found,))

    def coverage(self) -> JoinCoverage | None:
        """Return the coverage of the join; None without a join or without guides."""
        if self._join is None or not self.n_guides:
            return None
        return JoinCoverage(self._join, self._gene_n_guides, self._measured)

    def _note(
        self, rule: Rule, found: list[str], count: int | None = None, most: int = MOST_KEPT
    ) -> None:
        if found:
            kept = self._found.setdefault(rule, [])
            kept += found[: most - len(kept)]
            self._counts[rule] = self._counts.get(rule, 0) + (
                len(found) if count is None else count
            )

    def _add_guides(self, guides: np.ndarray, lines: np.ndarray, known: np.ndarray) -> None:
        for guide, line, place in zip(guides, lines.tolist(), known, strict=True):
            if guide is None:
                self._note(VALUE_MISSING, [f"line {line}"])
                continue
            if not _GUIDE.fullmatch(guide):
                self._note(GUIDE_SEQUENCE, [at_line(line, guide)])
            if self._has_map and place < 0:
                self._note(GUIDE_IN_MAP, [at_line(line, guide)])
            first = self._lines.setdefault(guide, line)
            if first != line:
                self._note(GUIDE_UNIQUE, [f"{at_line(line, guide)}, first on line {first}"])

    def _add_unusual(self, block: LogfcBlock, lines: np.ndarray, within: np.ndarray) -> np.ndarray:
        """Record missing, infinite and out-of-range values; return where values are finite."""
        missing = np.isnan(block.values)
        finite = ~missing
        if not np.array_equal(within, finite):
            infinite = np.isinf(block.values)
            finite &= ~infinite
            self._add_cells(LOGFC_FINITE, infinite, block, lines)
            self._add_cells(LOGFC_RANGE, finite & ~within, block, lines)
        self._n_missing += int(np.count_nonzero(missing))
        empty = missing.all(axis=1)
        self._note(GUIDE_MEASURED, list(map(at_line, lines[empty], block.guides[empty])))
        self._measured_sequence |= ~missing.all(axis=0)
        return finite

    def _add_cells(self, rule: Rule, bad: np.ndarray, block: LogfcBlock, lines: np.ndarray) -> None:
        found = [
            f"line {lines[row]}, {self._sequences[column]}: "
            f"{beyond(block.values[row, column], self._contract.max_abs_logfc)}"
            for row, column in first_cells(bad)
        ]
        self._note(rule, found, int(bad.sum()), MOST_SHOWN)

    def _add_constant(self, block: LogfcBlock, lines: np.ndarray, usable: np.ndarray) -> None:
        """Record usable rows of one value, looking closer where the outer columns are equal."""
        first, last = block.values[usable, 0], block.values[usable, -1]
        rows = usable[(first == last) | np.isnan(first) | np.isnan(last)]
        values = block.values[rows]
        lowest = np.fmin.reduce(values, axis=1)
        constant = lowest == np.fmax.reduce(values, axis=1)
        constant &= np.count_nonzero(~np.isnan(values), axis=1) >= FEWEST_OF_CONSTANT
        self._note(
            GUIDE_CONSTANT,
            [
                f"{at_line(lines[row], block.guides[row])}: {value:g} in every column"
                for row, value in zip(rows[constant], lowest[constant], strict=True)
            ],
        )

    def _add_fingerprints(self, values: np.ndarray) -> None:
        """Add the bits of each value, times a random number of its row, modulo 2^64 (exact)."""
        weights = self._random.integers(2**64, size=len(values), dtype=np.uint64)
        self._fingerprints += column_keys(values, weights)

    def _add_controls(
        self, known: np.ndarray, rows: np.ndarray, values: np.ndarray, finite: np.ndarray
    ) -> None:
        for histogram, is_control in zip(self._histograms, self._controls, strict=True):
            controls = rows[is_control[known]]
            if len(controls):
                kept = finite[controls] & self._usable_sequence
                clipped = np.clip(values[controls][kept], self._bins[0], self._bins[-1])
                histogram += np.histogram(clipped, self._bins)[0]

    def _add_coverage(self, known: np.ndarray, finite: np.ndarray) -> None:
        if self._join is None or not len(self._line_starts):
            return
        gene = self._gene[known]
        order = np.argsort(gene, kind="stable")
        order = order[gene[order] >= 0]
        if not len(order):
            return
        # Reduce sequences to lines, then guides to genes.
        by_line = np.logical_or.reduceat(finite.T[self._by_line], self._line_starts, axis=0)
        by_line = by_line.T[order]
        genes, starts = np.unique(gene[order], return_index=True)
        self._measured[genes] |= np.logical_or.reduceat(by_line, starts, axis=0)
        self._gene_n_guides[genes] += np.add.reduceat(by_line.any(axis=1), starts, dtype=np.int64)

    def _median(self, histogram: np.ndarray) -> float:
        """Lower median of binned values, to half a bin (0.0025 by default); NaN without values."""
        total = histogram.sum()
        if not total:
            return float("nan")
        middle = np.searchsorted(histogram.cumsum(), total / 2)
        return float((self._bins[middle] + self._bins[middle + 1]) / 2)


def _gene_by_guide(tables: CheckedTables) -> pd.Series:
    """Return the gene of each guide of the map, missing where the guide is not usable."""
    if tables.guide_map is None:
        return pd.Series(dtype=object)
    # A row without a guide breaks VALUE_MISSING of `schemas.tables.maps`.
    guide_map = tables.guide_map[tables.guide_map["guide"].notna()]
    genes = guide_map["gene"].where(usable_guides(guide_map)).set_axis(guide_map["guide"])
    usable_first = genes.sort_values(na_position="last")
    return usable_first[~usable_first.index.duplicated()].astype(object)


def _cell_lines(sequences: np.ndarray, tables: CheckedTables, library: str) -> pd.Series:
    """Return the cell line of each sequence, missing where it is not usable."""
    if tables.sequence_map is None:
        return pd.Series(pd.NA, index=sequences)
    usable = tables.sequence_map[usable_sequences(tables.sequence_map, library)]
    unique = usable.drop_duplicates("sequence").set_index("sequence")
    return unique["cell_line"].reindex(sequences)
