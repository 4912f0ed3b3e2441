"""The simulated screen is the published one, to the digit."""

from __future__ import annotations

import pandas as pd

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


def test_rows_and_effects_are_the_published_ones(shared):
    screen = original_screen()
    published = pd.read_csv(shared / "reference" / "m4_seed103_published_fit_rows.csv")
    keys = ["gene", "cell_line", "sgrna_idx"]
    ours = screen.measurements.merge(published, on=keys, suffixes=("", "_published"))
    assert len(ours) == len(published) == 10
    assert (ours.rna - ours.rna_published).abs().max() < 5e-7
    assert (ours.logfc - ours.logfc_published).abs().max() < 5e-7
    published = pd.read_csv(shared / "reference" / "m4_seed103_published.csv")
    for group in ("alpha_g", "beta_g", "gamma_c"):
        expected = published[published.parameter.str.startswith(group)].true_value
        truth = [value for name, value in screen.truth.items() if name.startswith(group)]
        assert abs(expected.to_numpy() - truth).max() < 5e-7
