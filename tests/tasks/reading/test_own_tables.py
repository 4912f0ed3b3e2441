"""One screen gives the same sums whatever form its own tables have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Preparation
from tasks.reading.validate import ValidatedScreen, validate

LINES, SYMBOLS = ["A375", "HT29", "K562", "U2OS"], ["SOX10", "MYB", "KRAS"]
DEPMAP = {line: f"ACH-{number:06}" for number, line in enumerate(LINES)}
NUMBERED = {symbol: f"{symbol} ({number})" for number, symbol in enumerate(SYMBOLS, 1)}
DRAWS = np.random.default_rng(3)
RNA = pd.DataFrame(DRAWS.uniform(0, 9, (4, 3)).round(3), LINES, SYMBOLS)
LONG = pd.DataFrame(
    [
        (gene, line, f"{gene}_{guide}", f"R{replicate}", round(DRAWS.normal(), 3))
        for gene in SYMBOLS
        for guide in range(2)
        for line in LINES
        for replicate in range(2)
    ],
    columns=["gene", "cell_line", "guide", "replicate", "logfc"],
).drop(index=[5, 22])
WITH_RNA = LONG.join(pd.Series(RNA.stack(), name="rna"), on=["cell_line", "gene"])
BY_LINE = LONG.assign(column=LONG["cell_line"] + "_" + LONG["replicate"]).pivot(
    index=["guide", "gene"], columns="column", values="logfc"
)
MAGECK = BY_LINE.reset_index().rename(columns={"guide": "sgRNA", "gene": "Gene"})
OF_DEPMAP = RNA.rename(index=DEPMAP, columns=NUMBERED)
BOTH = LONG.assign(cell_line=LONG["cell_line"].map(DEPMAP))
ODD = {"gene": "target", "cell_line": "model", "guide": "barcode", "logfc": "effect"}
SAMPLES = MAGECK.rename(columns=lambda name: name.replace("_R", " of "))
MAP = pd.DataFrame({"sequence": SAMPLES.columns[2:]})
MAP["cell_line"] = MAP["sequence"].str.split(" ").str[0]
PARAMETERS = FitParameters(preparation=Preparation(min_cell_lines_per_gene=3))


def read(
    folder: Path, columns: dict[str, str] | None = None, library: str = "unknown", **tables
) -> ValidatedScreen:
    for name, table in tables.items():
        is_matrix = not isinstance(table.index, pd.RangeIndex) and table.index.dtype != int
        table.to_csv(folder / f"{name}.txt", sep="\t", index=is_matrix)
    paths = {name: str(folder / f"{name}.txt") for name in tables}
    content = {"name": "s", "release": "1", "library": library, "columns": columns or {}, **paths}
    return validate(Dataset.model_validate(content), PARAMETERS)


@pytest.mark.parametrize(
    ("tables", "columns", "rules"),
    [
        ({"logfc": LONG.rename(columns={"logfc": "LFC", "guide": "sgRNA"}), "rna": RNA}, None, []),
        ({"logfc": WITH_RNA.rename(columns=ODD)}, ODD, []),
        ({"logfc": MAGECK, "rna": RNA}, None, ["replicates_matched"]),
        ({"logfc": SAMPLES, "rna": RNA, "sequence_map": MAP}, None, []),
        ({"logfc": BOTH, "rna": OF_DEPMAP}, None, ["genes_matched"]),
        ({"logfc": WITH_RNA, "copy_number": RNA.rename(columns=NUMBERED) * 0 + 1.1}, None,
         ["genes_matched"]),
    ],
)  # fmt: skip
def test_an_own_table_gives_the_sums_of_the_long_one(tmp_path: Path, tables, columns, rules):
    sound, found = read(tmp_path, logfc=WITH_RNA), read(tmp_path, columns, **tables)
    assert [one.rule for one in found.report.findings] == [*rules, "logfc_missing"]
    assert sound.statistics is not None and found.statistics is not None
    for name in ("count", "total", "sum_of_squares"):
        ours, theirs = getattr(found.statistics, name), getattr(sound.statistics, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, err_msg=name)
    by_number = "genes_matched" in rules
    genes = sorted(NUMBERED.values() if by_number else SYMBOLS)
    assert list(found.statistics.selection.rna.index) == genes


def test_a_symbol_of_two_genes_is_excluded_with_the_reason(tmp_path: Path):
    rna = OF_DEPMAP.assign(**{"MYB (99)": 3.0, "LAST (7)": 1.5})
    found = read(tmp_path, logfc=BOTH, rna=rna)
    assert found.statistics is not None
    reasons = found.statistics.selection.genes
    assert reasons["MYB"] == "symbol of several genes" and reasons["SOX10 (1)"] == ""
    (matched,) = [one for one in found.report.findings if one.rule == "genes_matched"]
    assert "2 of 3 labels were matched to them by symbol; 1 were not: MYB" in matched.expected


EFFECTS = LONG[::2].groupby(["cell_line", "gene"])["logfc"].first().unstack()
OF_RELEASE = EFFECTS.rename(index=DEPMAP, columns=NUMBERED)
SCREENS = pd.DataFrame(
    [(f"{line}{r}", f"SC-{i:06}.AV01", line, "2DS", "AV", r > 0)
     for i, line in enumerate(OF_RELEASE.index) for r in (0, 1)],
    columns=["SequenceID", "ScreenID", "ModelID", "ScreenType", "Library", "PassesQC"],
)  # fmt: skip
BY_SCREEN = OF_RELEASE.set_axis(SCREENS["ScreenID"].unique())
BY_GENE = EFFECTS.T.reset_index()


@pytest.mark.parametrize(
    ("tables", "columns"),
    [
        ({"logfc": OF_RELEASE, "rna": OF_DEPMAP}, None),
        # The second replicate of each screen passes.
        ({"logfc": BY_SCREEN, "rna": OF_DEPMAP, "sequence_map": SCREENS}, None),
        ({"logfc": BY_GENE, "rna": RNA}, {"guide": "gene"}),
        ({"logfc": BY_GENE.melt("gene", value_name="lfc"), "rna": RNA}, {"guide": "gene"}),
    ],
)
def test_gene_effects_are_one_value_per_gene_and_line(tmp_path: Path, tables, columns):
    found = read(tmp_path, columns, library="AV", **tables)
    assert [one.rule for one in found.report.findings] == ["gene_level"]
    assert found.statistics is not None and (found.statistics.count == 1).all()
    symbols = [label.split(" ")[0] for label in found.statistics.guides]
    np.testing.assert_array_equal(found.statistics.total, EFFECTS.T.loc[symbols])


def test_screens_need_the_map_of_their_lines(tmp_path: Path):
    (refused,) = read(tmp_path, logfc=BY_SCREEN, rna=OF_DEPMAP).report.errors
    assert "ScreenSequenceMap has the cell lines" in refused.remedy
