"""What a person sees first of a dataset in MLflow: words on its runs, views of them, notes.

What a run holds is `tasks.track`.

The views use what MLflow's own pages store of a view that is shared: a tag of the experiment with
search, order and columns. The pages of the version that is installed are tested with them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow import MlflowClient

from schemas.parameters import Thresholds
from tasks.markdown import as_text

if TYPE_CHECKING:  # a look at the releases does without the statistics it would load
    from tasks.artifacts import FitResults

NOTE = "mlflow.note.content"
VIEW = "mlflow.sharedViewState."
GENES_SHOWN = 5
TRAINING_PAGES = "workflowType=machine_learning"
"""Query without which MLflow's pages open on language models, not on runs and their metrics."""


@dataclass(frozen=True)
class View:
    """A table of runs: which, in which order, with which columns."""

    title: str
    text: str
    """What it is for."""
    search: str
    columns: tuple[str, ...]
    order_by: str = "attributes.start_time"

    def state(self) -> str:
        """Return what MLflow's page keeps of a view."""
        return json.dumps(
            {
                "searchFilter": self.search,
                "orderByKey": self.order_by,
                "orderByAsc": False,
                "selectedColumns": list(self.columns),
            }
        )


def _tags(*names: str) -> tuple[str, ...]:
    return tuple(f"tags.`{name}`" for name in names)


def _metrics(*names: str) -> tuple[str, ...]:
    return tuple(f"metrics.`{name}`" for name in names)


A_FIT = "tags.fit_key LIKE '%'"
_FIT_COLUMNS = (
    *_tags("verdict", "data_digest"),
    *_metrics("rhat_max", "ess_bulk_min", "log_evidence", "n_genes", "n_cell_lines"),
)
VIEWS = {
    "fits": View("All fits", "the newest first", A_FIT, _FIT_COLUMNS),
    "usable": View(
        "Fits that may be used",
        "verdict `pass`",
        f"tags.verdict = 'pass' and {A_FIT}",
        _FIT_COLUMNS,
    ),
    "models": View(
        "Models",
        "the highest log evidence first; compare only fits of the same `data_digest` and "
        "`n_measurements`",
        A_FIT,
        (
            *_tags("model", "data_digest"),
            *_metrics("log_evidence", "log_evidence_mcse", "n_measurements"),
        ),
        "metrics.`log_evidence`",
    ),
    "comparisons": View(
        "Comparisons",
        "what changed between two fits",
        "tags.kind = 'comparison'",
        _metrics("n_hits_gained", "n_hits_lost", "beta_correlation", "largest_abs_z"),
    ),
    "unfinished": View(
        "Not finished",
        "failed, stopped or still running, and why",
        "attributes.status != 'FINISHED'",
        _tags("failure", "model"),
    ),
}


def describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Give an experiment its description and views; a description of somebody's own is kept."""
    experiment = client.get_experiment(experiment_id)
    wanted = {f"{VIEW}{key}": view.state() for key, view in VIEWS.items()}
    if NOTE not in experiment.tags:
        wanted[NOTE] = _experiment_note(experiment.name, experiment_id)
    for tag, content in wanted.items():
        if experiment.tags.get(tag) != content:
            client.set_experiment_tag(experiment_id, tag, content)


def _experiment_note(name: str, experiment_id: str) -> str:
    """Its first line is all that MLflow shows until it is unfolded."""
    page = f"#/experiments/{experiment_id}/runs?{TRAINING_PAGES}&viewStateShareKey="
    limits = Thresholds()
    links = {key: f"[{view.title}]({page}{key})" for key, view in VIEWS.items()}
    return "\n".join(
        [
            f"Fits of **{name}**. Views: {' · '.join(links.values())}",
            "",
            "A run is one fit: one release, one model, one engine, and its name says which. "
            "Comparisons of two fits are runs too. The description of a run has its verdict and "
            "most negative slopes; its artifact `report.html` is the whole fit on one page.",
            "",
            *(f"- {links[key]}: {view.text}." for key, view in VIEWS.items()),
            "",
            "| column | says |",
            "|---|---|",
            "| `verdict` | `pass`: may be used; `review`: read the reasons first; `fail`: do not |",
            "| `data_digest` | the same where two fits saw the same tables |",
            "| `rhat_max`, `ess_bulk_min` | worst over all parameters; expected at most "
            f"{limits.rhat_max:g}, at least {limits.ess_min:g} |",
            "| `log_evidence` | how well model and priors predict the measurements |",
            "| `imported_from` | the draws were sampled by another library |",
            "",
            "Tick two fits and *Compare* sets parameters, metrics and tags side by side; "
            "`screenbayes compare A B` says which genes changed, and why.",
        ]
    )


def run_note(results: FitResults, experiment_id: str, run_id: str) -> str:
    """Return the note of a fit, in Markdown: verdict, what was fitted, reasons, strongest genes."""
    from tasks.render_result import NOT_KNOWN, rests_on  # as above

    fitted, verdict = results.preparation, results.verdict
    report = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/report.html?{TRAINING_PAGES}"
    top = results.effects.nsmallest(GENES_SHOWN, "beta_mean")
    carriers = rests_on(top).replace(NOT_KNOWN, "")
    genes = [
        f"{as_text(gene)} {mean:.2f} ({low:.2f} to {high:.2f}"
        + (f", rests on {as_text(carrier)})" if carrier else ")")
        for gene, mean, low, high, carrier in zip(
            *(top[name] for name in ("gene", "beta_mean", "beta_hdi_low", "beta_hdi_high")),
            carriers,
            strict=True,
        )
    ]
    lines = [
        f"Verdict: **{verdict.status}** · [report]({report}) · {fitted.n_genes:,} genes x "
        f"{fitted.n_cell_lines:,} cell lines, {fitted.n_measurements:,} measurements",
        "",
        *(f"- {as_text(reason)}" for reason in verdict.reasons),
        *(f"- note: {as_text(note)}" for note in verdict.notes),
        "",
        f"Most negative slopes (89 %): {'; '.join(genes)}",
    ]
    if results.origin is not None:
        lines += ["", f"Sampled by {results.origin.imported_from} and imported."]
    return "\n".join(lines)
