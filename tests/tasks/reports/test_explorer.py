"""The gene explorer: its numbers, names that are markup, and its use in a browser."""

import gzip
import json
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import expect

from model.effects.explorer import BINS, explorer
from model.effects.gene_effects import gene_effects
from schemas.model_spec import MODEL_SPECS
from tasks.reports.explorer import MISSING, ROUNDED, render_explorer
from tests.designs import design_from_rows, nested_rows, random_draws
from tests.integration.browser import chromium
from tests.tasks.fits import results_of

MARKUP = "</script><script>document.title='x'</script><b>"
LINE = "&lt;b&gt;<img src=x onerror=document.title='y'>"
GENES = (MARKUP, "A (1)", "B (2)", "D (4)")  # in the order of labels, and of slopes
SANDBOXED = """html => {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts"; frame.style = "width: 1300px; height: 1500px";
  frame.src = URL.createObjectURL(new Blob([html], {type: "text/html"}));
  document.body.append(frame);
}"""  # as MLflow's viewer of artifacts does


@pytest.fixture(scope="module")
def results():
    rows, _ = nested_rows(4, 12, 2, 2)
    names = {f"g{at:03d}": name for at, name in enumerate(GENES)}
    lines = {f"c{at:03d}": f"{LINE}{at:02d}" for at in range(12)}
    design = design_from_rows(rows.replace({"gene": names, "cell_line": lines}))
    design = replace(design, lineage=(*["Skin"] * 6, *[LINE] * 6))
    draws = random_draws(MODEL_SPECS["m4"], design.labels, 2, 40)
    draws["beta_g"][:] += [-3, -2, 0, 1]
    draws["beta_g"][:, ::2, 2] = 0
    tree = xr.DataTree.from_dict({"posterior": draws})
    flags = dict.fromkeys(("marks_lineage", "carried_by_one_line"), np.arange(4) == 0)
    flags |= dict.fromkeys(("most_influential_line", "most_influential_lineage"), LINE)
    flags |= {"influence": 1.5, "beta_within_lineage_mean": -0.25}
    effects = gene_effects(tree, design).assign(**flags)
    return results_of(tree=tree, design=design, effects=effects)


def test_all_draws_are_counted_and_lines_of_uncalled_genes_are_at_even_ranks_of_rna(results):
    design, posterior = results.design, results.tree["posterior"].to_dataset()
    effects = results.effects.assign(call=["none", "negative", "none", "none"])
    change = pd.DataFrame({"cell_line": design.cell_lines, "change_in_sd": np.arange(12) - 8})
    influence = change.assign(gene=GENES[2], beta_without=0.1, lfsr_without=0.2)
    shown = explorer(posterior, design, effects, influence, most_pairs=12 + 3 * 4)
    for at, gene in enumerate(GENES):
        draws, low = posterior["beta_g"].sel(gene=gene).to_numpy(), shown.histograms.low[at]
        counts, _ = np.histogram(draws[draws != 0], BINS, (low, shown.histograms.high[at]))
        np.testing.assert_array_equal(shown.histograms.counts[at], counts)
    assert shown.histograms.n_zero.tolist() == [0, 0, 40, 0]
    assert shown.guides.groupby("gene")["guide"].agg(list)[1] == ["g001/0", "g001/1"]
    assert set(shown.left_out["gene"]) == {2}
    assert shown.left_out["change_in_sd"].tolist() == [-8, -7, -6, -5, -4]
    assert shown.pairs.n.tolist() == [4, 12, 4, 4]
    ranks = np.argsort(np.argsort(design.rna[0]))[shown.pairs.cell_line[:4]]
    assert set(np.diff(np.sort(ranks))) == {3}
    assert explorer(posterior, design, effects, most_pairs=8).pairs.n.tolist() == [2] * 4


def test_the_page_carries_rounded_numbers_and_names_cannot_break_out_of_it(results):
    page = render_explorer(results, "run-17")
    assert "<img src=x" not in page and MARKUP not in page
    assert page.count("&lt;img src=x") == 1  # the lineage to choose
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page.replace("\\", ""))
    for words in ("plotly.js", "SpryMedia", "jQuery", "THE SOFTWARE IS PROVIDED", "run-17"):
        assert words in page
    packed = dict(re.findall(r'<script type="text/plain" id="packed-(\w+)">([\w+/=]*)<', page))
    facts, numbers = (gzip.decompress(b64decode(packed[name])) for name in ("facts", "arrays"))

    def stored(place) -> np.ndarray:
        part = np.frombuffer(numbers, place["type"], place["length"], place["at"])
        if not place["scale"]:
            return part
        low, high = part.view("u1").reshape(2, -1).astype(int)
        code = low + 256 * high
        whole = np.where(code % 2, -(code + 1) // 2, code // 2)
        return np.where(whole == MISSING, np.nan, whole * place["scale"])

    columns = {column["name"]: column["values"] for column in json.loads(facts)["columns"]}
    assert columns["gene"] == list(GENES)
    for name in ("beta_mean", "lfsr", "rna_sd", "n_guides"):
        np.testing.assert_allclose(stored(columns[name]), results.effects[name], rtol=1e-6)
    cells, pairs = results.design.cells, json.loads(facts)["pairs"]
    assert stored(pairs["n"]).tolist() == [12] * 4
    lines = stored(pairs["step"]).reshape(4, -1).cumsum(axis=1)
    np.testing.assert_array_equal(lines.ravel(), cells.cell_line)
    for name, values in (("logfc", cells.mean), ("rna", cells.rna)):
        np.testing.assert_allclose(stored(pairs[name]), values, atol=ROUNDED * 0.501)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_is_used_from_a_file_and_inside_a_sandbox(results, tmp_path):
    path = tmp_path / "explorer.html"
    path.write_text(render_explorer(results, "run-17"), encoding="utf-8")
    with chromium() as browser:
        page, errors = browser.new_page(viewport={"width": 1400, "height": 900}), []
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(path.as_uri())
        name, rows = page.locator("#name"), page.locator("#genes tbody tr")
        expect(name).to_have_text(MARKUP)  # the most negative slope
        page.get_by_role("button", name="B (2)").focus()
        page.keyboard.press("Enter")
        expect(name).to_have_text("B (2)")
        page.keyboard.press("ArrowUp")
        expect(name).to_have_text("A (1)")
        page.locator("#rank .point").nth(2).click(force=True)
        expect(name).to_have_text("D (4)")
        expect(page.locator("#genes tr.chosen")).to_contain_text("D (4)")
        page.locator("#over-rna .scatterlayer .point").first.hover(force=True)
        expect(page.locator(".hovertext").first).to_contain_text(LINE)
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV").click()
        table, ours = pd.read_csv(download.value.path()), results.effects.replace("", np.nan)
        same = {"check_dtype": False, "rtol": 1e-5}
        pd.testing.assert_frame_equal(table[ours.columns], ours, **same)
        page.locator("#by-lineage").select_option(LINE)
        expect(rows).to_have_count(1)
        page.get_by_label("Search").fill("script")
        expect(rows).to_contain_text(MARKUP)
        page.locator("#by-call").select_option("positive")
        expect(rows).to_contain_text("No matching records")

        page.goto("about:blank")
        page.evaluate(SANDBOXED, path.read_text(encoding="utf-8"))
        frame = page.frame_locator("iframe")
        expect(frame.locator("#name")).to_have_text(MARKUP)
        frame.get_by_role("button", name="Copy as table").click()
        expect(frame.locator(".dt-button-info")).to_contain_text("Copied 4 rows")
        assert frame.locator("img").count() == 0 and page.title() == "" and not errors
