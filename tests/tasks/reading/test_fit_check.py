"""`validate` reports why a fit with the same settings would be refused, beside all findings."""

from pathlib import Path
from typing import Any

import pytest

from schemas.parameters import FitParameters
from tasks.reading.fit_check import validate_for_fit
from tests.property.releases import release

ONE_GENE = {"genes": ["G1"]}


@pytest.mark.parametrize(
    ("model", "filters", "n_replicates", "found", "remedy"),
    [
        ("m4_screen", ONE_GENE, 2, "expected several genes in a cell line, got one", "--model"),
        ("m4_nested", {}, 1, "expected replicates, several measurements", "--model"),
        ("m4", {"genes": ["G7"]}, 2, "got G7 (near: ", "correct the filter"),
        ("m4", {"without_cell_lines": [f"ACH-{n:06}" for n in range(4)]}, 2, "4 left out", "widen"),
        ("m4", ONE_GENE, 2, "", ""),
        ("m4", {}, 1, "", ""),
    ],
)
def test_what_a_fit_would_refuse_is_an_error_of_validation(
    tmp_path: Path, model: str, filters: dict[str, Any], n_replicates: int, found: str, remedy: str
):
    loose = {"min_rna_sd": 0, "min_cell_lines_per_gene": 2}
    settings = {"model": model, "filters": filters, "preparation": loose}
    dataset = release(3, 4, 2, n_replicates).write(tmp_path)
    parameters = FitParameters.model_validate(settings)
    report, _ = validate_for_fit(dataset, parameters, lambda n: None)
    refusals = [(one.rule, one.found, one.remedy) for one in report.errors]
    if not found:
        assert refusals == []
        return
    ((rule, why, how),) = refusals
    assert rule == "fit_refused" and found in why[0] and remedy in how
    unnamed, note = validate_for_fit(dataset, parameters, lambda n: None, is_chosen=False)
    assert unnamed.passed == ("distinguished" in why[0]) == (found in note)
