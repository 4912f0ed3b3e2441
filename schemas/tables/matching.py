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
from schemas.tables.layouts import free_labels
from schemas.tables.rule import Rule

GENES_MATCHED = Rule(
    "genes_matched",
    "genes labelled SYMBOL (ENTREZ) as in {other}; {n_matched} of {n_all} labels were matched to "
    "them by {by}",
    "none needed if these pairs are right; a symbol may have gone to another gene between releases",
    "warning",
)
SEQUENCES_MATCHED = Rule(
    "sequences_matched",
    "sequences labelled as in the sequence map; {n_matched} of {n_all} labels seem to be changed "
    "by R",
    "none needed if these pairs are right; read.csv(check.names=FALSE) keeps labels",
    "warning",
)

_GENE = re.compile(r"(\S+) \((\d+)\)")


def match_labels(raw: RawScreen) -> tuple[RawScreen, list[Finding]]:
    """Return the tables with the labels of one of them, and the findings on what was matched.

    RNA, copy number and lists of controls get the labels of the guide map. A guide map without any
    label SYMBOL (ENTREZ) first gets those of RNA.
    """
    findings: list[Finding] = []
    raw = _match_sequences(raw, findings)
    if raw.guide_map is None or "gene" not in raw.guide_map.frame:
        return raw, findings
    if raw.rna is not None and not free_labels(raw.rna.source.layout):
        genes = _genes(raw.guide_map)
        if not any(map(_GENE.fullmatch, genes)):
            table = _relabel_column(raw.guide_map, raw.rna.values.columns, "rna", findings)
            raw = replace(raw, guide_map=table)
    assert raw.guide_map is not None
    genes = _genes(raw.guide_map)
    tables: dict[str, Any] = {
        name: _relabel_column(table, genes, "guide_map", findings)
        for name in ("essential", "nonessential", "expression_addictions")
        if (table := getattr(raw, name)) is not None
    }

    def matched(table: RawProfiles) -> RawProfiles:
        free = free_labels(table.source.layout)
        return table if free else _relabel_matrix(table, genes, findings)

    if raw.rna is not None:
        tables["rna"] = matched(raw.rna)
    tables["covariates"] = {name: matched(table) for name, table in raw.covariates.items()}
    return replace(raw, **tables), findings


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


def _genes(guide_map: RawTable) -> list[str]:
    return list(guide_map.frame["gene"].dropna().str.strip().unique())


def _match_genes(
    table: str, labels: Iterable[str], known: Iterable[str], other: str, findings: list[Finding]
) -> Mapping[str, str]:
    labels = list(dict.fromkeys(labels))
    found = matched_labels(labels, known, gene_keys)
    if found:
        by = {"symbol" if gene_keys(one)[0].startswith("sy") else "Entrez number" for one in found}
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
