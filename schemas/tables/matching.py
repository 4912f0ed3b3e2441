"""Matching of labels that tables write in different ways, where only one label can be meant.

Genes agree by Entrez number or, where a table has symbols alone, by symbol; sequences by what R
makes of their labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from schemas.reports import Finding
from schemas.tables.containers import RawProfiles, RawScreen, RawTable, RenamedLogfc
from schemas.tables.layouts import OWN, free_labels, is_own
from schemas.tables.maps import CELL_LINE_PATTERN, GENE_PATTERN
from schemas.tables.rule import MOST_SHOWN, Rule

GENES_MATCHED = Rule(
    "genes_matched",
    "the gene labels of {other}; {n_matched} of {n_all} labels were matched to them by {by}{rest}",
    "none needed if these pairs are right; a symbol may have gone to another gene between releases",
    "warning",
)
GENES_AMBIGUOUS = Rule(
    "genes_ambiguous",
    "symbols that each mean one gene of {other}, and no two the same",
    "write these genes as SYMBOL (ENTREZ) to fit them: now they are excluded",
    "warning",
)
SEQUENCES_MATCHED = Rule(
    "sequences_matched",
    "sequences labelled as in the sequence map; {n_matched} of {n_all} labels seem to be changed "
    "by R",
    "none needed if these pairs are right; read.csv(check.names=FALSE) keeps labels",
    "warning",
)

REPLICATES_MATCHED = Rule(
    "replicates_matched",
    "a sequence map, or columns with the labels of cell lines of RNA; {n_matched} of {n_all} "
    "labels were taken as replicates of a line",
    "none needed if these pairs are right; otherwise give a `sequence_map` with the columns "
    "sequence and cell_line",
    "warning",
)

_GENE = re.compile(r"(\S+) \((\d+)\)")
_REPLICATE = re.compile(
    r"(.+?)(?:[\s_.:/-]+(?:rep(?:licate)?|r)?|rep(?:licate)?|r)[\s_.-]*(?:\d{1,2}|[a-f])", re.I
)
"""A label of a cell line with the number or letter of a replicate."""


def match_labels(raw: RawScreen) -> tuple[RawScreen, list[Finding]]:
    """Return the tables with the labels of one of them, and the findings on what was matched.

    RNA, copy number and lists of controls get the labels of the guide map. A guide map without any
    label SYMBOL (ENTREZ) first gets those of RNA or, where these have no numbers either, of copy
    number; RNA of the same long table gets them too.
    """
    findings: list[Finding] = []
    raw = _match_sequences(raw, findings)
    if raw.guide_map is None or "gene" not in raw.guide_map.frame:
        return raw, findings
    if not any(map(_GENE.fullmatch, _genes(raw.guide_map))):
        raw = _match_symbols(raw, findings)
    assert raw.guide_map is not None
    genes = _genes(raw.guide_map)
    tables: dict[str, Any] = {
        name: _relabel_column(table, genes, "guide_map", findings)
        for name in ("essential", "nonessential", "expression_addictions")
        if (table := getattr(raw, name)) is not None
    }

    def matched(table: RawProfiles) -> RawProfiles:
        own = is_own(table.source.layout)
        return table if own else _relabel_matrix(table, genes, findings)

    if raw.rna is not None:
        tables["rna"] = matched(raw.rna)
    tables["covariates"] = {name: matched(table) for name, table in raw.covariates.items()}
    return replace(raw, **tables), findings


def _match_symbols(raw: RawScreen, findings: list[Finding]) -> RawScreen:
    """Return the tables with the labels SYMBOL (ENTREZ) of the first table that has any."""
    assert raw.guide_map is not None
    tables = {"rna": raw.rna, **raw.covariates}
    numbered = {
        name: table.values.columns
        for name, table in tables.items()
        if table is not None and any(map(_GENE.fullmatch, table.values.columns))
    }
    if not numbered:
        return raw
    other, known = next(iter(numbered.items()))
    symbols = _genes(raw.guide_map)
    guide_map = _relabel_column(raw.guide_map, known, other, findings)
    rna = raw.rna
    if rna is not None and is_own(rna.source.layout):
        found = matched_labels(symbols, known, gene_keys)
        columns = pd.Index([found.get(gene, gene) for gene in rna.values.columns])
        rna = replace(rna, values=rna.values.set_axis(columns, axis=1))
    several = _several_meant(symbols, known)
    if several:
        found_in = [f"{symbol} = {' or '.join(meant)}" for symbol, meant in several.items()]
        findings.append(
            GENES_AMBIGUOUS.broken(f"guide_map+{other}", found_in, column="gene", other=other)
        )
    return replace(raw, guide_map=guide_map, rna=rna, ambiguous_genes=tuple(several))


def _several_meant(labels: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Return the labels that fit several known ones, or one that another label fits too."""
    by_key: dict[str, list[str]] = {}
    for label in dict.fromkeys(known):
        for key in dict.fromkeys(gene_keys(label)):
            by_key.setdefault(key, []).append(label)
    meant = {label: by_key.get(gene_keys(label)[0], []) for label in dict.fromkeys(labels)}
    times = Counter(label for fitting in meant.values() for label in fitting)
    return {
        label: sorted(fitting)
        for label, fitting in meant.items()
        if len(fitting) > 1 or any(times[one] > 1 for one in fitting)
    }


