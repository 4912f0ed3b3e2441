"""Fields of settings have titles in words and a place in the form."""

import pytest
from pydantic import ValidationError

from schemas.frozen import Frozen, title_in_words
from schemas.parameters import Sampling


def test_titles_are_words():
    names = ("min_rna_sd", "rhat_max", "min", "max_abs_logfc", "loo_pareto_k_max")
    assert [title_in_words(name) for name in names] == [
        *("Smallest RNA SD", "Largest R-hat", "Smallest"),
        *("Largest abs log fold change", "Largest loo Pareto k"),
    ]


def test_fields_keep_their_place_in_a_form():
    fields = Sampling.model_json_schema()["properties"]
    assert [field["position"] for field in fields.values()] == list(range(len(fields)))


def test_what_is_written_is_read_back_and_nothing_is_added_or_changed():
    class Number(Frozen):
        value: float

    infinite = Number(value=float("inf"))
    assert Number.model_validate_json(infinite.model_dump_json()) == infinite
    with pytest.raises(ValidationError):
        infinite.value = 1
    with pytest.raises(ValidationError):
        Number.model_validate({"value": 1, "other": 2})
