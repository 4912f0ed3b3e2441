"""The work that the exact engine expects, measures and reports."""

from model.engines.exact import workload as module
from model.engines.exact.workload import ProgressEstimator, Rates, expected_seconds
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows
from tests.model.engines.exact.pieces import random_rows

DESIGN = design_from_rows(random_rows(1))  # three genes, four lines
FEW = FitParameters(model="m4", sampling=Sampling(draws=64, chains=2))
NESTED = FEW.model_copy(update={"model": "m4_nested"})


def test_progress_is_the_share_of_the_seconds_expected(monkeypatch):
    # Effects of 2 x 64 draws in 4 lines, at 1 or 6 nodes, are worth 32 or 192 passes.
    monkeypatch.setattr(module, "measured_rates", lambda *_: Rates(1.0, 18 / 640))
    assert expected_seconds(DESIGN, FEW) == 150 + 32 + 18  # seconds of 640 points
    assert expected_seconds(DESIGN, NESTED) == 1100 + 192 + 18
    reports: list[tuple[int, int]] = []
    counted = ProgressEstimator(DESIGN, FEW, lambda *of: reports.append(of))
    for count, n in (
        (counted.passes, 1),  # 1 of 200
        (counted.passes, 2),  # 3
        (counted.points, 16),  # 3.45: no report
        (counted.points, 32),  # 4.35
        (counted.passes, 150),  # 154.35
        (counted.passes, 45),  # 199.35
        (counted.passes, 1000),
    ):
        count(n)
    counted.finish()
    assert reports == [(percent, 100) for percent in (0, 1, 2, 77, 99, 100)]
