"""The examples of docs/python.md run one after the other, as in a notebook."""

import asyncio

import pytest

from tests.docs.pages import ROOT, blocks


@pytest.mark.slow
def test_the_examples_run_in_a_notebook(prefect_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names: dict = {}

    async def notebook() -> None:  # its cells run inside an event loop
        for block in blocks((ROOT / "docs/python.md").read_text(encoding="utf-8")):
            if block.language == "python":
                exec(compile(block.text, f"docs/python.md:{block.line}", "exec"), names)

    asyncio.run(notebook())
    sb, mine = names["sb"], names["mine"]
    assert names["changed"].comparison.b.run_id == names["fit"].run_id
    assert sb.runs()["kind"].value_counts().to_dict() == {"fit": 3, "comparison": 1}
    assert mine.dataset == ("mine", "1") and set(mine.effects["call"]) == {"negative"}
    again = sb.fit("screenbayes-tables/mine 1/dataset.yaml", model="m4", pictures="none")
    assert again.run_id == mine.run_id  # the written tables are the same
