"""What a page shows of output is found in what was printed, and is missed where it is not."""

import pytest

from tests.docs.test_commands import missing

PRINTED = """
Verdict: pass
  exact: importance efficiency 0.85, Pareto k 0.07
 geneB │ negative │ -2.886 │ 0.048
 geneC │ negative │ -0.564 │ 0.051
MLflow run: 64b94ccdea504e83a7b54fa7d8a3ecce
"""


@pytest.mark.parametrize(
    "shown",
    [
        "Verdict: pass",
        " geneB │ negative │ -2.886 │ 0.048\n geneC │ negative",
        "geneB negative -2.90",  # another machine
        "MLflow run: ...",
        "exact: ... efficiency 0.85",
    ],
)
def test_what_was_printed_is_found(shown):
    assert not missing(shown, PRINTED)


@pytest.mark.parametrize(
    "shown",
    ["Verdict: fail", "geneB positive", "geneB negative -3.5", "geneC negative\ngeneB negative"],
)
def test_what_was_not_printed_is_missed(shown):
    assert missing(shown, PRINTED)
