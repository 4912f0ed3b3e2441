"""The pieces of the PyMC models, as the model being built has them; no density is compiled."""

from __future__ import annotations

import pymc as pm
import pytest
from pytensor.graph.traversal import ancestors

from model.terms import coords, prior, zero_sum
from schemas.parameters import Distribution
from tests.designs import design_from_rows, nested_rows


def test_labels_are_those_of_the_design_and_other_dims_are_numbered():
    design = design_from_rows(nested_rows(3, 4, 2, 2)[0])
    found = coords(design, measurement=4)
    assert found["gene"] == list(design.genes)
    assert found["cell_line"] == list(design.cell_lines)
    assert list(found["measurement"]) == [0, 1, 2, 3]


def test_a_prior_is_of_the_family_and_the_arguments_of_the_settings():
    with pm.Model() as model:
        slope = prior("slope", Distribution(family="Normal", arguments=(-0.5, 2.0)))
    assert model["slope"] is slope
    assert slope.owner.op.name == "normal"
    assert [float(one.data) for one in slope.owner.op.dist_params(slope.owner)] == [-0.5, 2.0]


def test_deviations_sum_to_zero_over_their_dim():
    with pm.Model(coords={"gene": ["A", "B", "C"]}) as model:
        sd = pm.HalfNormal("sd", 1)
        deviations = zero_sum("gene_deviation", sd, "gene", 3)
    assert model["gene_deviation"] is deviations
    assert model.named_vars_to_dims["gene_deviation"] == ("gene",)
    assert deviations in model.free_RVs
    assert type(deviations.owner.op).__name__ == "ZeroSumNormalRV"
    assert sd in ancestors([deviations])


@pytest.mark.parametrize("dim", ["gene", "cell_line"])
def test_a_single_deviation_is_zero(dim: str):
    with pm.Model(coords={dim: ["A"]}) as model:
        deviation = zero_sum("alone", pm.HalfNormal("sd", 1), dim, 1)
    assert model["alone"] is deviation
    assert model.named_vars_to_dims["alone"] == (dim,)
    assert deviation not in model.free_RVs
    assert deviation.eval().tolist() == [0.0]
