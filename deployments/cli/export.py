"""The command `screenbayes export`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from deployments.cli.exit_codes import DONE
from deployments.cli.options import RUN_NAMES, require_named


def export(
    run: str,
    *,
    out: Path,
    dataset: str = "",
    draws: bool = True,
    tables_only: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write the tables, the posterior and the pictures of a fit into a folder.

    Exports a comparison, a calibration or a permutation trial by the id of its run.

    Parameters
    ----------
    run
        The fit: the id of its run or the first characters of it, latest, champion, challenger, or a
        release (its newest fit).
    out
        Empty or new folder to write into.
    dataset
        Name of the dataset; needed if the store has several and the fit is not named by id.
    draws
        Whether to write posterior.nc, by far the largest file.
    tables_only
        Write the tables (CSV and Parquet) and run.json alone.
    """
    from tasks.runtime.files import require_empty
    from tasks.tracking.export import export_run
    from tasks.tracking.find import run_id_of

    require_named(RUN_NAMES, run)
    require_empty(out)  # before asking MLflow
    files = export_run(run_id_of(run, dataset), out, draws=draws, tables_only=tables_only)
    size = sum(file.stat().st_size for file in files)
    paths = [file.relative_to(out.resolve()) for file in files]
    folders = Counter(path.parts[0] for path in paths if len(path.parts) > 1)
    names = [path.name for path in paths if len(path.parts) == 1]
    names += [f"{folder}/ ({n} files)" for folder, n in folders.items()]
    Console().print(
        f"{len(files)} files, {size / 1e6:.1f} MB, in [bold]{escape(str(out))}[/]: "
        + ", ".join(map(escape, names)),
        soft_wrap=True,
    )
    return DONE
