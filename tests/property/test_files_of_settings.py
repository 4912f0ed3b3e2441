"""A dataset file or a file of parameters is read or refused in words, whatever is in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.options import FitOptions
from schemas.dataset import Dataset
from schemas.errors import EnvironmentTrouble, UserError
from schemas.parameters import FitParameters
from tasks.read_dataset import load_dataset
from tests.property.releases import examples

ODD_TEXTS = (
    "name: 2024-99-99\n",  # a day that is none
    "[" * 3000,
    "? [a, b]\n: 1\n",
    "{a: 1}: 2\n",
    "seed: " + "9" * 5000,
    "&a [*a]",
    "name: &a {b: *a}",
    "priors: {1: 2, null: 3}",
    "1: 2",
    "sampling: {? [1] : 2}",
    "<<: 3",
    "name: !!binary aaaa=a",
    "name: !!set {a, b}",
    "name: !!float x",
    "name: !!int ''",
    "a: !!timestamp x",
    "\x85",
    "=: =",
)
SETTINGS = list(FitParameters.model_fields)
KEYS = [*Dataset.model_fields, *SETTINGS, "essential", "mu_beta", "draws", "genes"]
PLAIN = ["as_run", "m4", "Normal(0, 1)", "Exponential(0)", "s3://a/b", "http://x"]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
) | st.sampled_from(PLAIN)
keys = st.sampled_from(KEYS) | scalars
contents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)
known = st.fixed_dictionaries(
    dict.fromkeys(("name", "release", "library", "logfc"), contents),
    optional=dict.fromkeys(("folder", "rna", "controls", "rna_units"), contents),
) | st.dictionaries(st.sampled_from(SETTINGS), contents, min_size=1)
texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab:-[]{}&*!|>%@`'\"#, \n\t?=<1.", max_size=40),
    (contents | known).map(lambda content: yaml.safe_dump(content, allow_unicode=True)),
)
files = texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60)


def with_odd_texts(test):
    for text in ODD_TEXTS:
        test = example(content=text.encode())(test)
    return test


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "file.yaml"


@examples(120)
@given(content=files)
@with_odd_texts
def test_any_file_is_read_or_refused(path: Path, content: bytes):
    path.write_bytes(content)
    try:
        assert load_dataset(str(path)).name
    except UserError as error:
        assert str(path) in str(error)
    try:
        parameters = FitOptions(parameters=path).fit_parameters()
    except UserError:
        return
    # What was accepted can be written down and comes back.
    assert FitParameters.model_validate_json(parameters.model_dump_json()) == parameters


numbers = st.floats(allow_nan=False, allow_infinity=False)


@examples(50)
@given(mean=numbers, sd=st.floats(min_value=5e-324, allow_infinity=False))
def test_a_prior_comes_back_from_its_text(mean: float, sd: float):
    parameters = FitParameters.model_validate({"priors": {"mu_beta": f"Normal({mean}, {sd})"}})
    assert parameters.priors.mu_beta.arguments == (mean, sd)
    assert FitParameters.model_validate(parameters.model_dump(mode="json")) == parameters


@examples(40)
@example(place="\0")
@example(place="~\0")
@example(place="file:///etc")
@example(place="~nobody-at-all/x")
@example(place="x" * 5000)
@given(place=st.text(max_size=20) | st.text(alphabet="/.~: \0", max_size=12))
def test_any_folder_is_searched_or_refused(path: Path, place: str):
    content = {"name": "a", "release": "1", "library": "Avana", "folder": place}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with suppress(UserError, EnvironmentTrouble):
        load_dataset(str(path))
