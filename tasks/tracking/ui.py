"""Descriptions and views of experiments and runs in the MLflow UI.

Views are stored in the format of the UI's shared views: a tag of the experiment with search, order
and columns. Tests open them in the UI of the installed version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from schemas.parameters import Thresholds
from tasks.reports.markdown import as_text

if TYPE_CHECKING:  # spares refresh_releases the import of the statistics
    from model.fit import FitResults

NOTE = "mlflow.note.content"
VIEW = "mlflow.sharedViewState."
GENES_SHOWN = 10
"""Called genes of each sign in the note of a run."""
TRAINING_PAGES = "workflowType=machine_learning"
"""Query that makes MLflow's pages open on runs and metrics, not on language models."""


@dataclass(frozen=True)
class View:
    """A view of runs: search, order and columns."""

    title: str
    text: str
    """Purpose."""
    search: str
    columns: tuple[str, ...]
    order_by: str = "attributes.start_time"

    def state(self) -> str:
        """Return the view as MLflow's page stores it."""
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
    "fits": View("All fits", "newest first", A_FIT, _FIT_COLUMNS),
    "usable": View(
        "Fits that may be used",
        "verdict `pass`",
        f"tags.verdict = 'pass' and {A_FIT}",
        _FIT_COLUMNS,
    ),
    "models": View(
        "Models",
        "highest log evidence first; compare only fits of the same `data_digest` and "
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
        _metrics(
            *("n_hits_opposite_sign", "n_hits_gained", "n_hits_lost"),
            *("beta_correlation", "largest_abs_z"),
        ),
    ),
    "unfinished": View(
        "Not finished",
        "failed, stopped or still running, and why",
        "attributes.status != 'FINISHED'",
        _tags("failure", "model"),
    ),
}


def describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Set the views of an experiment, and its description unless it has one."""
    experiment = client.get_experiment(experiment_id)
    wanted = {f"{VIEW}{key}": view.state() for key, view in VIEWS.items()}
    if NOTE not in experiment.tags:
        wanted[NOTE] = _experiment_note(experiment.name, experiment_id)
    for tag, content in wanted.items():
        if experiment.tags.get(tag) != content:
            try:
                client.set_experiment_tag(experiment_id, tag, content)
            except MlflowException:
                # MLflow refuses one of two processes that set a new tag at the same time.
                if client.get_experiment(experiment_id).tags.get(tag) != content:
                    raise


def _experiment_note(name: str, experiment_id: str) -> str:
    """Return the description; MLflow shows its first line until it is unfolded."""
    page = f"#/experiments/{experiment_id}/runs?{TRAINING_PAGES}&viewStateShareKey="
    limits = Thresholds()
    links = {key: f"[{view.title}]({page}{key})" for key, view in VIEWS.items()}
    return "\n".join(
        [
            f"Fits of **{name}**. Views: {' · '.join(links.values())}",
            "",
            "A run is one fit of one release with one model and engine, as in its name. "
            "Comparisons of two fits are runs too. The description of a run has its answer "
            "and verdict; its artifact `report.html` summarises the fit.",
            "",
            *(f"- {links[key]}: {view.text}." for key, view in VIEWS.items()),
            "",
            "| column | meaning |",
            "|---|---|",
            "| `verdict` | `pass`: usable; `review`: read the reasons first; `fail`: not usable |",
            "| `data_digest` | equal for fits of the same tables |",
            "| `rhat_max`, `ess_bulk_min` | worst over all parameters; expected at most "
            f"{limits.rhat_max:g}, at least {limits.ess_min:g} |",
            "| `log_evidence` | how well model and priors predict the measurements |",
            "| `imported_from` | the draws were sampled by another library |",
            "",
            "Select two fits and *Compare* shows parameters, metrics and tags side by side; "
            "`screenbayes compare A B` shows which genes changed, and why.",
        ]
    )


def run_note(
    results: FitResults, experiment_id: str, run_id: str, *, explorer: bool = False
) -> str:
    """Return the note of a fit in Markdown: the answer, the verdict with its reasons, and the rest.

    It links to the report and, where the run has it, the gene explorer. MLflow shows the first
    lines until the note is unfolded.
    """
    from tasks.reports.answer import (  # as above
        DIRECTIONS,
        NOT_KNOWN,
        called_genes,
        describe_answer,
        describe_confidence,
        describe_question,
        describe_verdict,
        dominant_group,
    )

    verdict = results.verdict
    files = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts"
    pages = f"[report]({files}/report.html?{TRAINING_PAGES})"
    if explorer:
        pages += f" · [genes]({files}/explorer.html?{TRAINING_PAGES})"
    called = []
    for call, genes in called_genes(results.effects).items():
        top = genes.head(GENES_SHOWN)
        carriers = dominant_group(top).replace(NOT_KNOWN, "")
        named = [
            f"{as_text(gene)} {mean:.2f} ({low:.2f} to {high:.2f}"
            + (f", driven by {as_text(carrier)})" if carrier else ")")
            for gene, mean, low, high, carrier in zip(
                *(top[name] for name in ("gene", "beta_mean", "beta_hdi_low", "beta_hdi_high")),
                carriers,
                strict=True,
            )
        ]
        more = f" and {len(genes) - len(top):,} more" if len(genes) > len(top) else ""
        if named:
            called += [f"{DIRECTIONS[call].capitalize()}: {', '.join(named)}{more}.", ""]
    lines = [
        # The links first: the fold of MLflow's page covers what comes later.
        f"{describe_answer(results.effects)} {pages}",
        "",
        f"Verdict: **{as_text(describe_verdict(verdict))}**",
        "",
        *called,
        as_text(describe_question(results)),
        "",
        *(f"- {as_text(sentence)}" for sentence in describe_confidence(results)),
        *(f"- {as_text(reason)}" for reason in verdict.reasons),
        *(f"- note: {as_text(note)}" for note in verdict.notes),
    ]
    if results.origin is not None:
        lines += ["", f"Sampled by {results.origin.imported_from} and imported."]
    return "\n".join(lines)
