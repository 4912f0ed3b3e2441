"""Fits of the same data and settings have the same key, and no others."""

import hashlib
import json

from schemas.dataset import Columns, Dataset
from schemas.digests import data_digest, fit_key, parameters_digest, trace_key
from schemas.parameters import FitParameters
from schemas.reports import TableSummary

DATASET = Dataset(name="avana", release="24Q2", library="Avana", folder="a")


def table(name: str, sha256: str, location: str = "x") -> TableSummary:
    size = {"layout": "y", "n_rows": 1, "n_columns": 1}
    return TableSummary(table=name, location=location, sha256=sha256, **size)


def test_labels_and_places_make_no_other_fit():
    def key(**change: object) -> str:
        return fit_key(DATASET.model_copy(update=change), "digest", FitParameters())

    assert key() == key(release="24Q4", folder="elsewhere")
    assert key() not in (key(name="ky"), key(library="KY"), key(rna_units="z_score"))
    assert key(columns=Columns(logfc="corrected")) != key()
    assert key(copy_number_units="ratio") == key()  # without a table it says nothing
    assert key(copy_number="a", copy_number_units="ratio") != key(copy_number="a")


def of(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_keys_are_computed_as_in_the_runs_of_earlier_versions():
    """With other keys everything would be fitted again."""
    content = {
        "dataset": "avana",
        "library": "Avana",
        "rna_units": "log2_tpm",
        "data": "digest",
        "parameters": of(FitParameters(seed=3).model_dump(mode="json")),
    }
    assert parameters_digest(FitParameters(seed=3)) == content["parameters"]
    assert fit_key(DATASET, "digest", FitParameters(seed=3)) == of(content)
    trace = trace_key(DATASET, "digest", FitParameters(seed=3), "trace")
    assert trace == of({"fit_key": of(content), "trace": "trace"})
    tables = [table("rna", "2"), table("logfc", "1", location="elsewhere")]
    digest = hashlib.sha256(b"logfc 1\nrna 2\n").hexdigest()
    assert data_digest(tables) == data_digest(tables[::-1]) == digest
    other = [table("rna", "1"), table("logfc", "2")]
    assert data_digest(tables[:1]) != digest != data_digest(other)
