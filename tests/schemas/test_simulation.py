"""Which values a screen is drawn from."""

from __future__ import annotations

from schemas.simulation import Simulation, TrueValues


def test_a_screen_is_drawn_from_the_values_of_a_real_one_unless_others_are_given():
    assert Simulation().population == TrueValues()
    plain = TrueValues(sigma_alpha=0.28, sigma_gamma=0.41, sigma_beta=0.18, sigma=0.75)
    for model in ("m4", "m4_zero_mean"):
        assert Simulation.model_validate({"model": model}).population == plain
    assert Simulation(model="m4", true_values=TrueValues(sigma=2)).population.sigma == 2
