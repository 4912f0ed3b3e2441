"""Which fits are the same, and which are not."""

from __future__ import annotations

import hashlib
import json

import pytest

from schemas.dataset import Dataset
from schemas.identity import data_digest, fit_key, parameters_digest, trace_key
from schemas.parameters import FitParameters
from schemas.reports import TableSummary

DATASET = Dataset(name="avana", release="24Q2", library="Avana", folder="a")
KEY = fit_key(DATASET, "digest", FitParameters())


def table(name: str, sha256: str) -> TableSummary:
    return TableSummary(table=name, location="x", layout="y", n_rows=1, n_columns=1, sha256=sha256)


@pytest.mark.parametrize("change", [{"release": "24Q4"}, {"folder": "elsewhere"}])
def test_labels_and_places_make_no_other_fit(change: dict[str, str]) -> None:
    assert fit_key(DATASET.model_copy(update=change), "digest", FitParameters()) == KEY


@pytest.mark.parametrize("change", [{"name": "ky"}, {"library": "KY"}, {"rna_units": "z_score"}])
def test_what_is_read_and_how_makes_another_fit(change: dict[str, str]) -> None:
    assert fit_key(DATASET.model_copy(update=change), "digest", FitParameters()) != KEY


def test_other_content_and_other_settings_make_another_fit() -> None:
    assert fit_key(DATASET, "other", FitParameters()) != KEY
    assert fit_key(DATASET, "digest", FitParameters(seed=1)) != KEY


def test_an_imported_trace_is_no_fit_made_here() -> None:
    key = trace_key(DATASET, "digest", FitParameters(), "trace")
    assert key != KEY
    assert key == trace_key(DATASET, "digest", FitParameters(), "trace")
    assert key != trace_key(DATASET, "digest", FitParameters(), "another")
    assert key != trace_key(DATASET, "other", FitParameters(), "trace")
    assert key != trace_key(DATASET, "digest", FitParameters(seed=1), "trace")


def test_the_order_of_the_tables_is_no_content() -> None:
    a, b = table("logfc", "1"), table("rna", "2")
    assert data_digest([a, b]) == data_digest([b, a])
    assert data_digest([a, b]) != data_digest([table("logfc", "2"), table("rna", "1")])


def of(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_keys_are_made_as_ever() -> None:
    """Runs are known by keys that were written long ago: made otherwise, all is fitted again."""
    settings = parameters_digest(FitParameters())
    assert settings == of(FitParameters().model_dump(mode="json"))
    assert (
        of(
            {
                "dataset": "avana",
                "library": "Avana",
                "rna_units": DATASET.rna_units,
                "data": "digest",
                "parameters": settings,
            }
        )
        == KEY
    )
    trace = trace_key(DATASET, "digest", FitParameters(), "trace")
    assert trace == of({"fit_key": KEY, "trace": "trace"})
    tables = data_digest([table("rna", "2"), table("logfc", "1")])
    assert tables == hashlib.sha256(b"logfc 1\nrna 2\n").hexdigest()
