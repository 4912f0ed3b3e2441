"""The simulated screen is the published one, to the digit."""

from __future__ import annotations

import pandas as pd
import pytest

from model.simulate import original_screen


def test_the_screen_is_drawn_with_known_values():
    screen = original_screen()
    rows = screen.measurements.round(6)
    assert len(rows) == 300
    assert rows.iloc[[0, 101, -1]].to_numpy().tolist() == [
        ["geneA", "cellA", -1.187443, 0, 7.516370],
        ["geneA", "cellB", 0.299138, 1, -1.904091],
        ["geneE", "cellT", -1.014537, 2, -1.022285],
    ]
    means = {"mu_alpha": -1.0, "mu_gamma": 0.0, "mu_beta": -1.0}
    sds = {"sigma_alpha": 1.0, "sigma_gamma": 3.0, "sigma_beta": 2.0, "sigma": 0.3}
    assert dict(list(screen.truth.items())[:7]) == means | sds
    assert len(screen.truth) == 7 + 5 + 5 + 20


def test_the_rows_are_the_published_ones(shared):
    published = pd.read_csv(shared / "reference" / "m4_seed103_published_fit_rows.csv")
    keys = ["gene", "cell_line", "sgrna_idx"]
    ours = original_screen().measurements.merge(published, on=keys, suffixes=("", "_published"))
    assert len(ours) == len(published) == 10
    assert (ours.rna - ours.rna_published).abs().max() < 5e-7
    assert (ours.logfc - ours.logfc_published).abs().max() < 5e-7


@pytest.mark.parametrize("group", ["alpha_g", "beta_g", "gamma_c"])
def test_the_effects_are_the_published_ones(shared, group: str):
    published = pd.read_csv(shared / "reference" / "m4_seed103_published.csv")
    expected = published[published.parameter.str.startswith(group)].true_value
    ours = [value for name, value in original_screen().truth.items() if name.startswith(group)]
    assert abs(expected.to_numpy() - ours).max() < 5e-7
