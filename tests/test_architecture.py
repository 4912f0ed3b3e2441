"""The import rule, the module map of ARCHITECTURE.md and unsafe loaders, in every source file."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("screenbayes", "deployments", "flows", "tasks", "model", "schemas")
"""Each may import those after it."""
IN_TASKS = "mlflow s3fs fsspec botocore aiohttp prefect_dask dask distributed"
ALLOWED_IN: dict[str, tuple[str, ...]] = dict.fromkeys(IN_TASKS.split(), ("tasks",))
ALLOWED_IN["prefect"] = ("deployments", "flows", "tasks")
MOST_LINES = 400
PAGE = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")


@cache
def sources() -> dict[str, str]:
    return {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): (
            path.read_text(encoding="utf-8")
        )
        for package in PACKAGES
        for path in sorted((PROJECT / package).rglob("*.py"))
    }


def imports(source: str, *, when_loaded: bool = False) -> Iterator[tuple[int, str]]:
    """Line and name of each import; `when_loaded` leaves out those inside functions and blocks."""
    tree = ast.parse(source)
    for node in tree.body if when_loaded else ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield node.lineno, module
                yield from ((node.lineno, f"{module}.{name.name}") for name in names)
            case ast.ImportFrom():
                yield node.lineno, "a relative name"
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def breaches(module: str, source: str) -> list[str]:
    """Imports that the rule forbids in a module, each as `module:line imports name`."""
    package = module.split(".")[0]
    forbidden = {
        "a relative name",  # the project has none; they would hide what is imported
        *PACKAGES[: PACKAGES.index(package)],
        *(library for library, packages in ALLOWED_IN.items() if package not in packages),
    }
    found = {(line, name.split(".")[0]) for line, name in imports(source)}
    return [f"{module}:{line} imports {name}" for line, name in sorted(found) if name in forbidden]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_the_rule_allows(package: str) -> None:
    modules = {name: text for name, text in sources().items() if name.split(".")[0] == package}
    assert len(modules) > (2 if package == "screenbayes" else 5)
    assert [breach for name, text in modules.items() for breach in breaches(name, text)] == []
    assert [name for name, text in modules.items() if len(text.splitlines()) > MOST_LINES] == []


def loaded_with(modules: dict[str, str]) -> dict[str, set[str]]:
    return {
        module: {name for _, name in imports(source, when_loaded=True)}
        for module, source in modules.items()
    }


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter(loaded_with(sources())).prepare()


STATISTICS = "pymc arviz arviz_stats xarray scipy matplotlib plotnine"
PICTURES = "matplotlib plotnine arviz_plots"
SAMPLERS = "pymc pytensor nutpie jax numba"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        # In a process of its own many times per fit; these would add a quarter of its time.
        ("flows.refresh_releases", STATISTICS),
        # A fit imports what it uses when it does, and drawing after its result is shown.
        ("flows.fit_screen", f"{PICTURES} {SAMPLERS} mlflow.pyfunc"),
        ("flows.promote_fit", f"{PICTURES} {SAMPLERS} mlflow.pyfunc"),
        ("flows.compare_runs", SAMPLERS),
        ("tasks.tracking.export", f"{PICTURES} {SAMPLERS} arviz prefect"),
        # What starts Prefect's server must not wait for Prefect.
        ("deployments.cli.app", f"prefect mlflow pandas {STATISTICS}"),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_need(module: str, absent: str) -> None:
    graph, loaded = loaded_with(sources()), [module]
    for one in loaded:
        loaded += sorted(graph.get(one, set()) - set(loaded))
    assert "schemas.errors" in loaded
    wrong = [name for name in loaded for library in absent.split()
             if name == library or name.startswith(f"{library}.")]  # fmt: skip
    assert wrong == []


def named_in_the_tree() -> set[str]:
    """The modules that the tree of ARCHITECTURE.md shows, by their dotted names."""
    (tree,) = re.findall(r"^## The tree\n+```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    folders: list[str] = []
    found = set()
    for line in tree.splitlines():
        if folder := re.match(r"( *)(\w+)/", line):
            folders = [*folders[: len(folder[1]) // 2], folder[2]]
        elif folders[0] in PACKAGES and len(line) - len(line.lstrip()) < 10:
            folders = folders[:1]  # modules beside the folders
        if folders[0] in PACKAGES and line.startswith(" "):
            modules = line[18:] if folder or line.startswith(" " * 18) else line
            found |= {".".join((*folders, name)) for name in modules.split()}
    return found


def test_the_tree_shows_every_module_and_nothing_else() -> None:
    modules = {name for name in sources() if (PROJECT / f"{name.replace('.', '/')}.py").exists()}
    assert named_in_the_tree() == modules


def test_every_path_and_name_in_architecture_exists() -> None:
    folders = "|".join((*PACKAGES, "tests", "docs"))
    paths = re.findall(rf"`((?:{folders})/[\w./]*)`", PAGE)
    assert len(paths) > 50
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    for name in re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", PAGE):
        module = name
        while module not in sources():
            module = module.rpartition(".")[0]
        attributes = set(name.removeprefix(module).strip(".").split(".")) - {""}
        assert attributes <= set(re.findall(r"\w+", sources()[module])), name


def test_no_module_stores_a_pickle():
    """Prefect stores a result as a pickle unless it is given another serializer."""
    texts = [*sources().values(), *(path.read_text() for path in PROJECT.glob(".ci/*.py"))]
    assert len(texts) > 100
    unsafe = r"(?m)^\s*(import|from) (pickle|cloudpickle|dill|shelve|marshal)\b|allow_pickle=True"
    unsafe += r"|(joblib|torch)\.load"
    unsafe += r"|yaml\.(unsafe_|full_)?load(_all)?\((?!text, _Loader)"  # a SafeLoader of ours
    for text in texts:
        assert not re.search(unsafe, text)
        for options in re.findall(r"persist_result=(?!False)[^)]*", text):
            assert re.search(r"result_serializer=\"(compressed/)?json\"", options)
