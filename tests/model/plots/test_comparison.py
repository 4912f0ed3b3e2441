"""Pictures of a comparison: which genes they name."""

import pytest

from model.comparison.fits import compare_fits
from model.plots.comparison import comparison_figures
from schemas.comparison import ComparisonSettings
from tests.model.comparison.test_fits import effects, fit


@pytest.mark.parametrize(("beta", "named"), [(-0.2, True), (0.2, False)])
def test_a_hit_with_opposite_signs_is_named_though_others_moved_further(beta, named):
    far = {f"G{number}": (1.0 + number, 0.1, 0.0) for number in range(20)}
    moved = {gene: (2 + 3 * mean, sd, lfsr) for gene, (mean, sd, lfsr) in far.items()}
    a, b = effects(**far, FLIP=(0.2, 0.1, 0.04)), effects(**moved, FLIP=(beta, 0.1, 0.04))
    comparison, genes = compare_fits("avana", fit("A", a), fit("B", b), ComparisonSettings())
    for name in ("slopes", "differences"):
        figure = comparison_figures(genes, comparison)[name]
        labels = {text.get_text() for axes in figure.axes for text in axes.texts}
        assert ("FLIP" in labels) == named and "G19" in labels
        assert len(labels) == 12
