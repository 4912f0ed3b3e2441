"""A finished fit in MLflow whose files are read when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path
from pydantic import TypeAdapter

from model.effects.gene_story import GeneStory, find_gene, gene_story
from model.screen.design import ScreenDesign, design_of
from model.screen.inclusion import InclusionTable
from schemas.parameters import FitParameters
from schemas.reports import (
    Convergence,
    KnownGenes,
    PredictiveCheck,
    PreparationReport,
    Verdict,
)
from schemas.suggestions import SHORTEST_ID
from tasks.reports.fit import result_markdown, run_links
from tasks.reports.gene import gene_markdown
from tasks.runtime.files import temporary_folder
from tasks.tracking.artifacts import (
    CHECKS_FILE,
    DESIGN_FILE,
    EFFECTS_FILE,
    EXPLORER_FILE,
    PARAMETERS_FILE,
    POSTERIOR_FILE,
    PREPARATION_FILE,
    SCREEN_FOLDER,
    SUMMARY_FILE,
)
from tasks.tracking.load import damage_errors, get_run
from tasks.tracking.store import NoSuchFit, existing_store, where_to_find, without_password
from tasks.tracking.ui import NOTE

LINES_FILE = "line_influence.parquet"
KNOWN_GENES_FILE = "known_genes.json"


class Release(NamedTuple):
    """A release of a dataset."""

    name: str
    release: str


class StoredStory(NamedTuple):
    """The story of a gene, and the number of draws behind it."""

    story: GeneStory
    n_draws: int

    def markdown(self) -> str:
        """Return it as a page in Markdown."""
        return gene_markdown(self.story, self.n_draws)

    def _repr_markdown_(self) -> str:
        return self.markdown()


@dataclass(frozen=True, eq=False)
class StoredFit:
    """A finished fit: each part is read from MLflow when it is first asked for.

    Reading raises TrackingError, or DamagedFit if a file is damaged or missing.
    """

    run_id: str
    dataset: Release
    run_location: str
    """Command and address, or address, that show the run in MLflow."""
    metrics: Mapping[str, float]
    """Metrics by name (docs/metrics.md)."""
    tags: Mapping[str, str]
    files: frozenset[str]
    """Files and folders of the run."""
    artifacts: str
    """Address of the files."""

    def __repr__(self) -> str:
        of = " ".join((*self.dataset, self.tags["model"]))
        return f"<fit {self.run_id[:SHORTEST_ID]}: {of}, {self.verdict.status}>"

    def _repr_markdown_(self) -> str:
        """Return the answer, its reasons and hyperparameters, for a notebook."""
        return result_markdown(self, run_links(self.run_location, explorer=bool(self.explorer)))

    @property
    def explorer(self) -> str:
        """Path of the gene explorer on this machine, else its name in the run; empty without."""
        if EXPLORER_FILE not in self.files:
            return ""
        folder = self._local_folder
        return EXPLORER_FILE if folder is None else str(folder / EXPLORER_FILE)

    @property
    def _local_folder(self) -> Path | None:
        """The folder of the files, if it is on this machine."""
        is_local = self.artifacts.startswith(("file:", "/"))
        return Path(local_file_uri_to_path(self.artifacts)) if is_local else None

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row per gene, the most negative slope first (docs/columns.md)."""
        return self._read(EFFECTS_FILE, pd.read_parquet)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per parameter: mean, SD, interval, effective sample size, R-hat."""
        return self._read(SUMMARY_FILE, pd.read_csv)

    @cached_property
    def checks(self) -> pd.DataFrame:
        """One row per predictive check: observed, interval of the replicates, p-value."""
        parse = TypeAdapter(tuple[PredictiveCheck, ...]).validate_json
        checks = self._read(CHECKS_FILE, lambda path: parse(path.read_bytes()))
        return pd.DataFrame([one.model_dump() for one in checks])

    @cached_property
    def verdict(self) -> Verdict:
        """Status (`pass`, `review`, `fail`), reasons and notes."""
        return self._read("verdict.json", _json(Verdict.model_validate_json))

    @cached_property
    def parameters(self) -> FitParameters:
        """All settings of the fit."""
        return self._read(PARAMETERS_FILE, _json(FitParameters.of_run))

    @cached_property
    def preparation(self) -> PreparationReport:
        """What was fitted, and what was excluded and why."""
        return self._read(PREPARATION_FILE, _json(PreparationReport.model_validate_json))

    @cached_property
    def convergence(self) -> Convergence:
        """R-hat, effective sample size and diagnostics of the engine."""
        return self._read("convergence.json", _json(Convergence.model_validate_json))

    @cached_property
    def known_genes(self) -> KnownGenes | None:
        """Agreement with the known expression addictions; None where the dataset lists none."""
        if KNOWN_GENES_FILE not in self.files:
            return None
        return self._read(KNOWN_GENES_FILE, _json(KnownGenes.model_validate_json))

    @cached_property
    def inclusion(self) -> InclusionTable:
        """Every sequence, guide, gene and cell line of the tables, and why it is excluded."""
        names = [table.name for table in fields(InclusionTable)]
        return InclusionTable(
            **{
                name: self._read(f"{SCREEN_FOLDER}/{name}.parquet", pd.read_parquet)
                for name in names
            }
        )

    @cached_property
    def posterior(self) -> xr.DataTree:
        """All groups of draws, in memory, as ArviZ names them: `posterior`, `prior`, and so on.

        Has the group `log_likelihood` by gene-line pair, for `arviz.loo`, also where the run does
        not store it. Data and predictions are the means of these pairs and have its name, `logfc`,
        by which ArviZ finds what belongs together. Large for a large screen.
        """
        # Not above: these take seconds to import.
        from model.prediction.loo import with_log_likelihood

        tree = self._read(POSTERIOR_FILE, _load_tree)
        tree = with_log_likelihood(tree, self.design, self.parameters.sampling.predictive_draws)
        for group in {"posterior_predictive", "observed_data"} & {*tree.children}:
            means = tree[group].to_dataset().drop_vars("within_cell_ss", errors="ignore")
            names = {"cell_mean": "logfc"} if "cell_mean" in means else {}
            tree[group] = xr.DataTree(means.rename(names))
        return tree

    @cached_property
    def design(self) -> ScreenDesign:
        """The fitted screen, as sums by guide and cell line."""
        return self._read(f"{SCREEN_FOLDER}/{DESIGN_FILE}", _load_design)

    def gene(self, name: str) -> StoredStory:
        """Return what the fit says about a gene, given as label, symbol or Entrez number.

        Raises NoSuchGene, which names the closest gene.
        """
        label = find_gene(name, list(self.effects["gene"]))
        design = self._read(f"{SCREEN_FOLDER}/{DESIGN_FILE}", lambda path: _of_gene(path, label))
        by_line = self._read(LINES_FILE, pd.read_parquet) if LINES_FILE in self.files else None
        story = gene_story(label, self.effects, design, by_line)
        return StoredStory(story, self.convergence.n_draws)

    def _read[T](self, name: str, parse: Callable[[Path], T]) -> T:
        """Return the parsed file of the run, which is read in place if it is on this machine."""
        with existing_store() as (client, uri), temporary_folder() as folder:
            with damage_errors(self.run_id, without_password(uri)):
                if folder_here := self._local_folder:
                    return parse(folder_here / name)
            path = client.download_artifacts(self.run_id, name, folder)
            with damage_errors(self.run_id, without_password(uri)):
                return parse(Path(path))


def read_stored_fit(run_id: str) -> StoredFit:
    """Return a finished fit; raise NoSuchFit, NoStore or TrackingError."""
    with existing_store() as (client, uri):
        where = without_password(uri)
        run = get_run(client, run_id, where)
        if run.info.status != "FINISHED" or "fit_key" not in run.data.tags:
            kind = run.data.tags.get("kind", "fit")
            raise NoSuchFit(
                f"expected a finished fit, run {run_id} in MLflow at {where} is a {kind}, "
                f"{run.info.status}; choose another: `screenbayes runs` lists all"
            )
        return StoredFit(
            run_id=run_id,
            dataset=Release(run.data.tags["dataset"], run.data.tags["release"]),
            run_location=where_to_find(uri, run.info.experiment_id, run_id),
            metrics=run.data.metrics,
            tags=run.data.tags,
            files=frozenset(file.path for file in client.list_artifacts(run_id)),
            artifacts=run.info.artifact_uri,
        )


def side_run_page(run_id: str) -> tuple[str, str]:
    """Return the page of a run that is no fit, in Markdown, and where the run is.

    Both are empty for a fit. Raises NoSuchFit, NoStore or TrackingError.
    """
    with existing_store() as (client, uri):
        run: Run = get_run(client, run_id, without_password(uri))
        if "kind" not in run.data.tags:
            return "", ""
        where = where_to_find(uri, run.info.experiment_id, run_id)
        status = f"The run is {run.info.status}."
        return run.data.tags.get(NOTE, status), where


def _json[T](parse: Callable[[str], T]) -> Callable[[Path], T]:
    return lambda path: parse(path.read_text(encoding="utf-8"))


def _load_tree(path: Path) -> xr.DataTree:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def _load_design(path: Path) -> ScreenDesign:
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        return design_of(stored)


def _of_gene(path: Path, gene: str) -> ScreenDesign:
    """Return the design of one gene, reading no other of a large screen."""
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        index = int(np.flatnonzero(stored["gene"].to_numpy() == gene)[0])
        guides = np.flatnonzero(stored["guide_gene"].to_numpy() == index)
        part = stored.isel(gene=[index], guide=slice(int(guides[0]), int(guides[-1]) + 1))
        return design_of(part.assign(guide_gene=("guide", np.zeros(len(guides), np.int64))))
