"""The command `screenbayes export`. What is written is `tasks.export`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deployments.exit_codes import DONE
from deployments.options import RUN_NAMES, require_named


def export(run: str, *, out: Path, dataset: str = "", draws: bool = True) -> int:
    """Write the tables, the posterior and the pictures of a fit into a folder.

    Also of a comparison or a calibration, by the id of its run.

    Parameters
    ----------
    run
        The fit: the id of its run, latest, champion, challenger, or a release, whose newest fit is
        taken.
    out
        Folder to write into: an empty one, or one that is not there yet.
    dataset
        Of which dataset; needed where the fit is not named by an id and there are several.
    draws
        Whether to write posterior.nc, which is by far the largest file.
    """
    from tasks.export import export_run
    from tasks.named_fits import run_id_of
    from tasks.out_files import require_empty

    require_named(RUN_NAMES, run)
    require_empty(out)  # before anything is asked
    files = export_run(run_id_of(run, dataset), out, draws=draws)
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
