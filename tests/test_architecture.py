"""The one rule of the layout, read from the syntax tree of every module.

Imports point one way, `deployments -> flows -> tasks -> model -> schemas`: a package imports itself
and what stands to its right. Prefect stays out of `model` and `schemas`; MLflow and s3fs are
imported in `tasks` only. Every module opens with a docstring and is short enough to read at once.

The rules are pure functions of a path and its source; what the modules compute is tested elsewhere.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("deployments", "flows", "tasks", "model", "schemas")  # each may import those after it
LIBRARY_HOMES = {
    "prefect": {"deployments", "flows", "tasks"},
    "mlflow": {"tasks"},
    # Whatever reaches a bucket: s3fs is what fsspec opens s3:// with.
    "s3fs": {"tasks"},
    "fsspec": {"tasks"},
    "botocore": {"tasks"},
    "aiohttp": {"tasks"},
    "prefect_dask": {"tasks"},
    "dask": {"tasks"},
    "distributed": {"tasks"},
}
MOST_LINES = 400

PAGE = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")

Rule = Callable[[PurePosixPath, str], Iterator[str]]


def imported_modules(path: PurePosixPath, source: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything the source imports, at whatever depth it does."""
    for node in ast.walk(ast.parse(source, filename=str(path))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=0):
                yield node.lineno, module or ""
            case ast.ImportFrom(module=module, names=names, level=level):
                parent = path.parts[:-level]
                # `from .. import tasks` names the package among the names, not as the module.
                ends = [module] if module else [name.name for name in names]
                yield from ((node.lineno, ".".join([*parent, end])) for end in ends)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def imports_against_the_arrow(path: PurePosixPath, source: str) -> Iterator[str]:
    """Imports of a package of ours that stands to the left."""
    importer = path.parts[0]
    allowed = PACKAGES[PACKAGES.index(importer) :]
    for line, name in imported_modules(path, source):
        imported = name.split(".")[0]
        if imported in PACKAGES and imported not in allowed:
            yield f"{path}:{line}: {importer} imports {name}; it may import {', '.join(allowed)}"


def libraries_away_from_home(path: PurePosixPath, source: str) -> Iterator[str]:
    """Imports of a library in a package that has to do without it."""
    importer = path.parts[0]
    for line, name in imported_modules(path, source):
        library = name.split(".")[0].split("_")[0]  # prefect_dask counts as prefect
        homes = LIBRARY_HOMES.get(library)
        if homes is not None and importer not in homes:
            yield f"{path}:{line}: {importer} imports {name}; only {', '.join(sorted(homes))} may"


def loaded_with(path: PurePosixPath, source: str) -> Iterator[str]:
    """Names of what importing a module imports: nothing within functions, nothing for types."""
    waiting: list[ast.stmt] = list(ast.parse(source, filename=str(path)).body)
    for statement in waiting:
        match statement:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{name.name}" for name in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                waiting += orelse
            case ast.If(body=body, orelse=orelse):
                waiting += [*body, *orelse]
            case ast.Try(body=body, handlers=handlers):
                waiting += [*body, *(line for handler in handlers for line in handler.body)]


def all_loaded_with(module: str) -> dict[str, str]:
    """Everything that is imported with a module of ours, and by which of ours it is."""
    found: dict[str, str] = {module: ""}
    waiting = [module]
    for name in waiting:
        path = PROJECT / f"{name.replace('.', '/')}.py"
        if not path.exists():
            continue
        where = PurePosixPath(path.relative_to(PROJECT).as_posix())
        for imported in loaded_with(where, path.read_text(encoding="utf-8")):
            if imported not in found:
                found[imported] = name
                waiting.append(imported)
    return found


def missing_docstring(path: PurePosixPath, source: str) -> Iterator[str]:
    """A module that does not open by saying what belongs in it."""
    if not ast.get_docstring(ast.parse(source, filename=str(path))):
        yield f"{path}:1: no docstring that says what belongs here and what does not"


def too_long(path: PurePosixPath, source: str) -> Iterator[str]:
    """A module that has grown into two."""
    lines = len(source.splitlines())
    if lines > MOST_LINES:
        yield f"{path}:{lines}: {lines} lines; split it, {MOST_LINES} is the most"


