"""Pages of results in Markdown and on terminals: each is the kept one, and short cases beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest

from schemas.calibration import CalibratedQuantity, CalibrationReport, CalibrationSettings, Coverage
from schemas.columns import COMPARED_LINES
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
from schemas.gate import GateCondition, GateDecision, GateSettings, LostHit
from schemas.refresh import SeenRelease
from schemas.reports import Finding, TableSummary, ValidationReport, Verdict
from tasks.render_calibration import calibration_markdown
from tasks.render_comparison import comparison_markdown
from tasks.render_gate import gate_markdown, outcome
from tasks.render_refresh import refresh_markdown
from tasks.render_result import (
    how_computed,
    rests_on,
    result_markdown,
    reused_markdown,
    said_of_genes,
    said_of_known_genes,
)
from tasks.render_validation import (
    tables_read,
    validation_markdown,
    validation_table,
    write_validation,
)
from tasks.track_comparison import ComparedFits, comparison_name
from tests.tasks.fits import GENES, KNOWN, convergence_of, dataset_of, results_of
from tests.tasks.pages import on_terminal, require_page

FINDINGS = (
    Finding(
        table="rna", rule="rna_high", severity="warning", expected="log2(TPM+1), seldom above 20",
        found=("line 2, A|B (1): 21 [red]",), count=1, mend="check the unit of these values",
    ),
    Finding(
        table="logfc+guide_map", rule="guide_in_map", severity="error", column="guide",
        expected="every guide of the logFC table in the guide map",
        found=tuple(f"line {line}: 'ACGTACGTACGTACGTACGT'" for line in range(2, 12)), count=1234,
        mend="take table and map from the same release",
    ),
)  # fmt: skip
LOGFC = TableSummary(
    table="logfc", location="s3://depmap/24Q4/A[red].csv", layout="current", n_rows=3474,
    n_columns=92, sha256="0",
)  # fmt: skip
VALIDATION = ValidationReport(dataset="KY", release="24Q4", tables=(LOGFC,), findings=FINDINGS)
CLEAN = VALIDATION.model_copy(update={"findings": ()})

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
    hits_gained=(), beta_correlation=0.875, largest_abs_z=5.5, log_evidence_difference=4.25,
    elpd_loo_difference=-3.5, elpd_loo_difference_se=1.25, data=DATA,
    scalars=(ScalarChange(parameter="sigma", mean_a=1, sd_a=0.1, mean_b=float("nan"), sd_b=0),),
    checks=(CheckChange(check="sd", p_value_a=1, n_draws_a=200, p_value_b=0.25, n_draws_b=0),),
    steps=(Step(name="values", mean_abs_difference=0.4, n_genes_moved=1, largest=("NEW (1)",)),),
)  # fmt: skip
COMPARED = pd.DataFrame(
    {
        "gene": ["NEW (1)", "B|b (4)", "C (5)"], "beta_mean_a": -1.0, "beta_mean_b": -0.25,
        "difference": [0.75, -0.5, 0.0], "difference_z": 5.5, "prob_sign_change": 0.125,
        "prob_practical": 0.99951, "hit": "lost", "due_to_values": 0.5,
    }
)  # fmt: skip
IDENTICAL = COMPARISON.model_copy(
    update={"same_data": True, "identical": True, "identical_draws": True, "steps": ()}
)

GATE = GateDecision(
    dataset="avana", candidate=B, champion=A, champion_version="3", settings=GateSettings(),
    conditions=(
        GateCondition(name="verdict", met=True, detail="pass"),
        GateCondition(name="lost hits", met=False, detail="1 unexplained; at most 0"),
    ),
    lost_hits=(
        LostHit(gene="A|B (1)", explained=False, why="moved by 0.5"),
        *(LostHit(gene=f"G{n}", explained=True, why="not there") for n in range(2)),
    ),
)  # fmt: skip
FIRST = GATE.model_copy(
    update={"champion": None, "champion_version": "", "conditions": GATE.conditions[:1]}
)
OUTCOMES = (
    GATE,
    GATE.model_copy(update={"champion": None, "champion_version": ""}),
    FIRST,
    FIRST.model_copy(update={"champion": A, "champion_version": "3"}),
    GATE.model_copy(update={"champion": B, "conditions": ()}),
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
    verdict=Verdict(status="fail", reasons=("sigma: ranks are not uniform.",)),
)  # fmt: skip
EFFECTS = pd.DataFrame(
    {
        "gene": GENES, "call": ["positive", "negative", "none"], "beta_mean": [0.5, -1.25, 0.0],
        "beta_sd": 0.25, "beta_hdi_low": [0.125, -1.5, -0.25], "beta_hdi_high": [0.75, -1, 0.375],
        "lfsr": [0.01, 0.0, 0.5], "most_influential_line": "ACH-000007",
        "carried_by_one_line": pd.array([False, True, None], "boolean"),
    }
)  # fmt: skip
RESULTS = replace(results_of(status="review", engine="exact"), effects=EFFECTS, known_genes=KNOWN)
KNOWN_CASES = (
    *({"n_compared": 0}, {"n_others": 0}, {"auc_low": float("nan")}, {"enrichment_p": 3e-7}),
    {"n_negative": 0, "n_positive": 0},
)
NAME_CASES: tuple[dict[str, str], ...] = ({"release": "24Q4"}, {"model": "m4_nested"}, {})


def sentences() -> Iterator[str]:
    """Sentences by case: outcomes of the gate, engines, known genes, names of comparisons."""
    yield from map(outcome, OUTCOMES)
    nuts = convergence_of(divergences=3)
    yield from map(how_computed, (nuts, nuts.model_copy(update={"nuts": None})))
    yield from (said_of_known_genes(KNOWN.model_copy(update=case)) for case in KNOWN_CASES)
    for case in NAME_CASES:
        b = A.model_copy(update=case)
        yield comparison_name(COMPARISON.model_copy(update={"b": b}))
    yield comparison_name(COMPARISON.model_copy(update={"b": A, "changed_parameters": {}}))
    not_split = COMPARISON.model_copy(update={"not_attributed": "the fits share 2 lines"})
    yield comparison_markdown(not_split, COMPARED).partition("due to\n\n")[2].partition("\n")[0]


PAGES = {
    "validation.md": lambda: validation_markdown(VALIDATION) + validation_markdown(CLEAN),
    "validation.txt": lambda: on_terminal(
        tables_read(VALIDATION), validation_table(VALIDATION), validation_table(CLEAN)
    ),
    "comparison.md": lambda: comparison_markdown(COMPARISON, COMPARED, "http://mlflow/#/1"),
    "comparison_identical.md": lambda: comparison_markdown(IDENTICAL, COMPARED),
    "gate.md": lambda: gate_markdown(GATE, "http://mlflow/#/1"),
    "sentences.txt": lambda: "".join(f"{sentence}\n" for sentence in sentences()),
    "releases.md": lambda: refresh_markdown("s3://a_b_", SEEN) + refresh_markdown("b", ()),
    "calibration.md": lambda: calibration_markdown(CALIBRATION, "mlflow ui"),
    "result.md": lambda: result_markdown(RESULTS, "http://mlflow/#/1"),
    "result_again.md": lambda: "\n".join(
        reused_markdown(dataset_of(), RESULTS.parameters, "mlflow ui", imported=imported)
        for imported in (True, False)
    ),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_the_one_that_is_kept(page, monkeypatch):
    monkeypatch.setattr("tasks.render_comparison.GENES_SHOWN", 2)
    monkeypatch.setattr("tasks.render_gate.LOSSES_SHOWN", 2)
    require_page(page, PAGES[page]())


def test_tables_and_reports_come_back_as_they_were(tmp_path):
    lines = pd.DataFrame(columns=list(COMPARED_LINES))
    for name, content in ComparedFits(IDENTICAL, COMPARED, lines).tables().items():
        (tmp_path / name).write_bytes(content)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "comparison.parquet"), COMPARED)
    assert list(pd.read_csv(tmp_path / "cell_lines.csv")) == list(COMPARED_LINES)
    text = (tmp_path / "comparison.json").read_text()
    assert Comparison.model_validate_json(text).data == DATA
    path = write_validation(VALIDATION, tmp_path)
    assert path == tmp_path / "validation.json"
    assert ValidationReport.model_validate_json(path.read_text()) == VALIDATION


@pytest.mark.parametrize(
    ("lines", "lineages", "shown", "said"),
    [
        ([True, False, None], None, ["ACH-000007", "", "–"], "1 of the 2 called rests on one"),
        ([True, True, True], None, ["ACH-000007"] * 3, "2 of the 2 called rest on one cell line"),
        ([True, None, None], None, ["ACH-000007", "–", "–"], "1 of the 1 called that were looked"),
        ([True, False, False], [True, True, None], ["ACH-000007", "Skin", ""], "of the 2 called"),
        ([None, None, True], None, ["–", "–", "ACH-000007"], "none; 1 genes"),
        (None, None, ["–"] * 3, "none; 1 genes"),
    ],
)
def test_genes_and_calls_that_rest_on_one_line_are_marked(lines, lineages, shown, said):
    effects = EFFECTS.drop(columns="carried_by_one_line").assign(most_influential_lineage="Skin")
    for name, flags in (("line", lines), ("lineage", lineages)):
        if flags is not None:
            effects[f"carried_by_one_{name}"] = pd.array(flags, "boolean")
    assert rests_on(effects).tolist() == shown
    (line,) = said_of_genes(replace(RESULTS, effects=effects, known_genes=None))
    assert said in line.replace(", 0 not enough data", "").replace("1 none", "none")
