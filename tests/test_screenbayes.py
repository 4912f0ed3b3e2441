"""`import screenbayes`: settings by name, tables in memory as files, progress in a notebook."""

import pandas as pd
import pytest

import screenbayes as sb
from schemas.flat_settings import WrongSetting, with_settings
from screenbayes.progress import NotebookProgress
from tasks.reading.dataset_file import load_dataset
from tasks.write_dataset import dataset_file


def test_settings_are_given_by_their_own_names():
    before = sb.FitParameters(seed=7, sampling=sb.Sampling(draws=100, tune=60))
    found = with_settings(before, {"genes": ["MYB"], "draws": 200})
    assert [found.seed, found.filters.genes, found.sampling.tune] == [7, ("MYB",), 60]
    for wrong, words in (({"drws": 9}, "did you mean draws?"), ({"draws": 1}, "sampling.draws")):
        with pytest.raises(WrongSetting, match=words):
            with_settings(before, wrong)


def test_tables_in_memory_become_a_dataset_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logfc = pd.DataFrame([[0.1 + 0.2, None]], index=["AAAC"], columns=["S1", "S2"], dtype=float)
    dataset = load_dataset(dataset_file({"logfc": logfc, "essential": logfc}))
    for file in (dataset.logfc, dataset.controls.essential):
        pd.testing.assert_frame_equal(pd.read_csv(file, index_col=0), logfc)
    given = sb.Dataset(name="again", release="1", logfc="x.csv", rna="s3://b/r.csv")
    stored = load_dataset(dataset_file(given))
    assert (stored.logfc, stored.rna) == (str(tmp_path / "x.csv"), "s3://b/r.csv")


def test_a_notebook_shows_the_newest_state_of_each_stage():
    shown: list[str] = []
    progress = NotebookProgress(shown.append)
    progress.log_info("Fitting m4")
    progress.progress("sampling", 1, 2000)
    progress.progress("sampling", 2000, 2000)
    assert shown == ["Fitting m4", "Fitting m4\nsampling: 2,000 of 2,000 (100 %)"]
