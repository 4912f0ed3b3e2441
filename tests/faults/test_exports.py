"""Runs that are asked for and are not there or not whole, and labels that look like markup."""

import html
import re
import shlex
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments.cli.exit_codes import VERDICT_FAIL
from schemas.calibration import CalibrationSettings
from schemas.release_status import SeenRelease
from schemas.reports import ValidationReport, Verdict
from tasks.reports.fit import result_markdown
from tasks.reports.releases import refresh_markdown
from tasks.reports.validation import validation_markdown
from tasks.tracking.registry import CHAMPION
from tasks.tracking.store import connect, tracking_uri
from tasks.tracking.ui import NOTE, run_note
from tests.faults.catalogue import Area, Left, fault, marks, variants
from tests.integration.runs import artifact, runs_in
from tests.tasks.fits import results_of
from tests.tasks.reports.test_markdown import READER
from tests.tasks.stores import calibrated, fitted

DATASET = "Avana sample"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[str, dict[str, str]]:
    """The address of a store with runs of several kinds, and their ids."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("store"))
        first, second = fitted(release="24Q2"), fitted(release="24Q4")
        runs = {
            "champion": first.run_id,
            "fit": second.run_id,
            "calibration": calibrated(CalibrationSettings(), Counter(exact=100)),
        }
        for name in ("running", "failed", "deleted"):
            runs[name] = first.client.create_run(first.experiment_id).info.run_id
        first.client.set_terminated(runs["failed"], "FAILED")
        first.client.delete_run(runs["deleted"])
        first.client.set_registered_model_alias(DATASET, CHAMPION, "1")
        return tracking_uri(), runs


@pytest.fixture
def runs(made, command, prefect_server, monkeypatch):
    """The ids of the runs in the store of the commands of a test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made[0])
    # Ending the heartbeat of a flow takes half a second.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield made[1]


done, bad, _ = marks(Area.EXPORTS)
bad = partial(bad, left=Left.AS_BEFORE)
OF = "--dataset 'Avana sample'"
# fmt: off
CLASSES = (
    (bad("not a run"), (
        (f"export ../../etc --out out {OF}", "got '../../etc'"),
        (f'export "\' OR tags.release LIKE \'%" --out out {OF}', "or a release of Avana sample"),
        (f"export runs:/0123/posterior.nc --out out {OF}", "got 'runs:/0123"),
        (f"export {'0' * 32} --out out", f"got '{'0' * 32}'"),
        (f"export challengers --out out {OF}", "24Q4, 24Q2"),
        (f"export \x1b[2J --out out {OF}", r"got '\x1b[2J'"),
        (f"promote {'0' * 32}", f"got '{'0' * 32}'"))),
    (bad("an empty name of a run or file", "got nothing"), (
        ("export '' --out out",), ("compare champion ''",), ("promote ''",), ("fit ''",),
        ("validate ''",), ("import-trace '' --dataset screen.yaml",))),
    (bad("an unknown dataset", "has none of '../x'"), (
        ("export latest --out out --dataset ../x", "available: Avana sample"),
        ("compare latest 24Q2 --dataset ../x",))),
    (bad("a fit compared with itself", "are the same fit"), (
        (f"compare champion {{champion}} {OF}", "expected two"),)),
    (bad("a running, failed or deleted run"), (
        ("export {running} --out out", "is RUNNING"),
        ("export {failed} --out out", "is FAILED; choose another"),
        ("compare champion {failed}", "is FAILED", "choose another run"),
        ("export {deleted} --out out", "has been deleted", "mlflow runs restore"),
        ("promote {deleted}", "has been deleted", "mlflow runs restore"))),
    (bad("a calibration to compare or promote", "not a fit of this version"), (
        ("compare champion {calibration}",), ("promote {calibration}",))),
)
DAMAGES = (
    # the command, the damaged file of a run, how much of it is left
    (bad("a run with damaged files", "damaged or missing", "restore it from a backup"), (
        ("export {fit} --out out", "fit", "posterior.nc", 0.5),
        ("export {fit} --out out", "fit", "screen/design.nc", 0.0),
        ("compare champion {fit}", "fit", "gene_effects.parquet", 0.5),
        ("compare champion {fit}", "fit", "screen/genes.parquet", None),
        ("compare champion {fit}", "fit", "parameters.json", 0.5),
        ("compare champion {fit}", "fit", "summary.csv", 0.0),
        ("promote {fit}", "fit", "preparation.json", 0.5))),
    (bad("a champion with damaged files",
         "the champion of Avana sample, version 1", "remove the alias champion"), (
        ("promote {fit}", "champion", "gene_effects.parquet", 0.5, "damaged or missing"),)),
)
# fmt: on


