"""No module runs what it reads: no pickle, no YAML that makes objects, no shell, no eval."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("schemas", "model", "tasks", "flows", "deployments", ".ci")
MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
CALLS = {"eval", "exec", "joblib.load", "torch.load", "pd.read_pickle", "pandas.read_pickle"}
CALLS |= {"yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.full_load_all"}
# `_Loader` of `tasks.reading.dataset_file` is a SafeLoader that refuses a duplicate key.
SAFE_LOADERS = {"_Loader", "yaml.SafeLoader", "yaml.CSafeLoader"}


def dangers(source: str) -> Iterator[str]:
    """What in a source could run what is read, or store it so that others could."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                yield module
            case ast.Call():
                called = ast.unparse(node.func)
                given = {one.arg: ast.unparse(one.value) for one in node.keywords}
                if called in CALLS:
                    yield called
                loader = given.get("Loader") or "".join(map(ast.unparse, node.args[1:2]))
                if called == "yaml.load" and loader not in SAFE_LOADERS:
                    yield f"yaml.load with {loader or 'no loader'}"
                for option in ("allow_pickle", "shell"):
                    if given.get(option) == "True":
                        yield f"{option}=True"
                # Prefect stores a result as a pickle unless it is given another serializer.
                stored = given.get("persist_result", "False") != "False"
                if stored and given.get("result_serializer") not in ("'json'", "'compressed/json'"):
                    yield "persist_result without result_serializer='json'"


def test_no_module_runs_what_it_reads():
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    found = {str(path): list(dangers(path.read_text(encoding="utf-8"))) for path in sources}
    assert {path: what for path, what in found.items() if what} == {}
