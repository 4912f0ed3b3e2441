"""Which amplified genes are carried by copy number, on a screen with truth."""

import numpy as np
import pytest

from model.effects import copy_number as module
from model.effects.gene_effects import gene_effects
from model.engines.run import run_engine
from model.simulation.calibration import simulate_screen
from schemas.calibration import CalibrationSettings
from schemas.column_catalog import COPY_NUMBER_OF_GENES, GENE_EFFECTS
from schemas.parameters import FitParameters, Priors, Sampling

SIZES = {"genes": 50, "cell_lines": 40}
GENES = PASSENGER, DRIVER = 7, 11
SDS = "sigma", "sigma_guide", "sigma_gene_line", "sigma_guide_line", "sigma_omega", "sigma_s"
OTHERS = {"mu_kappa": "Normal(-0.25, 0.01)", "sigma_kappa": "HalfNormal(0.3)"}
PRIORS = Priors.model_validate(OTHERS | dict.fromkeys(SDS, "HalfNormal(0.15)"))
"""Of the simulation; fits have the usual ones."""
PARAMETERS = FitParameters(model="m4_screen", sampling=Sampling(draws=400, chains=2))


def screen():
    """Two genes are amplified in a fifth of the lines, with a kappa of -0.3, and expressed so.

    DRIVER alone, whose RNA varies for other reasons too, has a slope on RNA.
    """
    settings = CalibrationSettings(model="m4_screen", copy_number=True, priors=PRIORS, **SIZES)
    drawn, random = simulate_screen(settings, np.random.SeedSequence(20)), np.random.default_rng(1)
    design, truth = drawn.design, drawn.truth
    copies, rna = design.covariates["copy_number"], design.rna
    for gene, slope, own_share in zip(GENES, (0.0, -0.4), (0.3, 1.0), strict=True):
        amplified = copies[gene] + 1.5 * (np.arange(40) % 5 == 0)
        amplified -= amplified.mean()
        new = amplified / amplified.std() + own_share * random.standard_normal(40)
        new = (new - new.mean()) / new.std(ddof=1)
        before = truth["kappa_g"][gene] * copies[gene] + truth["beta_g"][gene] * rna[gene]
        moved = truth["s_c"] * (-0.3 * amplified + slope * new - before)
        of = np.flatnonzero(design.guide_gene == gene)
        added = 2 * moved * design.total[of] + design.count[of] * moved**2
        design.sum_of_squares[gene] += added.sum(axis=0)
        design.total[of] += design.count[of] * moved
        copies[gene], rna[gene] = amplified, new
    return design


def test_a_passenger_is_carried_by_copy_number_and_a_driver_keeps_its_call():
    design = screen()
    slope, plain = module.copy_number_slope(design, PARAMETERS), module.without_copy_number(design)
    assert module.copy_number_slope(plain, PARAMETERS) is None
    nested = PARAMETERS.model_copy(update={"model": "m4_nested"})
    assert module.copy_number_slope(design, nested) is None
    tree = run_engine(design, PARAMETERS)
    effects = gene_effects(tree, design)
    other = module.summarise_without(run_engine(plain, PARAMETERS), design, PARAMETERS)
    table = module.with_copy_number(effects, tree["posterior"].dataset, slope, other)
    assert [*table.columns] == [*GENE_EFFECTS, *COPY_NUMBER_OF_GENES] and other.rhat_max > 1
    assert table[[*GENE_EFFECTS]].equals(effects)
    passenger, driver = (table.set_index("gene").loc[f"gene{gene:04}"] for gene in GENES)
    for row, calls, carried, beta in (
        (passenger, ("negative", "none"), True, 0.0),
        (driver, ("negative", "negative"), False, -0.4),
    ):
        assert (row["call_without_copy_number"], row["call"]) == calls
        assert row["carried_by_copy_number"] == carried
        assert row["beta_mean"] == pytest.approx(beta, abs=0.05)
        assert row["beta_mean_without_copy_number"] < beta - 0.1
        middle, low, high = row[[*COPY_NUMBER_OF_GENES][:3]]
        assert low < middle < high < 0
    assert 0 < table["carried_by_copy_number"].sum() < 5
