"""Columns of logFC tables of one's own: the names in use, and those that a dataset file maps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from schemas.suggestions import suggestion
from schemas.tables.containers import TableFormatError
from schemas.tables.layouts import UNNAMED, Layout

NAMES: dict[str, frozenset[str]] = {
    "gene": frozenset(
        {"gene", "genes", "genesymbol", "symbol", "hugosymbol", "genename", "hgncsymbol"}
        | {"targetgene", "targetgenesymbol"}
    ),
    "cell_line": frozenset(
        {"cellline", "celllinename", "celllines", "line", "modelid", "depmapid", "cclename"}
    ),
    "guide": frozenset(
        {"guide", "guideid", "guidesequence", "grna", "grnaid", "sgrna", "sgrnaid"}
        | {"sgrnasequence", "sgrnas", "constructbarcode", "construct"}
    ),
    "logfc": frozenset(
        {"logfc", "lfc", "log2fc", "l2fc", "log2foldchange", "logfoldchange", "correctedfc"}
    ),
    "replicate": frozenset({"replicate", "replicateid", "rep", "repl", "sequenceid"}),
    "rna": frozenset(
        {"rna", "rnaexpr", "rnaexpression", "expression", "log2tpm", "log2tpm1", "logtpm"}
    ),
}
"""Names by role, in small letters without punctuation: of MAGeCK, CRISPRcleanR, drugZ, PoolQ."""
REQUIRED = ("gene", "cell_line", "guide", "logfc")
"""Roles that a long table needs."""
ANNOTATIONS = frozenset(
    {"constructids", "category", "description", "entrez", "entrezid", "geneid", "ensemblid"}
    | {"sequence", "seq", "chr", "chrm", "chrom", "chromosome", "strand", "exon", "exone"}
    | {"start", "startp", "startpos", "end", "endp", "endpos", "library"}
)
"""Columns about guides that stand among the values of some wide tables; they are not read."""


def plain(name: str) -> str:
    """Return a column name in small letters without punctuation."""
    return re.sub(r"[\W_]", "", name).casefold()


def role_of(name: str) -> str:
    """Return the role that a column name has; empty where it has none."""
    return next((role for role, names in NAMES.items() if plain(name) in names), "")


def lacking_roles(header: Sequence[str]) -> list[str]:
    """Return the roles that a table lacks to be a long one; empty unless it has most of them."""
    found = set(map(role_of, header[:100]))
    lacking = [role for role in REQUIRED if role not in found]
    return lacking if "logfc" in found and len(lacking) < len(REQUIRED) - 1 else []


def own_layout(location: str, header: Sequence[str], mapping: Mapping[str, str]) -> Layout | None:
    """Return the layout of a long table, or of guides x sequences with a column of genes.

    `mapping`: role -> column, from the dataset file. Other roles are given by the names in use; the
    name of the role itself comes first. None for other tables.

    Raises:
        TableFormatError: `mapped_column_missing`, `ambiguous_column`, or `unknown_layout` where
            roles are mapped and others are missing.
    """
    _require_mapped(location, header, mapping)
    found, unclear = dict(mapping), {}
    for role, names in NAMES.items():
        # The column of genes may be mapped as that of guides: there are none.
        taken = {mapping[one] for one in mapping if (role, one) != ("gene", "guide")}
        free = [name for name in header if name not in taken]
        named = [role] if role in free else [name for name in free if plain(name) in names]
        if role not in mapping and named:
            found[role] = named[0]
            if len(named) > 1:
                unclear[role] = named
    is_long = {"logfc", "cell_line"} <= set(found)
    if not is_long and not {"logfc", "cell_line"} & set(mapping):
        return _wide(header, found, unclear, mapping)
    lacking = [role for role in REQUIRED if role not in found]
    if lacking and mapping:
        raise TableFormatError(
            "logfc",
            location,
            "unknown_layout",
            f"expected the columns of a long table: {', '.join(REQUIRED)}; no column is named as "
            f"{' or '.join(lacking)}, {_columns(header)}",
            f"name it in the dataset file: columns: {{{lacking[0]}: ...}}",
        )
    if lacking:
        return None
    if unclear:
        role, named = next(iter(unclear.items()))
        raise TableFormatError(
            "logfc",
            location,
            "ambiguous_column",
            f"expected one column that is named as {role}, got {' and '.join(named)}",
            f"name the right one in the dataset file: columns: {{{role}: {named[0]}}}",
        )
    by_gene = found["guide"] == found["gene"]
    required = {found[role]: role for role in REQUIRED if not (by_gene and role == "guide")}
    optional = {found[role]: role for role in ("replicate", "rna") if role in found}
    return Layout("long_by_gene" if by_gene else "long", "logfc", required, optional)


def _wide(
    header: Sequence[str],
    found: Mapping[str, str],
    unclear: Mapping[str, Sequence[str]],
    mapping: Mapping[str, str],
) -> Layout | None:
    if "guide" not in found or {"guide", "gene"} & set(unclear):
        return None
    if found.get("gene") == found["guide"]:
        return Layout("wide_by_gene", "logfc", {found["gene"]: "gene"}, matrix_of="sequence")
    ignored = {name: "" for name in header if plain(name) in ANNOTATIONS}
    ignored |= {UNNAMED: ""} if header[0] == UNNAMED else {}
    if "gene" in found:
        required = {found["guide"]: "guide", found["gene"]: "gene"}
        return Layout("wide_with_gene", "logfc", required, ignored, matrix_of="sequence")
    if "guide" in mapping or set(ignored) - {UNNAMED}:  # PoolQ has ids of its constructs
        required = {found["guide"]: "guide"}
        return Layout("current_named", "logfc", required, ignored, matrix_of="sequence")
    return None


def _require_mapped(location: str, header: Sequence[str], mapping: Mapping[str, str]) -> None:
    missing = {role: name for role, name in mapping.items() if name not in header}
    if missing:
        shown = " and ".join(f"{name!r} as {role}" for role, name in missing.items())
        name = next(iter(missing.values()))
        raise TableFormatError(
            "logfc",
            location,
            "mapped_column_missing",
            f"expected the column {shown}, from `columns` in the dataset file; {_columns(header)}",
            f"correct `columns`{suggestion(name, header)}",
        )


def _columns(header: Sequence[str]) -> str:
    shown = ", ".join(name or "(unnamed)" for name in header[:12])
    return f"the table has {shown}" + (f", ... ({len(header)})" if len(header) > 12 else "")
