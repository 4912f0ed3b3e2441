"""A small fit with a made-up posterior, of the right shape, for the tests of tracking."""

import base64
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from model.effects.influence import Influence
from model.fit import FitResults
from model.prediction.loo import Loo
from model.screen.design import ScreenDesign
from model.screen.inclusion import InclusionTable
from schemas import reports
from schemas.dataset import Dataset
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, ModelName
from tasks.reports.figures import FitReport
from tests.designs import random_draws
from tests.model.predictive_checks import check_of

GENES = ("IRF4 (3662)", "MYB (4602)", "SOX10 (6663)")
CELL_LINES = ("ACH-000001", "ACH-000002", "ACH-000003", "ACH-000004")
TABLES = ("guide_map", "logfc", "rna")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
FIGURES = {"trace": PNG, "volcano": PNG}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'
REPORT = FitReport("<p>Report</p>", FIGURES, SVG, "<p>Genes</p>")
SECONDS: Any = SimpleNamespace(
    seconds={"validate": 1.5, "prepare": 0.5, "fit": 20.0, "checks": 2.0}, total=lambda: 30.0
)
"""A stopwatch that has stopped."""


def dataset_of(name: str = "Avana sample") -> Dataset:
    return Dataset(name=name, release="24Q4", library="Avana", folder="release")


def design_of(*, rna_is_log2: bool = True) -> ScreenDesign:
    n_genes, n_lines = len(GENES), len(CELL_LINES)
    count = np.full((2 * n_genes, n_lines), 2, np.uint16)
    return ScreenDesign(
        genes=GENES,
        cell_lines=CELL_LINES,
        guides=tuple(f"guide {number}" for number in range(2 * n_genes)),
        guide_gene=np.repeat(np.arange(n_genes), 2),
        rna=np.random.default_rng(1).normal(size=(n_genes, n_lines)),
        rna_mean=np.array([2.0, 4.0, 6.0]),
        rna_sd=np.array([0.5, 1.0, 2.0]),
        rna_is_log2=rna_is_log2,
        count=count,
        total=np.zeros(count.shape),
        sum_of_squares=np.ones((n_genes, n_lines)),
    )


def inclusion_of_fit() -> InclusionTable:
    lines = pd.DataFrame({"cell_line": CELL_LINES, "reason": ""})
    guides = {"guide": [f"guide {n}" for n in range(6)], "gene": np.repeat(GENES, 2), "reason": ""}
    reasons = {"gene": [*GENES, "TP53 (7157)"], "reason": [""] * 3 + ["RNA SD below 0.1"]}
    return InclusionTable(
        sequences=lines.assign(sequence=lines["cell_line"] + "_A", pdna_batch="1", passes_qc=True),
        guides=pd.DataFrame(guides),
        genes=pd.DataFrame(reasons),
        cell_lines=lines.assign(lineage=None, profile="PR-1"),
    )


def tree_of(model: ModelName, seed: int, engine: str) -> xr.DataTree:
    labels, spec = design_of().labels, MODEL_SPECS[model]
    coords = {dim: [*labels[dim]] for dim in ("gene", "cell_line")}
    logfc = xr.Dataset({"logfc": (("guide", "cell_line"), np.ones((6, 4)))}, coords)
    diverging = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((4, 50), bool))})
    tree = xr.DataTree.from_dict(
        {
            "posterior": random_draws(spec, labels, 4, 50, seed),
            "prior": random_draws(spec, labels, 1, 50, seed + 1),
            "posterior_predictive": logfc.expand_dims(chain=[0], draw=[0]),
            "sample_stats": diverging,
            "observed_data": logfc,
            "constant_data": xr.Dataset({"rna": (("gene", "cell_line"), np.ones((3, 4)))}, coords),
        }
    )
    tree.attrs = {"model": model, "engine": engine}
    return tree


NUTS = {"divergences": 0, "bfmi_min": 0.9, "step_size_min": 0.2, "step_size_max": 0.3}
EXACT = {
    "pareto_k": 0.125, "importance_efficiency": 0.875, "n_points": 8192, "log_evidence": -123.456,
    "log_evidence_mcse": 0.004, "interpolation_error": 0.0003, "n_passes": 25,
}  # fmt: skip


def convergence_of(engine: str = "nuts", **changes: float) -> reports.Convergence:
    """What a fit by an engine measured, with `changes` to the common numbers or to its own."""
    measured = {
        "rhat_max": 1.004, "ess_bulk_min": 812.5, "ess_tail_min": 640.0,
        "mcse_mean_max_ratio": 0.03, "n_draws": 200,
    }  # fmt: skip
    own = NUTS if engine == "nuts" else EXACT
    return reports.Convergence.model_validate(
        {
            **{name: changes.pop(name, value) for name, value in measured.items()},
            "worst": (("mu_alpha", 1.004),),
            engine: {**own, **changes},
        }
    )