RULES: tuple[Rule, ...] = (
    imports_against_the_arrow,
    libraries_away_from_home,
    missing_docstring,
    too_long,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("package", PACKAGES)
def test_package_keeps_the_rule(package: str, rule: Rule) -> None:
    modules = sorted((PROJECT / package).rglob("*.py"))
    assert modules, f"no modules found in {PROJECT / package}: nothing would be checked"
    breaches = [
        breach
        for module in modules
        for breach in rule(
            PurePosixPath(module.relative_to(PROJECT).as_posix()),
            module.read_text(encoding="utf-8"),
        )
    ]
    if breaches:
        pytest.fail("\n".join(breaches), pytrace=False)


def test_a_look_at_the_releases_loads_no_statistics() -> None:
    """It runs in a process of its own, many times for each fit, and would take a quarter longer."""
    loaded = all_loaded_with("flows.refresh_releases")
    assert loaded["mlflow"] == "tasks.earlier_runs"  # it would be seen
    heavy = {"pymc", "arviz", "arviz_stats", "xarray", "scipy", "matplotlib", "plotnine"}
    assert {name: by for name, by in loaded.items() if name.split(".")[0] in heavy} == {}


@pytest.mark.parametrize(
    ("source", "loaded"),
    [
        ("import a, b.c", ["a", "b.c"]),
        ("from a import b", ["a", "a.b"]),
        ("def f():\n    import a", []),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["b"]),
        ("try:\n    import a\nexcept ImportError:\n    import b", ["a", "b"]),
    ],
)
def test_what_is_loaded_with_a_module(source: str, loaded: list[str]) -> None:
    assert list(loaded_with(PurePosixPath("tasks/a.py"), source)) == loaded


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("model/a.py", "import tasks", "model/a.py:1: model imports tasks;"),
        ("model/a.py", "import numpy, flows.fit_screen", "model/a.py:1: model imports flows.fit"),
        ("schemas/a.py", "\n\nfrom model.nuts import fit", "schemas/a.py:3: schemas imports model"),
        ("tasks/a.py", "def f():\n    import deployments", "tasks/a.py:2: tasks imports deploy"),
        ("model/a.py", "from ..tasks import b", "model/a.py:1: model imports tasks;"),
        ("model/a.py", "from .. import tasks", "model/a.py:1: model imports tasks;"),
        ("model/sub/a.py", "from ...flows.b import c", "model/sub/a.py:1: model imports flows.b"),
        ("model/__init__.py", "from ..flows import b", "model/__init__.py:1: model imports flows"),
        ("model/a.py", "if TYPE_CHECKING:\n    from flows import b", "model/a.py:2: model imports"),
        ("tasks/a.py", "importlib.import_module('flows.b')", "tasks/a.py:1: tasks imports flows.b"),
        ("tasks/a.py", "__import__('flows')", "tasks/a.py:1: tasks imports flows;"),
    ],
)
def test_an_import_against_the_arrow_is_named(path: str, source: str, breach: str) -> None:
    found = list(imports_against_the_arrow(PurePosixPath(path), source))
    assert len(found) == 1
    assert found[0].startswith(breach)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/a.py", "from .b import c"),
        ("model/a.py", "from . import tasks"),  # model.tasks, not tasks
        ("model/sub/a.py", "from ..design import summarise"),
        ("model/a.py", "import model.design, schemas.tables"),
        ("deployments/a.py", "import flows, tasks, model, schemas"),
        ("schemas/a.py", "import pandera, modelling, flowsome"),
    ],
)
def test_an_import_along_the_arrow_is_no_breach(path: str, source: str) -> None:
    assert not list(imports_against_the_arrow(PurePosixPath(path), source))


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("model/a.py", "from prefect import task", "model/a.py:1: model imports prefect; only dep"),
        ("model/a.py", "import prefect_dask", "model/a.py:1: model imports prefect_dask;"),
        ("schemas/a.py", "import prefect.states", "schemas/a.py:1: schemas imports prefect.states"),
        ("flows/a.py", "\nimport mlflow", "flows/a.py:2: flows imports mlflow; only tasks may"),
        ("model/a.py", "from mlflow.pyfunc import x", "model/a.py:1: model imports mlflow.pyfunc;"),
        ("deployments/a.py", "import s3fs as fs", "deployments/a.py:1: deployments imports s3fs;"),
    ],
)
def test_a_library_away_from_home_is_named(path: str, source: str, breach: str) -> None:
    found = list(libraries_away_from_home(PurePosixPath(path), source))
    assert len(found) == 1
    assert found[0].startswith(breach)


def test_a_library_at_home_is_no_breach() -> None:
    source = "import mlflow, s3fs, prefect"
    assert not list(libraries_away_from_home(PurePosixPath("tasks/a.py"), source))


@pytest.mark.parametrize("source", ["", "import numpy\n'''Too late.'''", "# a comment", "''' '''"])
def test_a_missing_docstring_is_named(source: str) -> None:
    found = list(missing_docstring(PurePosixPath("model/a.py"), source))
    assert [line.split(": ")[0] for line in found] == ["model/a.py:1"]


