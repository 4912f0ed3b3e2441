"""The examples of docs/python.md and the notebooks of examples/ run from top to bottom."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from examples.build import FOLDER, NOTEBOOKS, cells_of, notebook_of
from tests.docs.pages import ROOT, blocks


@pytest.fixture
def here(prefect_server, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


def names_after(cells: Iterable[str]) -> dict:
    """Run cells of code inside an event loop, as Jupyter does."""
    names: dict = {}

    async def notebook() -> None:
        for number, source in enumerate(cells):
            exec(compile(source, f"cell {number}", "exec"), names)

    asyncio.run(notebook())
    return names


def cells_with(name: str, call: str, quicker: str) -> list[str]:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert call in text
    return [source.replace(call, quicker) for kind, source in cells_of(text) if kind == "code"]


@pytest.mark.slow
def test_the_examples_run_in_a_notebook(here):
    page = blocks((ROOT / "docs/python.md").read_text(encoding="utf-8"))
    names = names_after(block.text for block in page if block.language == "python")
    sb, mine = names["sb"], names["mine"]
    assert names["changed"].comparison.b.run_id == names["fit"].run_id
    assert sb.runs()["kind"].value_counts().to_dict() == {"fit": 3, "comparison": 1}
    assert mine.dataset == ("mine", "1") and set(mine.effects["call"]) == {"negative"}
    again = sb.fit("screenbayes-tables/mine 1/dataset.yaml", model="m4", pictures="none")
    assert again.run_id == mine.run_id  # the written tables are the same


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_that_of_its_text(name):
    text, notebook = (
        (FOLDER / f"{name}{suffix}").read_text(encoding="utf-8") for suffix in (".py", ".ipynb")
    )
    assert notebook == notebook_of(text), "make examples"


@pytest.mark.slow
def test_the_original_is_redone(here):
    names = names_after(cells_with("original", "about=about)", 'about=about, pictures="none")'))
    effects = names["fit"].effects.set_index("gene").sort_index()
    assert names["fit"].verdict.status == "pass" and set(effects["call"]) == {"negative"}
    assert effects["beta_mean"].to_numpy() == pytest.approx(names["beta"], abs=0.1)


@pytest.mark.slow
def test_a_release_is_followed_to_a_gene(here, shared, monkeypatch):
    monkeypatch.setenv("SCREENBAYES_RELEASE", str(shared / "data" / "avana_sample"))
    names = names_after(cells_with("release", "sb.fit(dataset)", "sb.fit(dataset, draws=300)"))
    assert names["strongest"][0] == "SOX10 (6663)" and Path(names["fit"].explorer).is_file()
    assert names["story"].story.effect["call"] == "negative"
