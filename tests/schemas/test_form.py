"""The form an analyst fills in: what it calls its fields, and what a server refuses by it alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.utilities.schema_tools import is_valid_schema, validate
from pydantic import ValidationError

from flows.calibrate import calibrate
from flows.compare_runs import compare_runs
from flows.fit_screen import fit_screen
from flows.promote_fit import promote_fit
from flows.refresh_releases import refresh_releases
from schemas.frozen import title_in_words
from schemas.parameters import FitParameters

FORM: dict[str, Any] = fit_screen.parameters.model_dump()


def accepted(parameters: dict[str, Any]) -> bool:
    """Whether the Prefect server would take a run with these parameters of a fit."""
    return not validate({"dataset_file": "a.yaml", "parameters": parameters}, FORM)


def test_the_form_is_a_sound_schema() -> None:
    is_valid_schema(FORM)


def test_every_field_has_a_title_a_text_and_a_default() -> None:
    for section in FORM["definitions"].values():
        for name, field in section["properties"].items():
            if "$ref" not in field:  # of a section, they stand where it is defined
                assert field.get("title") and field.get("description"), name
            assert "default" in field or "$ref" in field, name
    for name, field in FORM["properties"].items():
        assert field.get("description") or "$ref" in field, name


@pytest.mark.parametrize(
    "flow",
    [fit_screen, refresh_releases, compare_runs, promote_fit, calibrate],
    ids=lambda f: f.name,
)
def test_the_parameters_of_a_flow_are_called_by_words(flow: Any) -> None:
    for name, field in flow.parameters.properties.items():
        assert field["title"][0].isupper() and "_" not in field["title"], name


def test_counts_are_few_or_many() -> None:
    titles = {
        field.get("title")
        for section in FORM["definitions"].values()
        for field in section["properties"].values()
    }
    assert {"Fewest cell lines per gene", "Most measurements kept"} <= titles


def test_what_analysts_choose_comes_first() -> None:
    fields = FORM["definitions"]["FitParameters"]["properties"]
    by_place = sorted(fields, key=lambda name: fields[name]["position"])
    assert by_place == list(FitParameters.model_fields)
    assert by_place[:4] == ["model", "engine", "seed", "filters"]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("min_rna_sd", "Smallest RNA SD"),
        ("rhat_max", "Largest R-hat"),
        ("cell_lines", "Cell lines"),
        ("sigma_gene_line", "Sigma gene line"),
        ("max_abs_logfc", "Largest abs log fold change"),
    ],
)
def test_titles_are_words(name: str, title: str) -> None:
    # `min` and `max` come first either way.
    assert title_in_words(name) == title


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"model": "m4_nested", "filters": {"genes": ["SOX10 (6663)", "geneB", "6663"]}},
        {"priors": {"mu_beta": "Normal(0, 1e-3)", "sigma": "HalfNormal(0.5)"}},
        {"sampling": {"draws": 50}},
    ],
)
def test_good_values_are_taken(parameters: dict[str, Any]) -> None:
    assert accepted(parameters)
    FitParameters.model_validate(parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"model": "m5"},
        {"modle": "m4"},
        {"seed": -1},
        {"seed": 1.5},
        {"sampling": {"draws": 10}},
        {"sampling": {"target_accept": 1}},
        {"filters": {"genes": ["  "]}},
        {"filters": {"genes": "SOX10"}},
        {"priors": {"mu_beta": "Exponential(1)"}},
        {"priors": {"mu_beta": "Normal(0, -1)"}},
        {"priors": {"mu_beta": "Normal(0"}},
        {"priors": {"sigma": "Normal(0, 1)"}},
        {"priors": {"sigma": "Exponential(0.0)"}},
    ],
)
def test_bad_values_are_refused(parameters: dict[str, Any]) -> None:
    assert not accepted(parameters)
    with pytest.raises(ValidationError):
        FitParameters.model_validate(parameters)


NUMBERS = st.one_of(
    st.integers(-5, 5).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(repr),
    st.sampled_from(["", "nan", "inf", "-", ".5", "5.", "1e3", "1E-3", "+2", "a"]),
)


@given(
    st.sampled_from(["mu_beta", "sigma"]),
    st.sampled_from(["Normal", "Exponential", "HalfNormal", "Cauchy"]),
    st.lists(NUMBERS, min_size=0, max_size=3),
)
def test_form_and_settings_agree_on_priors(prior: str, family: str, arguments: list[str]) -> None:
    parameters = {"priors": {prior: f"{family}({', '.join(arguments)})"}}
    try:
        FitParameters.model_validate(parameters)
        sound = True
    except ValidationError:
        sound = False
    assert accepted(parameters) == sound