def test_an_opening_docstring_is_no_breach() -> None:
    assert not list(missing_docstring(PurePosixPath("model/a.py"), '"""What belongs here."""'))


@pytest.mark.parametrize(("lines", "breaches"), [(MOST_LINES, 0), (MOST_LINES + 1, 1)])
def test_a_module_is_too_long_from_the_first_line_over(lines: int, breaches: int) -> None:
    assert len(list(too_long(PurePosixPath("model/a.py"), "x = 1\n" * lines))) == breaches


# ---- the page that says where things are


def section(title: str) -> str:
    """The part of ARCHITECTURE.md under a heading."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def on_the_map(page_map: str) -> dict[str, set[str]]:
    """Folder: the names the map has of what is in it."""
    rows = re.findall(r"^\| `(\w+)/` \|(.*)\|$", page_map, re.MULTILINE)
    return {folder: set(re.findall(r"`([\w./]+)`", words)) for folder, words in rows}


def in_the_folder(package: str) -> tuple[set[str], set[str]]:
    """What the map has to name: modules and packages; and what it may name besides: files."""
    modules = {path.stem for path in (PROJECT / package).glob("*.py") if path.stem != "__init__"}
    folders = {f"{path.parent.name}/" for path in (PROJECT / package).glob("*/__init__.py")}
    files = {path.name for path in (PROJECT / package).iterdir() if path.is_file()}
    return modules | folders, files


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_names_every_module_and_no_other(package: str) -> None:
    modules, files = in_the_folder(package)
    words = on_the_map(section("The map"))[package]
    assert not modules - words, "not on the map of ARCHITECTURE.md"
    others = words - modules - files
    # A command of ours may be named beside the module that has it.
    assert not others - {"serve"}, "on the map of ARCHITECTURE.md, and not in the folder"


def named_paths(text: str) -> list[str]:
    """Paths of files and folders that a text names: `tasks/track.py`."""
    return re.findall(r"`((?:deployments|flows|tasks|model|schemas|tests|docs)/[\w./]*)`", text)


def named_objects(text: str) -> list[str]:
    """Dotted names of ours: `tasks.tracking_run.FitRun.finish`."""
    return re.findall(r"`((?:deployments|flows|tasks|model|schemas)(?:\.\w+)+)`", text)


def test_every_path_that_is_named_exists() -> None:
    paths = named_paths(PAGE)
    assert len(paths) > 50
    assert not [path for path in paths if not (PROJECT / path).exists()]


@pytest.mark.parametrize("name", sorted(set(named_objects(PAGE))))
def test_every_name_that_is_named_exists(name: str) -> None:
    package, *parts = name.split(".")
    path = PROJECT / package
    while parts and ((path / parts[0]).is_dir() or (path / f"{parts[0]}.py").exists()):
        path = path / parts.pop(0)
    source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    if parts:
        words = re.findall(r"\w+", source.read_text(encoding="utf-8"))
        assert set(parts) <= set(words), f"{name}: not in {source}"
    else:
        assert source.exists()


def test_every_deployment_is_in_the_pages() -> None:
    prefect = (PROJECT / "deployments" / "prefect.yaml").read_text(encoding="utf-8")
    names = re.findall(r"^ *- name: ([a-z-]+)$", prefect, re.MULTILINE)
    flows = {path.stem.replace("_", "-") for path in (PROJECT / "flows").glob("*.py")}
    schedules = (PROJECT / "docs" / "schedules.md").read_text(encoding="utf-8")
    assert names
    for name in names:
        assert name in flows
        assert f"| `{name}` |" in schedules


def test_every_word_of_the_glossary_is_used() -> None:
    words = re.findall(r"^\| ([\w ,-]+) \|", section("Glossary"), re.MULTILINE)[1:]
    texts = [
        path.read_text(encoding="utf-8").lower()
        for folder in (*PACKAGES, "docs")
        for path in [*(PROJECT / folder).rglob("*.py"), *(PROJECT / folder).glob("*.md")]
    ]
    everything = "\n".join(texts).replace("_", " ")
    assert len(words) > 25
    assert not [
        word for line in words for word in line.split(", ") if word.lower() not in everything
    ]


def test_a_module_that_is_not_on_the_map_is_missed() -> None:
    found = on_the_map("| folder | holds |\n|---|---|\n| `model/` | pure | `design`, `exact/` |\n")
    assert found == {"model": {"design", "exact/"}}
    assert named_paths("see `model/gone.py`") == ["model/gone.py"]