KNOWN = reports.KnownGenes(
    n_listed=20, n_compared=12, n_others=300, n_negative=9, n_positive=1, n_negative_others=30,
    share_negative_low=0.7, share_negative_high=0.97, auc=0.91, auc_low=0.85, auc_high=0.96,
    enrichment_p=float("nan"),
)  # fmt: skip


INFLUENCE = reports.InfluenceSummary(
    elpd_lolo=-70.5, elpd_lolo_se=5.5, pareto_k_max=float("nan"), n_genes=3, n_genes_of_screen=3,
    n_genes_carried_by_one_line=2, n_lineages=4, n_genes_carried_by_one_lineage=1,
    n_genes_marking_a_lineage=0,
)  # fmt: skip
LOO = reports.LooSummary(
    elpd_loo=-61.5, elpd_loo_se=4.5, p_loo=7.25, pareto_k_bad=0.125, n_cells=12,
    n_cells_of_screen=12,
)  # fmt: skip


def validation_of(dataset: Dataset) -> reports.ValidationReport:
    tables = tuple(
        reports.TableSummary(
            table=table, location=f"/release/{table}.csv", layout="current", n_rows=20,
            n_columns=5, sha256=f"{number}" * 64,
        )
        for number, table in enumerate(TABLES)
    )  # fmt: skip
    finding = reports.Finding(
        table="rna", rule="rna_high", severity="warning", expected="below 20", found=("21.5",),
        count=1, remedy="check the units",
    )  # fmt: skip
    names = {"dataset": dataset.name, "release": dataset.release}
    return reports.ValidationReport(tables=tables, findings=(finding,), **names)


def influence_of(n_lineages: int = 4) -> Influence:
    """Return invented influence; without lineages that by draws, which gives no densities."""
    densities = () if n_lineages else ("elpd_lolo", "elpd_lolo_se", "pareto_k_max")
    unknown = dict.fromkeys(densities)
    summary = INFLUENCE.model_copy(update={"n_lineages": n_lineages, **unknown})
    lines, by_line, genes, by_lineage = (
        pd.DataFrame({"gene": GENES, "change_in_sd": [value, 0.5, -1.5]}) for value in range(4)
    )
    by_line = by_line.assign(cell_line=CELL_LINES[:3], beta_without=0.5, lfsr_without=0.25)
    optional = (lines, by_lineage) if n_lineages else (None, None)
    return Influence(summary, genes, optional[0], by_line, optional[1])


def effects_of(beta: np.ndarray) -> pd.DataFrame:
    calls = ["negative", "none", "not enough data"]
    genes = pd.DataFrame({"gene": GENES, "call": calls, "n_guides": 2, "beta_mean": beta})
    genes = genes.assign(beta_hdi_low=beta - 0.1, beta_hdi_high=beta + 0.1)
    lfsr = np.where(np.abs(beta) > 0.2, 0.0, 0.4)
    return genes.assign(beta_sd=0.05, lfsr=lfsr, call_error=lfsr)


def results_of(
    parameters: FitParameters | None = None,
    *,
    dataset: Dataset | None = None,
    status: reports.Status = "pass",
    engine: str = "nuts",
    **changes: Any,
) -> FitResults:
    """A fit by an engine, with `changes` to any other of its parts."""
    parameters = parameters or FitParameters(model="m4")
    dataset = dataset or dataset_of()
    rng = np.random.default_rng(parameters.seed)
    cells = pd.DataFrame({"gene": GENES, "cell_line": CELL_LINES[:3]})
    parts: dict[str, Any] = {
        "validation": validation_of(dataset),
        "preparation": reports.PreparationReport(
            losses=(), n_genes=3, n_cell_lines=4, n_guides=6, n_measurements=48
        ),
        "convergence": convergence_of(engine),
        "checks": (check_of("sd", 0.31), check_of("mean", 0.52), check_of("mean", 0.9, "prior")),
        "loo": Loo(LOO, cells.assign(elpd_loo=-5.125)),
        "verdict": reports.Verdict(
            status=status,
            reasons=() if status == "pass" else ("R-hat is 1.7; draw more.",),
            notes=("The check of sd stands out.",),
        ),
        "effects": effects_of(rng.normal(size=3)),
        "known_genes": None,
        "fitted_cells": cells.assign(fitted=rng.normal(size=3)),
        "summary": pd.DataFrame(
            {
                "parameter": ["mu_alpha", f"beta_g[{GENES[0]}]"],
                "mean": [0.1, -1],
                "sd": [0.2, 0.3],
                "ess_bulk": [3980.4, 4012.0],
                "r_hat": [1.0003, 1.0],
            }
        ),
        "tree": tree_of(parameters.model, parameters.seed, engine),
        "design": design_of(),
        "inclusion": inclusion_of_fit(),
        "quantities": pd.DataFrame(),
        "expression_addictions": (),
    }
    return FitResults(dataset=dataset, parameters=parameters, **(parts | changes))
