"""Statistics are those of a groupby, whatever the blocks, and nothing is lost uncounted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from model.preparation import PreparationError
from schemas.parameters import FitParameters
from schemas.screen import Screen
from tests.model.small_screens import (
    GENES,
    LINES,
    collect,
    guide_map,
    prepared,
    sequence_map,
    table,
)


@st.composite
def screens(draw: st.DrawFn) -> tuple[Screen, pd.DataFrame]:
    """A screen with holes of every kind, and its logFC table."""
    seed = draw(st.integers(0, 2**32 - 1))
    holes = draw(st.sampled_from([0.0, 0.2, 0.7]))
    random = np.random.default_rng(seed)
    n_guides, n_sequences = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    genes, lines = [*GENES, None], [*LINES, None]
    of = Screen(
        guide_map=guide_map(
            [
                (
                    f"G{i}",
                    genes[random.integers(4)],
                    int(random.integers(1, 3)),
                    random.random() > 0.1,
                )
                for i in random.permutation(n_guides)
            ]
        ),
        sequence_map=sequence_map(
            [(f"S{i}", lines[random.integers(5)]) for i in range(n_sequences)],
            passes_qc=random.random(n_sequences) > 0.1,
            excluded=random.random(n_sequences) > 0.9,
            library=random.choice(["Lib", "Lib", "Lib", "Other"], n_sequences),
        ),
        profiles=pd.DataFrame(
            {
                "profile": list("abcde"),
                "cell_line": [*LINES, LINES[0]],
                "is_default": [True] * 4 + [False],
            }
        ),
        rna=pd.DataFrame(random.random((5, 3)), columns=GENES).mask(
            random.random((5, 3)) < holes / 2
        ),
    )
    logfc = table(of, seed).mask(random.random((n_guides, n_sequences)) < holes)
    return of, logfc.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)


def naive(of: Screen, logfc: pd.DataFrame) -> pd.DataFrame:
    """Count, sum and sum of squares by guide and cell line, by melting and merging."""
    guides = of.guide_map.query("used and n_alignments == 1").dropna(subset="gene")
    sequences = of.sequence_map.query("passes_qc and not excluded and library == 'Lib'")
    default = of.profiles["is_default"].to_numpy()
    rna = of.rna[default].assign(cell_line=of.profiles.loc[default, "cell_line"])
    rows = (
        logfc.rename_axis("guide")
        .reset_index()
        .melt("guide", var_name="sequence", value_name="logfc")
        .merge(guides, on="guide")
        .merge(sequences.dropna(subset="cell_line"), on="sequence")
        .merge(rna.melt("cell_line", var_name="gene", value_name="rna"), on=["gene", "cell_line"])
        .dropna(subset=["logfc", "rna"])
    )
    rows["square"] = rows["logfc"] ** 2
    return rows.groupby(["guide", "cell_line"]).agg(
        count=("logfc", "size"), total=("logfc", "sum"), square=("square", "sum")
    )


@settings(max_examples=60, deadline=None)
@given(drawn=screens(), block_size=st.integers(1, 13))
def test_statistics_are_those_of_a_groupby_whatever_the_blocks(
    drawn: tuple[Screen, pd.DataFrame], block_size: int
):
    of, logfc = drawn
    expected = naive(of, logfc)
    try:
        statistics = collect(of, logfc, FitParameters(), block_size)
    except PreparationError:
        assert expected.empty
        return
    index = pd.MultiIndex.from_product(
        [statistics.guides, statistics.selection.rna.columns], names=["guide", "cell_line"]
    )
    assert expected.index.isin(index).all()
    cells = expected.reindex(index, fill_value=0)
    shape = statistics.count.shape
    np.testing.assert_array_equal(statistics.count, cells["count"].to_numpy().reshape(shape))
    np.testing.assert_allclose(
        statistics.total, cells["total"].to_numpy().reshape(shape), atol=1e-12
    )
    squares = np.zeros(statistics.sum_of_squares.shape)
    np.add.at(squares, statistics.guide_gene, cells["square"].to_numpy().reshape(shape))
    np.testing.assert_allclose(statistics.sum_of_squares, squares, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(drawn=screens())
def test_nothing_is_lost_uncounted(drawn: tuple[Screen, pd.DataFrame]):
    of, logfc = drawn
    try:
        design, _ = prepared(of, logfc)
    except PreparationError:
        return
    rows = design.measurements
    assert rows is not None
    cells = rows.groupby(["guide", "cell_line"])["logfc"].agg(["size", "sum"])
    at = tuple(cells.index.get_level_values(level) for level in (0, 1))
    assert len(cells) == (design.count > 0).sum()
    assert (design.count[at] == cells["size"]).all()
    np.testing.assert_allclose(design.total[at], cells["sum"], atol=1e-12)
    assert (design.gene_count.sum(axis=1) > 0).all()
    assert np.isfinite(design.rna[design.gene_count > 0]).all()
