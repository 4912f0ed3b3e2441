"""A small fit with a made-up posterior, of the right shape, for the tests of tracking."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import xarray as xr

from model.design import ScreenDesign
from model.loo import Loo
from model.roster import Roster
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS
from schemas.reports import (
    Convergence,
    Finding,
    KnownGenes,
    LooSummary,
    PredictiveCheck,
    PreparationReport,
    Status,
    TableSummary,
    ValidationReport,
    Verdict,
)
from tasks.artifacts import FitResults

GENES = ("IRF4 (3662)", "MYB (4602)", "SOX10 (6663)")
CELL_LINES = ("ACH-000001", "ACH-000002", "ACH-000003", "ACH-000004")
TABLES = ("guide_map", "logfc", "rna")
REPORT = "<p>Report</p>"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


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


def roster_of_fit() -> Roster:
    return Roster(
        sequences=pd.DataFrame(
            {
                "sequence": [f"{line}_A" for line in CELL_LINES],
                "cell_line": CELL_LINES,
                "pdna_batch": "1",
                "passes_qc": True,
                "reason": "",
            }
        ),
        guides=pd.DataFrame(
            {"guide": [f"guide {n}" for n in range(6)], "gene": np.repeat(GENES, 2), "reason": ""}
        ),
        genes=pd.DataFrame(
            {"gene": [*GENES, "TP53 (7157)"], "reason": [""] * 3 + ["RNA SD below 0.1"]}
        ),
        cell_lines=pd.DataFrame(
            {"cell_line": CELL_LINES, "lineage": None, "profile": "PR-1", "reason": ""}
        ),
    )


def tree_of(
    model: str = "m4", n_draws: int = 50, seed: int = 103, engine: str = "nuts"
) -> xr.DataTree:
    rng = np.random.default_rng(seed)
    coords = {"gene": np.array(GENES, object), "cell_line": np.array(CELL_LINES, object)}

    def group(n_chains: int) -> xr.Dataset:
        return xr.Dataset(
            {
                name: (
                    ("chain", "draw", *dims),
                    np.abs(
                        rng.normal(1, 0.1, (n_chains, n_draws, *(len(coords[d]) for d in dims)))
                    ),
                )
                for name, dims in CONTRACTS[model].variables.items()
            },
            coords={"chain": range(n_chains), "draw": range(n_draws), **coords},
        )

    logfc = xr.Dataset({"logfc": (("guide", "cell_line"), rng.normal(size=(6, 4)))}, coords)
    tree = xr.DataTree.from_dict(
        {
            "posterior": group(4),
            "prior": group(1),
            "posterior_predictive": logfc.expand_dims(chain=[0], draw=[0]),
            "sample_stats": xr.Dataset(
                {"diverging": (("chain", "draw"), np.zeros((4, n_draws), bool))}
            ),
            "observed_data": logfc,
            "constant_data": xr.Dataset({"rna": (("gene", "cell_line"), np.ones((3, 4)))}, coords),
        }
    )
    tree.attrs = {"model": model, "engine": engine}
    return tree


NUTS = {"divergences": 0, "bfmi_min": 0.9, "step_size_min": 0.2, "step_size_max": 0.3}
EXACT = {
    "pareto_k": 0.125,
    "importance_efficiency": 0.875,
    "n_points": 8192,
    "log_evidence": -123.456,
    "log_evidence_mcse": 0.004,
    "interpolation_error": 0.0003,
    "n_passes": 25,
}


def convergence_of(engine: str = "nuts", **changes: float) -> Convergence:
    """What a fit by an engine measured, with `changes` to the common numbers or to its own."""
    measured = {
        "rhat_max": 1.004,
        "ess_bulk_min": 812.5,
        "ess_tail_min": 640.0,
        "mcse_mean_max_ratio": 0.03,
        "n_draws": 200,
    }
    own = NUTS if engine == "nuts" else EXACT
    return Convergence.model_validate(
        {
            **{name: changes.pop(name, value) for name, value in measured.items()},
            "worst": (("mu_alpha", 1.004),),
            engine: {**own, **changes},
        }
    )


def check_of(name: str, p_value: float, stage: str = "posterior") -> PredictiveCheck:
    return PredictiveCheck.model_validate(
        {
            "name": name,
            "description": "For tests.",
            "stage": stage,
            "observed": 0.1,
            "replicated_mean": 0.0,
            "replicated_low": -1.0,
            "replicated_high": 1.0,
            "p_value": p_value,
            "n_draws": 500,
        }
    )


KNOWN = KnownGenes(
    n_listed=20,
    n_compared=12,
    n_others=300,
    n_negative=9,
    n_positive=1,
    n_negative_others=30,
    share_negative_low=0.7,
    share_negative_high=0.97,
    auc=0.91,
    auc_low=0.85,
    auc_high=0.96,
    enrichment_p=float("nan"),
)


def effects_of(beta: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": GENES,
            "beta_mean": beta,
            "beta_hdi_low": beta - 0.1,
            "beta_hdi_high": beta + 0.1,
            "n_guides": [2, 2, 2],
            "call": ["negative", "none", "not enough data"],
        }
    )


def results_of(
    parameters: FitParameters | None = None,
    *,
    dataset: Dataset | None = None,
    status: Status = "pass",
    engine: str = "nuts",
    convergence: Convergence | None = None,
    design: ScreenDesign | None = None,
    figures: dict[str, bytes] | None = None,
) -> FitResults:
    parameters = parameters or FitParameters()
    dataset = dataset or dataset_of()
    rng = np.random.default_rng(parameters.seed)
    return FitResults(
        dataset=dataset,
        parameters=parameters,
        validation=ValidationReport(
            dataset=dataset.name,
            release=dataset.release,
            tables=tuple(
                TableSummary(
                    table=table,
                    location=f"/release/{table}.csv",
                    layout="current",
                    n_rows=20,
                    n_columns=5,
                    sha256=f"{number}" * 64,
                )
                for number, table in enumerate(TABLES)
            ),
            findings=(
                Finding(
                    table="rna",
                    rule="rna_high",
                    severity="warning",
                    expected="below 20",
                    found=("21.5",),
                    count=1,
                    mend="check the units",
                ),
            ),
        ),
        preparation=PreparationReport(
            losses=(), n_genes=3, n_cell_lines=4, n_guides=6, n_measurements=48
        ),
        convergence=convergence or convergence_of(engine),
        checks=(check_of("sd", 0.31), check_of("mean", 0.52), check_of("mean", 0.9, "prior")),
        loo=Loo(
            LooSummary(
                elpd_loo=-61.5,
                elpd_loo_se=4.5,
                p_loo=7.25,
                pareto_k_bad=0.125,
                n_cells=12,
                n_cells_of_screen=12,
            ),
            pd.DataFrame({"gene": GENES, "cell_line": CELL_LINES[:3], "elpd_loo": -5.125}),
        ),
        verdict=Verdict(
            status=status,
            reasons=() if status == "pass" else ("R-hat is 1.7; draw more.",),
            notes=("The check of sd stands out.",),
        ),
        effects=effects_of(rng.normal(size=3)),
        known_genes=None,
        fitted_cells=pd.DataFrame(
            {"gene": GENES, "cell_line": CELL_LINES[:3], "fitted": rng.normal(size=3)}
        ),
        summary=pd.DataFrame(
            {"parameter": ["mu_alpha", f"beta_g[{GENES[0]}]"], "mean": [0.1, -1], "sd": [0.2, 0.3]}
        ),
        tree=tree_of(parameters.model, seed=parameters.seed, engine=engine),
        design=design or design_of(),
        roster=roster_of_fit(),
        figures={"trace": PNG, "volcano": PNG} if figures is None else figures,
        model_graph_svg='<svg xmlns="http://www.w3.org/2000/svg"/>',
        seconds={"validate": 1.5, "prepare": 0.5, "fit": 20.0, "checks": 2.0},
    )
