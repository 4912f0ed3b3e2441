"""Where the default store is: the nearest `mlflow.db`. No calls to MLflow."""

from __future__ import annotations

from pathlib import Path

STORE_FILE = "mlflow.db"
"""The default store of `mlflow ui` in its working folder."""


def nearest_store() -> Path:
    """Return the `mlflow.db` of the working folder or of the closest folder above that has one.

    As git finds its repository. Where none has, that of the working folder, which is the default of
    `mlflow ui`; the default of MLflow differs if the path has a space.
    """
    here = Path.cwd()
    found = (folder / STORE_FILE for folder in (here, *here.parents))
    return next(filter(is_file, found), here / STORE_FILE).resolve()


def is_file(path: Path) -> bool:
    """Return whether there is a file; False in a folder that may not be read."""
    try:
        return path.is_file()
    except OSError:
        return False