def matched_labels(
    labels: Iterable[str], known: Iterable[str], keys: Callable[[str], Sequence[str]]
) -> dict[str, str]:
    """Return label -> known label for labels whose first key is a key of one known label.

    Known labels, and those that another label means too, are left out.
    """
    labels, known = dict.fromkeys(labels), set(known)
    by_key: dict[str, set[str]] = {}
    for label in known:
        for key in keys(label):
            by_key.setdefault(key, set()).add(label)
    meant = {label: by_key.get(keys(label)[0], set()) for label in labels if label not in known}
    found = {label: next(iter(one)) for label, one in meant.items() if len(one) == 1}
    times = Counter([*found.values(), *(label for label in labels if label in known)])
    return {label: one for label, one in found.items() if times[one] == 1}


def gene_keys(label: str) -> list[str]:
    """Return the keys of a gene, the surest first: its number, its symbol, and what R makes of it.

    The first one alone decides what a label means: another number is another gene.
    """
    gene = _GENE.fullmatch(label)
    if gene is not None:
        return [gene[2], f"symbol {gene[1]}", f"symbol {r_name(gene[1])}"]
    symbol = re.sub(r" \(ENSG[\d.]+\)$", "", label)
    return [label if label.isdecimal() else f"symbol {symbol}"]


def r_name(label: str) -> str:
    """Return what R's `make.names` makes of a label in the header of a table."""
    name = re.sub(r"[^\w.]", ".", label)
    return name if re.match(r"[^\W\d_]|\.(?!\d)", name) else f"X{name}"


def with_own_labels(raw: RawScreen) -> RawScreen:
    """Return the tables beside an own logFC table; those with other labels than DepMap's are own.

    Most of the labels decide, so that a single wrong label is still reported.
    """
    if raw.sequence_map is None or not free_labels(raw.sequence_map.source.layout):
        return raw

    def own[T: RawTable | RawProfiles](table: T, *labels: tuple[pd.Series, str]) -> T:
        others = any(2 * one.str.fullmatch(pattern).sum() < len(one) for one, pattern in labels)
        if not others or free_labels(table.source.layout):
            return table
        return replace(table, source=replace(table.source, layout=f"{OWN}_{table.source.layout}"))

    def own_profiles(table: RawProfiles) -> RawProfiles:
        genes = pd.Series(table.values.columns.astype("str"))
        lines = table.profiles["cell_line"].dropna()
        return own(table, (lines, CELL_LINE_PATTERN), (genes, GENE_PATTERN))

    lists = {
        name: own(table, (table.frame["gene"].dropna(), GENE_PATTERN))
        for name in ("essential", "nonessential", "expression_addictions")
        if (table := getattr(raw, name)) is not None
    }
    lines = raw.model_table
    return replace(
        raw,
        rna=None if raw.rna is None else own_profiles(raw.rna),
        covariates={name: own_profiles(table) for name, table in raw.covariates.items()},
        model_table=lines and own(lines, (lines.frame["cell_line"].dropna(), CELL_LINE_PATTERN)),
        **lists,
    )


