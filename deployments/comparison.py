"""The command `screenbayes compare`. What is compared, and how, is `flows.compare_runs`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from deployments.environment import embedded_server_may_die
from deployments.exit_codes import DONE
from deployments.options import RUN_NAMES, OptionError, require_named
from schemas.comparison import ComparisonSettings

DEFAULTS = ComparisonSettings()


def compare(
    run_a: str,
    run_b: str,
    *,
    dataset: str = "",
    practical_difference: float = DEFAULTS.practical_difference,
    lfsr: float = DEFAULTS.lfsr_max,
    attribute: bool = DEFAULTS.attribute,
    out: Path | None = None,
) -> int:
    """Compare two fits in MLflow: data, parameters, genes, hits.

    Parameters
    ----------
    run_a
        The earlier fit, or the one to compare with: the id of its run, latest, champion,
        challenger, or a release, whose newest fit is taken.
    run_b
        The other fit, named likewise; differences are this one less the other.
    dataset
        Of which dataset; needed where fits are not named by ids and there are several.
    practical_difference
        A slope that moves by more than this, log fold change per SD of RNA, has changed.
    lfsr
        Genes with a local false sign rate of at most this are hits.
    attribute
        Whether to fit what both have in common (up to five more fits), to say whether a difference
        comes from other cell lines, from new data of the same lines, or from the settings.
    out
        Folder for the tables, comparison.* (by gene) and cell_lines.*; they are in MLflow too.
    """
    from deployments.terminal import progress_bars
    from tasks.out_files import require_folder, write_whole
    from tasks.progress import tell
    from tasks.render_comparison import comparison_markdown

    require_named(RUN_NAMES, run_a, run_b)
    if not (practical_difference > 0 and 0 < lfsr < 1):
        raise OptionError(
            "expected --practical-difference above 0 and --lfsr between 0 and 1, got "
            f"{practical_difference} and {lfsr}"
        )
    settings = ComparisonSettings(
        practical_difference=practical_difference, lfsr_max=lfsr, attribute=attribute
    )
    if out is not None:
        require_folder(out)  # before anything is computed
    with progress_bars(Console(stderr=True)):
        tell("Starting Prefect")
        from flows.compare_runs import compare_runs

        with embedded_server_may_die():
            outcome = compare_runs(run_a, run_b, settings, dataset)
    console = Console()
    found = outcome.found
    console.print(Markdown(comparison_markdown(found.comparison, found.genes)))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        tables = found.tables()
        for name, content in tables.items():
            write_whole(out / name, content)
        console.print(f"Written to {escape(str(out))}: {', '.join(tables)}")
    console.print(f"[bold]Look at it:[/bold] {escape(outcome.where_to_look)}", soft_wrap=True)
    return DONE
