"""What the report says of the champion: none, there, damaged, deleted."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.reports.html import render_report
from tasks.tracking.champion import since_champion
from tasks.tracking.load import DamagedFit
from tasks.tracking.registry import CHAMPION
from tests.tasks.fits import results_of
from tests.tasks.reports.test_html import effects_of
from tests.tasks.stores import track


def test_the_report_says_what_changed_since_the_champion(working_folder):
    results = results_of(effects=effects_of())
    run, stored = track(results)
    name = results.dataset.name
    assert since_champion(run, results) is None

    run.client.set_registered_model_alias(name, CHAMPION, "1")
    other = replace(
        results,
        dataset=results.dataset.model_copy(update={"release": "25Q2"}),
        parameters=results.parameters.model_copy(update={"seed": 7}),
        effects=effects_of(beta_sd=0.1, lfsr=[0.001, 0.2, 0.3]).assign(
            gene=["SOX10B (6663)", "MYB (4602)", "NEW (1)"], beta_mean=[-2.25, -0.5, 0.125]
        ),
    )
    found = since_champion(replace(run, run_id="run-18"), other)
    assert found is not None and found.comparison.a.run_id == run.run_id
    assert found.comparison.b.run_id == "run-18"
    assert found.comparison.hits_gained == ("SOX10B (6663)",)
    assert render_report(other, {}, "run-18", "fit", {}, found).count("run-18") > 1

    folder = Path(stored.info.artifact_uri.removeprefix("file://"))
    (folder / "gene_effects.parquet").write_bytes(b"PAR1")
    with pytest.raises(DamagedFit, match="damaged or missing"):
        since_champion(run, results)
    run.client.delete_run(run.run_id)
    assert since_champion(run, results) is None
