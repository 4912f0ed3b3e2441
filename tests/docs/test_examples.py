"""The notebooks of examples/ are those of their text, and run from top to bottom."""

import asyncio
from pathlib import Path

import pytest

from examples.build import FOLDER, NOTEBOOKS, cells_of, notebook_of


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_that_of_its_text(name):
    notebook = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert notebook == notebook_of(text_of(name)), "make examples"


def names_after(name: str, change: tuple[str, str], folder: Path, monkeypatch) -> dict:
    """Run the cells one after the other inside an event loop, as Jupyter does."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names: dict = {}

    async def notebook() -> None:
        for number, (kind, source) in enumerate(cells_of(text_of(name))):
            if kind == "code":
                exec(compile(source.replace(*change), f"{name}, cell {number}", "exec"), names)

    assert change[0] in text_of(name)
    asyncio.run(notebook())
    return names


@pytest.mark.slow
def test_the_original_is_redone(prefect_server, tmp_path, monkeypatch):
    quick = ("about=about)", 'about=about, pictures="none")')
    names = names_after("original", quick, tmp_path, monkeypatch)
    effects = names["fit"].effects.set_index("gene").sort_index()
    assert names["fit"].verdict.status == "pass" and set(effects["call"]) == {"negative"}
    assert effects["beta_mean"].to_numpy() == pytest.approx(names["beta"], abs=0.1)


@pytest.mark.slow
def test_a_release_is_followed_to_a_gene(prefect_server, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("SCREENBAYES_RELEASE", str(shared / "data" / "avana_sample"))
    quick = ("sb.fit(dataset)", 'sb.fit(dataset, draws=300, pictures="report")')
    names = names_after("release", quick, tmp_path, monkeypatch)
    assert names["strongest"][0] == "SOX10 (6663)"
    assert (
        names["story"].story.effect["call"] == "negative" and Path(names["fit"].explorer).exists()
    )
