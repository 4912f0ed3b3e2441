"""The command `screenbayes show`: the result of a run, or of one gene, on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.options import RUN_NAMES, OptionError, require_named
from deployments.cli.outcome import VERDICT_COLOURS


def show(run: str = "latest", *, dataset: str = "", gene: str = "") -> int:
    """Print the result of a run in MLflow or, with --gene, what it says about one gene.

    That is its slope with interval, call, rank and flags, and its log fold change by RNA, guide and
    cell line.

    Parameters
    ----------
    run
        The fit: the id of its run or the first characters of it, latest, champion, challenger, or a
        release (its newest fit); a comparison, a calibration or a permutation trial by id.
    dataset
        Name of the dataset; needed if the store has several and the fit is not named by id.
    gene
        A gene of the fit: SYMBOL (ENTREZ), symbol or Entrez number.
    """
    from tasks.reports.fit import result_markdown
    from tasks.tracking.find import run_id_of
    from tasks.tracking.stored_fit import read_stored_fit, side_run_page

    require_named(RUN_NAMES, run)
    run_id, console = run_id_of(run, dataset), Console()
    explorer = ""
    page, where = side_run_page(run_id)
    if page:
        if gene:
            raise OptionError(f"--gene: expected a fit, run {run_id} is none; choose another run")
        console.print(Markdown(page))
    else:
        fit = read_stored_fit(run_id)
        where, explorer = fit.run_location, fit.explorer
        console.print(Markdown(fit.gene(gene).markdown() if gene else result_markdown(fit)))
        name, release = fit.dataset
        console.print(f"\n[bold]Fit:[/bold] {escape(name)} {escape(release)}, {fit.tags['model']}")
        status = fit.verdict.status
        console.print(f"[bold]Verdict:[/bold] [{VERDICT_COLOURS[status]} bold]{status}[/]")
    console.print(f"[bold]MLflow run:[/bold] {run_id}")
    console.print(f"[bold]View it:[/bold] {escape(where)}", soft_wrap=True)
    if explorer:
        console.print(f"[bold]Gene explorer:[/bold] {escape(explorer)}", soft_wrap=True)
    return DONE
