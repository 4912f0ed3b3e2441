"""The simulated screen is the published one, to the digit."""

import pytest

from model.simulation.original import original_screen


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
    groups = (("alpha_g", "gene"), ("beta_g", "gene"), ("gamma_c", "cell_line"))
    alpha, beta, gamma = ((f"{name}[" + rows[of] + "]").map(screen.truth) for name, of in groups)
    assert (rows.logfc - alpha - gamma - beta * rows.rna).std() == pytest.approx(0.3, rel=0.1)
