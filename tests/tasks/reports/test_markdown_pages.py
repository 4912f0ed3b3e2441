"""Pages of results in Markdown: each is the kept one."""

from dataclasses import replace

import pandas as pd
import pytest

from schemas.calibration import CalibratedQuantity, CalibrationReport, CalibrationSettings, Coverage
from schemas.comparison import (
    BatchShift,
    CheckChange,
    Comparison,
    DataChanges,
    FitSummary,
    ItemChange,
    ProfileChange,
    ScalarChange,
    Step,
)
from schemas.release_status import SeenRelease
from schemas.reports import Exclusion, Verdict
from tasks.reports.calibration import calibration_markdown
from tasks.reports.comparison import comparison_markdown
from tasks.reports.fit import result_markdown, reused_markdown, run_links
from tasks.reports.releases import refresh_markdown
from tests.tasks.fits import GENES, KNOWN, dataset_of, results_of
from tests.tasks.reports.pages import require_page

A = FitSummary(
    run_id="a" * 32, release="24Q2", model="m4", engine="exact", verdict="pass", data_digest="1",
    n_genes=2, n_cell_lines=20, n_measurements=300, log_evidence=-1234.5,
)  # fmt: skip
B = A.model_copy(update={"run_id": "b" * 32, "release": "24Q4", "log_evidence": -1230.25})


def item(name: str, a: str, b: str) -> tuple[ItemChange, ...]:
    return (ItemChange(item=name, a=a, b=b),)


DATA = DataChanges(
    n_cell_lines_joined=17,
    cell_lines_lost=item("ACH-000001", "fitted", "no sequence"),
    cell_lines_gained=item("ACH-000002", "no RNA", "fitted"),
    genes_lost=item("GONE (2)", "fitted", "not there"),
    genes_gained=item("CAME (3)", "not there", "fitted"),
    guides_lost=item("AAC", "fitted", "not used"),
    guides_gained=item("CCA", "not there", "fitted"),
    sequences_lost=item("X_A", "fitted", "failed quality control"),
    sequences_gained=item("X_B", "failed quality control", "fitted"),
    profiles_changed=(ProfileChange(cell_line="ACH-000005", a="PR-1", b="PR-2"),),
    rna_changed=("ACH-000005",),
    copy_number_changed=("ACH-000006",),
    copy_number_in=("B",),
    values_changed=tuple(f"ACH-1{number}" for number in range(14)),
    batches=(
        BatchShift(pdna_batch="two", n_cell_lines=3, shift=-0.25, spread=0.01),
        BatchShift(pdna_batch="one", n_cell_lines=1, shift=0.0249, spread=0.01),
    ),
)
COMPARISON = Comparison(
    dataset="avana", a=A, b=B, same_data=False, identical=False,
    changed_parameters={"seed": ("1", "2")}, n_genes_joined=3, genes_lost=("GONE (2)",),
    genes_gained=("CAME (3)",), genes_renamed={"OLD (1)": "NEW (1)"}, hits_lost=("OLD (1)",),
    hits_gained=(), hits_opposite_sign=("B|b (4)",), beta_correlation=0.875, largest_abs_z=5.5,
    log_evidence_difference=4.25,
    elpd_loo_difference=-3.5, elpd_loo_difference_se=1.25, data=DATA,
    scalars=(ScalarChange(parameter="sigma", mean_a=1, sd_a=0.1, mean_b=float("nan"), sd_b=0),),
    checks=(CheckChange(check="sd", p_value_a=1, n_draws_a=200, p_value_b=0.25, n_draws_b=0),),
    steps=(
        Step(name="values", mean_abs_difference=0.4, n_genes_moved=1, largest=("NEW (1)",)),
        Step(name="rna", mean_abs_difference=0.0, n_genes_moved=0, largest=()),
    ),
)  # fmt: skip
COMPARED = pd.DataFrame(
    {
        "gene": ["NEW (1)", "B|b (4)", "C (5)"], "beta_mean_a": -1.0, "beta_mean_b": -0.25,
        "difference": [0.75, -0.5, 0.0], "difference_z": 5.5, "prob_sign_change": 0.125,
        "prob_practical": 0.99951, "hit": ["lost", "opposite sign", "both"], "due_to_values": 0.5,
        "due_to_rna": 0.0,
    }
)  # fmt: skip
IDENTICAL = COMPARISON.model_copy(
    update={"same_data": True, "identical": True, "identical_draws": True, "steps": ()}
)

