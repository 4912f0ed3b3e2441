"""A packaged calibration counts for its model, engine and priors, while its code is the same."""

from typing import get_args

import pytest

from model.engines.run import first_engine
from model.simulation.packaged_calibration import (
    code_digest,
    package_calibration,
    packaged_evidence,
    source_digests,
)
from schemas.calibration import CalibrationReport, CalibrationSettings
from schemas.parameters import FitParameters, ModelName
from schemas.promotion import CalibrationEvidence
from schemas.reports import Verdict

PACKAGED = package_calibration(
    CalibrationReport(
        settings=CalibrationSettings(model="m4"),
        engines={"exact": 998, "nuts": 2},
        n_simulations=1000,
        n_failed=0,
        n_troubled=0,
        quantities=(),
        coverage=(),
        verdict=Verdict(status="pass", reasons=()),
    )
)
BLOCKS = "model.engines.exact.blocks"


@pytest.mark.parametrize(
    ("engine", "settings", "changed", "words"),
    [
        ("exact", {"priors.mu_beta": "Normal(0, 1)", "seed": "1"}, {}, ""),
        ("nuts", {}, {}, "none is packaged"),
        ("exact", {"priors.mu_beta": "Normal(0, 3)"}, {}, "other priors than the fit (mu_beta"),
        ("exact", {}, {"sources": PACKAGED.sources | {BLOCKS: "0"}}, f"changed since: {BLOCKS})"),
        ("exact", {}, {"libraries": PACKAGED.libraries | {"scipy": "1"}}, "changed since: scipy)"),
        ("exact", {}, {"sources": {}}, "more)"),
    ],
)
def test_it_counts_for_its_engine_priors_and_code(tmp_path, engine, settings, changed, words):
    file = PACKAGED.model_copy(update=changed).model_dump_json()
    (tmp_path / "m4.json").write_text(file, encoding="utf-8")
    found = packaged_evidence("m4", engine, settings, tmp_path)
    if words:
        assert isinstance(found, str) and words in found
    else:
        assert isinstance(found, CalibrationEvidence)
        assert (found.verdict, found.n_simulations) == ("pass", 1000)
        assert found.packaged_with.startswith("ScreenBayes ")
    assert "none is packaged" in str(packaged_evidence("m4_nested", engine, settings, tmp_path))


def test_it_depends_on_the_code_of_likelihood_and_engine_alone():
    exact, gibbs = set(source_digests("exact")), set(source_digests("gibbs"))
    assert exact & gibbs >= {"schemas.model_spec", "model.likelihood.linear_predictor"}
    assert BLOCKS in exact - gibbs and "model.engines.gibbs.genes" in gibbs - exact
    others = ("model.prediction", "model.runtime", "model.engines.run", "schemas.parameters")
    assert not [name for name in exact | gibbs if name.startswith(others)]
    assert set(PACKAGED.libraries) == {"numpy", "scipy", "arviz-stats"}

    code = b'"""A."""\ndef f(x):\n    """B."""\n    return {"a": x + 1}\n'
    same = b'def f(x):\n    # C\n    return {\n        "a": x + 1}\n\n'
    assert code_digest(code) == code_digest(same)
    assert len({code_digest(code.replace(b"1", one)) for one in (b"1", b"2", b"11")}) == 3


def test_packaged_calibrations_are_up_to_date():
    """Skips where not: the gate then asks for a calibration, and new ones take minutes."""
    engines = {model: first_engine(FitParameters(model=model)) for model in get_args(ModelName)}
    found = {model: packaged_evidence(model, engine, {}) for model, engine in engines.items()}
    for evidence in found.values():
        assert isinstance(evidence, str) or evidence.verdict == "pass"
        assert isinstance(evidence, str) or evidence.n_simulations >= 1000
    if outdated := [f"{model}: {one}" for model, one in found.items() if isinstance(one, str)]:
        pytest.skip(f"`make calibrations` before a release; {'; '.join(outdated)}")