def match_replicates(
    labels: Sequence[str], cell_lines: Iterable[str]
) -> tuple[list[str], tuple[Finding, ...]]:
    """Return the cell line of each label of a sequence, and the finding on those that differ.

    `A375_R1` and `A375 rep B` are replicates of `A375` where that is a cell line and they are none.
    """
    known, found = set(cell_lines), {}
    for label in labels:
        replicate = None if label in known else _REPLICATE.fullmatch(label)
        if replicate and replicate[1] in known:
            found[label] = replicate[1]
    if not found:
        return list(labels), ()
    pairs = [f"{label} of {line}" for label, line in found.items()]
    finding = REPLICATES_MATCHED.broken(
        "logfc", pairs, column="sequence", n_matched=len(found), n_all=len(labels)
    )
    return [found.get(label, label) for label in labels], (finding,)


def _genes(guide_map: RawTable) -> list[str]:
    return list(guide_map.frame["gene"].dropna().str.strip().unique())


def _match_genes(
    table: str, labels: Iterable[str], known: Iterable[str], other: str, findings: list[Finding]
) -> Mapping[str, str]:
    labels, known = list(dict.fromkeys(labels)), list(dict.fromkeys(known))
    if any(map(_GENE.fullmatch, known)):
        found = matched_labels(labels, known, gene_keys)
    else:  # symbols: labels with numbers are matched to them
        back = matched_labels(known, labels, gene_keys)
        found = {label: symbol for symbol, label in back.items()}
    if found:
        by = {
            "symbol" if any(gene_keys(one)[0].startswith("sy") for one in pair) else "Entrez number"
            for pair in found.items()
        }
        rest = [label for label in labels if label not in found] if table == "guide_map" else []
        shown = ", ".join(rest[:MOST_SHOWN]) + (", ..." if len(rest) > MOST_SHOWN else "")
        pairs = [f"{label} = {meant}" for label, meant in found.items()]
        findings.append(
            GENES_MATCHED.broken(
                f"{table}+{other}",
                pairs,
                column="gene",
                other=other,
                n_matched=len(found),
                n_all=len(labels),
                by=" or ".join(sorted(by)),
                rest=f"; {len(rest)} were not: {shown}" if rest else "",
            )
        )
    return found


def _relabel_column(
    table: RawTable, known: Iterable[str], other: str, findings: list[Finding]
) -> RawTable:
    """Return a table with other labels in its column of genes.

    Where labels need numbers, a gene that matches none is not known to the other table: its guides
    have no gene then, and lists of controls leave it out.
    """
    if "gene" not in table.frame:
        return table
    labels = table.frame["gene"].dropna().str.strip()
    found = _match_genes(table.source.table, labels, known, other, findings)
    if not found:
        return table
    genes = table.frame["gene"].map(lambda gene: found.get(gene, gene), na_action="ignore")
    if not free_labels(table.source.layout):
        genes = genes.where(genes.str.strip().str.fullmatch(_GENE.pattern).fillna(True))
    frame = table.frame.assign(gene=genes)
    is_list = table.source.table != "guide_map"
    return replace(table, frame=frame.dropna(subset="gene") if is_list else frame)


def _relabel_matrix(
    matrix: RawProfiles, known: Iterable[str], findings: list[Finding]
) -> RawProfiles:
    columns = matrix.values.columns
    found = _match_genes(matrix.source.table, map(str, columns), known, "guide_map", findings)
    if not found:
        return matrix
    columns = pd.Index([found.get(column, column) for column in columns])
    return replace(matrix, values=matrix.values.set_axis(columns, axis=1))


def _match_sequences(raw: RawScreen, findings: list[Finding]) -> RawScreen:
    if raw.logfc is None or raw.sequence_map is None or "sequence" not in raw.sequence_map.frame:
        return raw
    labels, known = raw.logfc.sequences, raw.sequence_map.frame["sequence"].dropna()
    changed = [label for label in labels if r_name(label) == label]  # R changes it no further
    found = matched_labels(changed, known, lambda label: [r_name(label)])
    if not found:
        return raw
    pairs = [f"{label} = {meant}" for label, meant in found.items()]
    findings.append(
        SEQUENCES_MATCHED.broken(
            "logfc+sequence_map",
            pairs,
            column="sequence",
            n_matched=len(found),
            n_all=len(labels),
        )
    )
    renamed = tuple(found.get(label, label) for label in labels)
    return replace(raw, logfc=RenamedLogfc(raw.logfc, renamed))