SEEN = tuple(
    SeenRelease(
        dataset_file=f"s3://a/{status}.yaml", name=f"KY {status}", status=status,
        detail="" if status in ("fitted", "started") else f"why it is {status}",
        flow_run="7" if status == "started" else "",
    )
    for status in ("fitted", "started", "under way", "changing", "incomplete", "failed", "refused")
)  # fmt: skip
CALIBRATION = CalibrationReport(
    settings=CalibrationSettings(model="m4", simulated_model="m4_nested"),
    engines={"exact": 1990, "nuts": 8}, n_simulations=1998, n_failed=2, n_troubled=5,
    quantities=(
        CalibratedQuantity(quantity="beta_g", inside=True, largest_difference=0.0125, at=0.3),
        CalibratedQuantity(quantity="sigma", inside=False, largest_difference=-0.25, at=0.6),
    ),
    coverage=(Coverage(variable="beta_g", level=0.89, coverage=0.8765, mcse=0.01),),
    verdict=Verdict(
        status="fail", reasons=("sigma: ranks are not uniform.",), notes=("few simulations",)
    ),
)  # fmt: skip
EFFECTS = pd.DataFrame(
    {
        "gene": GENES, "call": ["positive", "negative", "none"], "beta_mean": [0.5, -1.25, 0.0],
        "beta_sd": 0.25, "beta_hdi_low": [0.125, -1.5, -0.25], "beta_hdi_high": [0.75, -1, 0.375],
        "lfsr": [0.01, 0.0, 0.5], "call_error": 0.03, "most_influential_line": "ACH-000007",
        "most_influential_line_name": ["", "T-47D", None],
        "carried_by_one_line": pd.array([False, True, None], "boolean"),
        "call_without_copy_number": ["positive", "none", "negative"],
        "carried_by_copy_number": [False, False, True], "copy_number_slope": [-0.25, -0.5, 0.0],
        "beta_mean_without_copy_number": -0.375,
    }
)  # fmt: skip
EXCLUDED = Exclusion(unit="guide", reason="no | map", count=5, examples=("AC", "CA", "GT", "TA"))
RESULTS = results_of(status="review", engine="exact")
RESULTS = replace(
    RESULTS,
    effects=EFFECTS,
    known_genes=KNOWN,
    preparation=RESULTS.preparation.model_copy(update={"losses": (EXCLUDED,)}),
)

PAGES = {
    "comparison.md": lambda: comparison_markdown(COMPARISON, COMPARED, "http://mlflow/#/1"),
    "comparison_identical.md": lambda: comparison_markdown(IDENTICAL, COMPARED),
    "releases.md": lambda: refresh_markdown("s3://a_b_", SEEN) + refresh_markdown("b", ()),
    "calibration.md": lambda: calibration_markdown(CALIBRATION, "mlflow ui"),
    "result.md": lambda: result_markdown(
        RESULTS, run_links("http://mlflow/#/1?of=x", explorer=True)
    ),
    "result_again.md": lambda: "\n".join(
        reused_markdown(dataset_of(), RESULTS.parameters, "mlflow ui", imported=imported)
        for imported in (True, False)
    ),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_the_one_that_is_kept(page, monkeypatch):
    monkeypatch.setattr("tasks.reports.comparison.GENES_SHOWN", 2)
    require_page(page, PAGES[page]())
