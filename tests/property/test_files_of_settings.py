"""A dataset file or a file of parameters is read or refused in words, whatever is in it."""

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

ODD_TEXTS = [
    *(b"name: 2024-99-99", b"[" * 3000, b"? [a, b]\n: 1", b"{a: 1}: 2", b"seed: " + b"9" * 5000),
    *(b"&a [*a]", b"name: &a {b: *a}", b"priors: {1: 2, null: 3}", b"sampling: {? [1] : 2}"),
    *(b"<<: 3", b"name: !!binary aaaa=a", b"name: !!set {a, b}", b"name: !!int ''", b"=: ="),
]
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


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "file.yaml"


@examples(120)
@given(content=files | st.sampled_from(ODD_TEXTS))
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


@examples(40)
@example(place="\0")
@example(place="~nobody-at-all/x")
@example(place="x" * 5000)
@given(place=st.text(max_size=20) | st.text(alphabet="/.~: \0", max_size=12))
def test_any_folder_is_searched_or_refused(path: Path, place: str):
    content = {"name": "a", "release": "1", "library": "Avana", "folder": place}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with suppress(UserError, EnvironmentTrouble):
        load_dataset(str(path))
