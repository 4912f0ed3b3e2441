"""The tables at the end of a fit and a promotion, at two widths of a terminal."""

from __future__ import annotations

import pandas as pd
import pytest

from deployments.terminal import (
    gate_table,
    gene_table,
    hyperparameter_table,
    losses_of_hits_table,
    losses_table,
    preparation_line,
    verdict_lines,
)
from schemas.reports import Verdict
from tests.tasks.fits import convergence_of
from tests.tasks.pages import on_terminal, require_page
from tests.tasks.test_render import GATE
from tests.tasks.test_report import PREPARATION

VERDICT = Verdict(status="review", reasons=("[3] draws diverged",), notes=("Guides differ.",))
EFFECTS = pd.DataFrame(
    {
        "gene": ["SMARCA4 (6597)", "MYB (4602)"], "call": ["negative", "none"],
        "most_influential_line": "ACH-000007", "carried_by_one_line": [True, False],
        "beta_mean": [-0.25, -0.125], "beta_hdi_low": -123.456, "beta_hdi_high": 0.5,
        "beta_sd": 0.03125, "lfsr": [0.0, 0.03125],
    }
)  # fmt: skip
SUMMARY = pd.DataFrame(
    {
        "parameter": ["mu_alpha", "sigma", "beta_g[SMARCA4 (6597)]"], "mean": [0.125, 1, 2],
        "sd": 0.25, "hdi_low": -0.5, "hdi_high": 0.75, "ess_bulk": 1234.5, "r_hat": 1.0015,
    }
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 100])
def test_the_tables_are_the_ones_that_are_kept(width):
    text = on_terminal(
        preparation_line(PREPARATION),
        losses_table(PREPARATION),
        hyperparameter_table(SUMMARY),
        gene_table(EFFECTS, n_draws=16_000),
        *verdict_lines(VERDICT, convergence_of()),
        gate_table(GATE),
        losses_of_hits_table(GATE),
        width=width,
    )
    require_page(f"terminal_{width}.txt", text)