@pytest.mark.parametrize(("words", "told"), variants(CLASSES))
def test_what_is_no_run_is_refused(words, told, runs, command):
    command(*shlex.split(words.format(**runs)), told=told)


@pytest.mark.parametrize(("words", "name", "file", "share", "told"), variants(DAMAGES, 4))
def test_a_run_with_a_damaged_file_is_refused(words, name, file, share, told, runs, command):
    artifacts = connect(tracking_uri()).get_run(runs[name]).info.artifact_uri
    path = Path(artifacts.removeprefix("file://")) / file
    content = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(content[: int(share * len(content))])
    command(*words.format(**runs).split(), told=told)
    path.write_bytes(content)


LABELS = (
    "<script>alert(1)</script>",
    "![x](http://127.0.0.1:9/x.png)",
    "[x](javascript:alert(1))",
    "a|b |",
    "`a` **b** _c_ ~~d~~",
    r"$\frac$ $",
    "[red]x[/red]",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt;",
    "../../etc/passwd",
)


def shown_in(page: str) -> tuple[set[str], str]:
    """The kinds of marks within the lines of a page of Markdown, and all its words."""
    lines = [token for token in READER.parse(page) if token.type != "fence"]
    kinds = {token.type for token in lines if token.type.startswith("html")}
    kinds |= {word.type for token in lines for word in token.children or ()}
    words = ("".join(child.content for child in token.children or ()) for token in lines)
    return kinds, "\n".join(words)


@fault(Area.EXPORTS, "markup in names or in a refused table", left="the text, shown literally")
@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_shown_as_it_is(label):
    results = results_of()
    verdict = Verdict(status="fail", reasons=(f"R-hat of beta_g[{label}]",), notes=(label,))
    genes = results.effects["gene"].where(results.effects.index > 0, label)
    effects = results.effects.assign(gene=genes, beta_sd=0.1, lfsr=0.5)
    results = replace(results, verdict=verdict, effects=effects)
    said = {"found": (label,), "column": label, "remedy": label}
    finding = results.validation.findings[0].model_copy(update=said)
    report = ValidationReport(dataset="a", release="b", tables=(), findings=(finding,))
    file = f"s3://a/{label}.yaml"
    seen = SeenRelease(dataset_file=file, name=label, status="refused", detail=label)
    links = {"link_open", "link_close"}
    ours = {"text", "text_special", "softbreak", "strong_open", "strong_close", "code_inline"}
    for page, kinds_of_page in (
        (result_markdown(results, "MLflow: sqlite:///mlflow.db"), ours),
        (run_note(results, "1", "a" * 32), ours | links),
        (validation_markdown(report), ours),
        (refresh_markdown("s3://a", (seen,)), ours),
    ):
        kinds, words = shown_in(page)
        assert kinds <= kinds_of_page
        assert words.count(label) >= 3, words


@pytest.mark.slow
@done("genes and cell lines with names like markup", "Tracked as run",
    code=VERDICT_FAIL, left=Left.WHOLE)  # fmt: skip
def test_a_screen_of_such_labels_is_fitted(forked, screen):
    path = screen.parent / "simulated_screen.csv"
    table = pd.read_csv(path)
    for column in ("gene", "cell_line"):
        new = dict(zip(table[column].unique(), LABELS, strict=False))
        table[column] = table[column].replace(new)
    table.to_csv(path, index=False)
    given = ["--model", "m4", "--draws", "100", "--pictures", "all"]
    forked("fit", screen, *given, told=LABELS[:5])
    (run,) = runs_in(forked.folder)
    genes = set(table["gene"])
    assert set(pd.read_csv(artifact(run, "gene_effects.csv"))["gene"]) == genes
    page = artifact(run, "report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"<a href=\"([^\"#]*)", page)) == {"", "explorer.html"}
    assert "<script" not in page
    assert artifact(run, "explorer.html").is_file()
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    kinds, words = shown_in(run.data.tags[NOTE])
    assert not kinds & {"image", "html_inline", "html_block", "em_open"}
    assert all(gene in text and gene in words for gene in genes)
    assert len(list(artifact(run, "plots").iterdir())) >= 15
