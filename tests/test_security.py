"""Nothing of ours runs what it reads: no pickle, no YAML that makes objects, no shell, no eval."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in ("schemas", "model", "tasks", "flows", "deployments", ".ci")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
CALLS = {"eval", "exec", "joblib.load", "torch.load", "pd.read_pickle", "pandas.read_pickle"}
YAML_LOADERS = {"yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.full_load_all"}
SAFE_LOADERS = {"_Loader", "yaml.SafeLoader", "yaml.CSafeLoader"}
"""`_Loader` of `tasks.read_dataset` is a SafeLoader that refuses a key written twice."""


def dangers(source: str) -> Iterator[str]:
    """What in a source could run what is read, or keep it so that others could."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if called in CALLS | YAML_LOADERS:
                yield called
            loader = given.get("Loader") or (ast.unparse(node.args[1]) if node.args[1:] else "")
            if called == "yaml.load" and loader not in SAFE_LOADERS:
                yield f"yaml.load with {loader or 'no loader'}"
            yield from (
                f"{one}=True" for one in ("allow_pickle", "shell") if given.get(one) == "True"
            )
            # Prefect's own way of keeping a result is a pickle.
            kept = given.get("persist_result", "False") != "False"
            if kept and given.get("result_serializer") not in ("'json'", "'compressed/json'"):
                yield "persist_result without result_serializer='json'"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_what_it_reads(path):
    assert list(dangers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "np.load(path, allow_pickle=True)",
        "joblib.load(path)",
        "yaml.load(text)",
        "yaml.load(text, yaml.Loader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "subprocess.run(command, shell=True)",
        "task(name='fit', persist_result=True)(fit)",
    ],
)
def test_what_would_is_seen(source):
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "yaml.safe_load(text)",
        "yaml.load(text, _Loader)",
        "np.load(p)",
        "task(persist_result=True, result_serializer='json')(f)",
    ],
)
def test_what_would_not_is_let_pass(source):
    assert not list(dangers(source))
