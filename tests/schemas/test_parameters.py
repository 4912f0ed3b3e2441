"""Settings as text and as the form of a flow, which accepts what the settings accept."""

from contextlib import nullcontext
from typing import Any

import pytest
from prefect.utilities.schema_tools import is_valid_schema, validate
from pydantic import ValidationError

from flows.calibrate import calibrate
from flows.compare_runs import compare_runs
from flows.fit_screen import fit_screen
from flows.promote_fit import promote_fit
from flows.refresh_releases import refresh_releases
from schemas.base import Frozen
from schemas.parameters import Distribution, Filters, FitParameters, Priors, Sampling

FORM: dict[str, Any] = fit_screen.parameters.model_dump()


@pytest.mark.parametrize(
    ("text", "family", "arguments", "back"),
    [
        ("  Normal ( -1.50,1e-3 ) ", "Normal", (-1.5, 0.001), "Normal(-1.5, 0.001)"),
        ("Exponential(1)", "Exponential", (1,), "Exponential(1)"),
        ("HalfNormal(2.5)", "HalfNormal", (2.5,), "HalfNormal(2.5)"),
        ("Normal(1e15, 1e300)", "Normal", (1e15, 1e300), "Normal(1000000000000000.0, 1e+300)"),
    ],
)  # fmt: skip
def test_a_prior_is_read_and_written(text, family, arguments, back):
    prior = Distribution.from_text(text)
    assert (prior.family, prior.arguments) == (family, arguments)
    assert (str(prior), prior.model_dump_json()) == (back, f'"{back}"')
    assert Distribution.from_text(back) == prior


def test_the_presets_are_what_was_run_and_what_was_written():
    sds = dict.fromkeys(set(Priors.model_fields), "Exponential(1)")
    sds |= dict.fromkeys(("sigma_omega", "sigma_s", "sigma_f", "sigma_kappa"), "HalfNormal(0.5)")
    sds["mu_kappa"] = "Normal(0, 0.5)"
    two, five = "Normal(0, 2)", "Normal(0, 5)"
    run = sds | {"mu_alpha": two, "mu_gamma": two, "mu_beta": "Normal(0, 1)"}
    written = sds | {"mu_alpha": five, "mu_gamma": five, "mu_beta": two}
    assert Priors().model_dump(mode="json") == run
    assert Priors.preset("as_written").model_dump(mode="json") == written
    assert Priors.preset("as_run") == Priors()


def test_all_settings_have_a_name_and_a_value_that_a_tracker_can_keep():
    settings = FitParameters(filters=Filters(genes=("A", "B")), sampling=Sampling(draws=60))
    flat = settings.flat()
    names = ("model", "filters.genes", "filters.lineages", "sampling.draws", "priors.sigma")
    assert [flat[name] for name in names] == ["m4_screen", "A, B", "", 60, "Exponential(1)"]
    assert len(flat) == sum(
        len(type(value).model_fields) if hasattr(value, "model_fields") else 1
        for value in dict(settings).values()
    )
    assert all(isinstance(value, str | int | float) for value in flat.values())


def test_every_field_of_the_form_has_a_title_a_text_and_a_default():
    is_valid_schema(FORM)
    for section in FORM["definitions"].values():
        places = [field["position"] for field in section["properties"].values()]
        assert places == list(range(len(places)))
        for name, field in section["properties"].items():
            if "$ref" not in field:  # those of a section stand where it is defined
                assert field.get("title") and field.get("description"), name
                assert "default" in field or section["title"] == "Filters", name
    for name, field in FORM["properties"].items():
        assert field.get("description") or "$ref" in field, name
    for flow in (fit_screen, refresh_releases, compare_runs, promote_fit, calibrate):
        for name, field in flow.parameters.properties.items():
            assert field["title"][0].isupper() and "_" not in field["title"], (flow.name, name)


@pytest.mark.parametrize(
    ("parameters", "good"),
    [
        ({}, True),
        ({"model": "m4_nested", "filters": {"genes": ["SOX10 (6663)", "geneB", "6663"]}}, True),
        ({"filters": {"genes": [6663, "SOX10"]}}, True),
        ({"priors": {"mu_beta": "Normal(0, 1e-3)", "sigma": "HalfNormal(0.5)"}}, True),
        ({"model": "m5"}, False),
        ({"seed": -1}, False),
        ({"sampling": {"draws": 10}}, False),
        ({"filters": {"genes": ["  "]}}, False),
        ({"filters": {"genes": "SOX10"}}, False),
        ({"filters": {"genes": []}}, False),
        ({"filters": {"without_cell_lines": []}}, False),
        ({"priors": {"mu_beta": "Normal(0"}}, False),
    ],
)
def test_form_and_settings_accept_the_same_values(parameters: dict[str, Any], good: bool):
    refused = validate({"dataset_file": "a.yaml", "parameters": parameters}, FORM)
    assert (not refused) == good  # as by the Prefect server
    with nullcontext() if good else pytest.raises(ValidationError):
        FitParameters.model_validate(parameters)


def test_an_empty_filter_is_read_in_earlier_runs_alone():
    earlier = '{"filters": {"genes": [], "lineages": ["Skin"]}, "seed": 7}'
    expected = FitParameters(filters=Filters(lineages=("Skin",)), seed=7)
    assert FitParameters.of_run(earlier) == expected
    assert FitParameters.of_run(expected.model_dump_json()) == expected
    with pytest.raises(ValidationError, match="at least one name, got none"):
        Filters(genes=())


def test_what_is_written_is_read_back_and_nothing_is_added_or_changed():
    class Number(Frozen):
        value: float

    infinite = Number(value=float("inf"))
    assert Number.model_validate_json(infinite.model_dump_json()) == infinite
    with pytest.raises(ValidationError):
        infinite.value = 1
    with pytest.raises(ValidationError):
        Number.model_validate({"value": 1, "other": 2})
