"""Settings as text: priors as equations have them, all settings by name, titles for forms."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.frozen import title_in_words
from schemas.parameters import (
    Distribution,
    Filters,
    FitParameters,
    Priors,
    Sampling,
    form_title,
)


@pytest.mark.parametrize(
    ("text", "family", "arguments", "back"),
    [
        ("Normal(0, 2)", "Normal", (0, 2), "Normal(0, 2)"),
        ("  Normal ( -1.50,1e-3 ) ", "Normal", (-1.5, 0.001), "Normal(-1.5, 0.001)"),
        ("Exponential(1)", "Exponential", (1,), "Exponential(1)"),
        ("HalfNormal(2.5)", "HalfNormal", (2.5,), "HalfNormal(2.5)"),
        ("Normal(1e15, 1e300)", "Normal", (1e15, 1e300), "Normal(1000000000000000.0, 1e+300)"),
        (
            "Normal(999999999999999, 1)",
            "Normal",
            (999999999999999, 1),
            "Normal(999999999999999, 1)",
        ),
    ],
)
def test_a_prior_is_read_and_written(
    text: str, family: str, arguments: tuple[float, ...], back: str
) -> None:
    prior = Distribution.from_text(text)
    assert (prior.family, prior.arguments) == (family, arguments)
    assert str(prior) == back
    assert prior.model_dump_json() == f'"{back}"'
    assert Distribution.from_text(back) == prior


FORMS = "expected Normal(mean, sd), Exponential(rate) or HalfNormal(sd), got "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Gamma(1, 2)", FORMS + "'Gamma(1, 2)'"),
        ("normal(0, 1)", FORMS + "'normal(0, 1)'"),
        ("Normal(0, 1) + 1", FORMS + "'Normal(0, 1) + 1'"),
        ("1", FORMS + "'1'"),
        ("Normal(0, one)", "expected numbers in 'Normal(0, one)'"),
        ("Normal(0)", "Normal takes 2 number(s), got 1 in 'Normal(0)'"),
        ("Exponential(1, 2)", "Exponential takes 1 number(s), got 2 in 'Exponential(1, 2)'"),
        ("HalfNormal(1, 2)", "HalfNormal takes 1 number(s), got 2 in 'HalfNormal(1, 2)'"),
        *(
            (text, f"expected finite numbers, the last above zero, got '{text}'")
            for text in (
                "Normal(inf, 1)",
                "Normal(-inf, 1)",
                "Normal(nan, 1)",
                "Normal(0, inf)",
                "Normal(0, 0)",
                "Exponential(-1)",
                "HalfNormal(0)",
            )
        ),
    ],
)
def test_what_is_no_prior_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Distribution.from_text(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mu_beta": "HalfNormal(1)"}, "a mean takes a Normal prior, got HalfNormal(1)"),
        (
            {"sigma": "Normal(0, 1)"},
            "a standard deviation takes Exponential or HalfNormal, got Normal(0, 1)",
        ),
    ],
)
def test_means_and_sds_take_priors_of_their_own(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Priors.model_validate(given)
    assert said in str(caught.value)


def test_a_prior_may_be_given_as_such() -> None:
    prior = Distribution.from_text("Normal(0, 3)")
    assert Priors(mu_beta=prior).mu_beta == prior


def test_the_presets_are_what_was_run_and_what_was_written() -> None:
    assert Priors.preset("as_run") == Priors()
    assert str(Priors().mu_alpha) == str(Priors().mu_gamma) == "Normal(0, 2)"
    assert str(Priors().mu_beta) == "Normal(0, 1)"
    written = Priors.preset("as_written")
    assert written == Priors.model_validate(
        {"mu_alpha": "Normal(0, 5)", "mu_gamma": "Normal(0, 5)", "mu_beta": "Normal(0, 2)"}
    )


def test_all_settings_have_a_name_and_a_value_a_tracker_can_keep() -> None:
    settings = FitParameters(filters=Filters(genes=("A", "B")), sampling=Sampling(draws=60))
    flat = settings.flat()
    assert flat["model"] == "m4"
    assert flat["filters.genes"] == "A, B"
    assert flat["filters.lineages"] == ""
    assert flat["sampling.draws"] == 60
    assert flat["priors.sigma"] == "Exponential(1)"
    assert len(flat) == sum(
        len(type(value).model_fields) if hasattr(value, "model_fields") else 1
        for value in dict(settings).values()
    )
    assert all(isinstance(value, str | int | float) for value in flat.values())


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("min_rna_sd", "Smallest RNA SD"),
        ("rhat_max", "Largest R-hat"),
        ("ess_min", "Smallest ESS"),
        ("genes", "Genes"),
        ("min", "Smallest"),
        ("cell_lines", "Cell lines"),
    ],
)
def test_a_field_is_called_by_words(name: str, title: str) -> None:
    assert title_in_words(name) == title
    assert form_title(title) == {"json_schema_extra": {"title": title}}


def test_fields_keep_their_place_in_a_form() -> None:
    fields = Sampling.model_json_schema()["properties"]
    assert [field["position"] for field in fields.values()] == list(range(len(fields)))
