"""Progress bars and result tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from model.screen.labels import is_single
from schemas.formatting import escape_unprintable, format_probability
from schemas.promotion import GateDecision
from schemas.reports import Convergence, PreparationReport, Verdict
from tasks.reports.fit import dominant_group, how_computed
from tasks.runtime.progress import listen

_COLOURS = {"pass": "green", "review": "yellow", "fail": "red"}
_GENES_SHOWN = 10


class _Bars:
    """One bar per stage; log lines scroll above them."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._bars: dict[str, TaskID] = {}

    def log_info(self, text: str) -> None:
        """Print a line above the bars."""
        self._display.console.print(escape(escape_unprintable(text, keep="\n")))

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage."""
        if stage not in self._bars:
            self._bars[stage] = self._display.add_task(stage, total=total)
        self._display.update(self._bars[stage], completed=done, total=total)


@contextmanager
def progress_bars(console: Console) -> Iterator[None]:
    """Show progress and log lines while the block runs; the bars remain visible."""
    with (
        Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as display,
        listen(_Bars(display)),
    ):
        yield


def preparation_line(preparation: PreparationReport) -> str:
    """Return the size of the fitted screen as one line."""
    note = preparation.copy_number_note
    return (
        f"{preparation.n_genes:,} genes x {preparation.n_cell_lines:,} cell lines, "
        f"{preparation.n_guides:,} guides, {preparation.n_measurements:,} measurements"
    ) + (note and f"; {note}")


def exclusions_table(preparation: PreparationReport) -> Table:
    """Return a table of exclusions, with counts, reasons and examples."""
    table = Table(title="Left out", title_justify="left", show_edge=False)
    table.add_column("count", justify="right")
    for column in ("what", "why", "which"):
        table.add_column(column)
    for loss in preparation.losses:
        shown = ", ".join(loss.examples[:4]) + (", ..." if loss.count > 4 and loss.examples else "")
        table.add_row(f"{loss.count:,}", loss.unit, escape(loss.reason), escape(shown))
    return table


def hyperparameter_table(summary: pd.DataFrame) -> Table:
    """Return the rows of `summary.csv` for parameters shared by genes or cell lines."""
    rows = summary[is_single(summary["parameter"])]
    interval = [column for column in summary.columns if column.startswith("hdi")]
    columns = ["parameter", "mean", "sd", *interval, "ess_bulk", "r_hat"]
    table = Table(title="Hyperparameters", title_justify="left", show_edge=False)
    for column in columns:
        _add_column(table, column)
    for row in rows[columns].itertuples(index=False):
        table.add_row(escape(row[0]), *(_number(value) for value in row[1:]))
    return table


def gene_table(effects: pd.DataFrame, n_draws: int) -> Table:
    """Return a table of the genes with the most negative slopes on RNA.

    An lfsr below the resolution of `n_draws` draws is shown as an upper bound.
    """
    rows = effects.nsmallest(_GENES_SHOWN, "beta_mean")
    rows = rows.assign(dominant_group=dominant_group(rows))
    columns = {
        "gene": "gene",
        "call": "call",
        "dominant_group": "driven by",
        "beta_mean": "beta",
        "beta_sd": "SD",
        "beta_hdi_low": "low",
        "beta_hdi_high": "high",
        "lfsr": "lfsr",
    }
    table = Table(
        title=f"Most negative slopes on RNA ({len(rows)} of {len(effects)} genes), with their "
        "89 % intervals",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    # On a narrow terminal only gene names may wrap: a truncated number would be misread.
    table.add_column("gene", overflow="fold")
    for heading in list(columns.values())[1:]:
        table.add_column(
            heading, justify="left" if heading in {"call", "driven by"} else "right", no_wrap=True
        )
    for gene, call, carrier, *betas, lfsr in rows[list(columns)].itertuples(index=False):
        table.add_row(
            escape(gene),
            call,
            escape(carrier),
            *(_number(beta) for beta in betas),
            format_probability(lfsr, n_draws),
        )
    return table


def verdict_lines(verdict: Verdict, convergence: Convergence) -> list[str]:
    """Return the verdict, the engine diagnostics, reasons and notes as lines of rich markup."""
    colour = _COLOURS[verdict.status]
    return [
        f"[bold]Verdict:[/bold] [{colour} bold]{verdict.status}[/]",
        f"  [dim]{escape(how_computed(convergence))}[/]",
        *(f"  [{colour}]because[/] {escape(reason)}" for reason in verdict.reasons),
        *(f"  [yellow]note[/] {escape(note)}" for note in verdict.notes),
    ]


def gate_table(decision: GateDecision) -> Table:
    """Return a table of the conditions of the gate, whether each is met, and why."""
    table = Table(title="The gate", title_justify="left", show_edge=False, show_lines=True)
    for column in ("condition", "met", "what was found"):
        table.add_column(column)
    for condition in decision.conditions:
        met = "[green]yes[/]" if condition.met else "[red bold]no[/]"
        table.add_row(condition.name, met, escape(condition.detail))
    return table


def lost_hits_table(decision: GateDecision) -> Table:
    """Return a table of the lost hits of the champion, in the order of the decision."""
    shown = decision.lost_hits[:_GENES_SHOWN]
    table = Table(
        title=f"Lost hits of the champion ({len(shown)} of {len(decision.lost_hits)})",
        title_justify="left",
        show_edge=False,
    )
    table.add_column("gene", no_wrap=True)
    table.add_column("explained")
    table.add_column("why")
    for hit in shown:
        explained = "yes" if hit.explained else "[red]no[/]"
        table.add_row(escape(hit.gene), explained, escape(hit.why))
    return table


def _add_column(table: Table, name: str) -> None:
    label = name == "parameter"
    table.add_column(name, justify="left" if label else "right", no_wrap=label)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"
