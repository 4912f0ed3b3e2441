"""Spoil the bytes of files at random and read them: `make fuzz`, for as long as wanted.

Every outcome must be a report, a `UserError` or an `EnvironmentTrouble`. The files are read in
processes of their own with a limit of memory and of time, for what the libraries below do with a
damaged file may end the process. The file that did it is kept, with what came.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import xarray as xr

from deployments.options import FitOptions
from model.preparation import prepare
from schemas.dataset import Dataset
from schemas.errors import EnvironmentTrouble, UserError
from tasks.read_dataset import load_dataset
from tasks.read_trace import read_trace
from tasks.validate import validate
from tests.property.releases import LIBRARY, LOOSE, MATRIX_SUFFIXES, SMALL, release
from tests.property.spoiling import spoil
from tests.spoiled.spoils import SPOILS
from tests.tasks.test_read_trace import groups

SECONDS_PER_FILE = 20
MOST_MEMORY = 3 << 30
"""Bytes a process may take beyond what the libraries take by being imported."""
FILES_PER_PROCESS = 400


def first_files(folder: Path, source: random.Random) -> list[tuple[str, Path]]:
    """Write files of every kind, and return what reads each: (reader, file).

    Of the tables of a release one in each format is spoiled already.
    """
    files = []
    for suffix in MATRIX_SUFFIXES:
        place = folder / suffix.removeprefix(".")
        place.mkdir()
        change = source.choice([one for one in SPOILS if one.anywhere]).change
        of, _ = change(release(share_missing=0.1), source)
        lists = {"guide_map", "sequence_map"} if suffix == ".hdf5" else set()
        of.suffixes.update({name: suffix for name in SMALL if name not in lists})
        dataset = of.write(place)
        files += [("tables", Path(getattr(dataset, name))) for name in SMALL if name not in lists]
    rows = [
        f"G{gene},L{line},{guide},{replicate},{line / 3},{gene - line / 7 + replicate / 9}"
        for gene in range(3)
        for line in range(5)
        for guide in range(2)
        for replicate in range(2)
    ]
    long = "\n".join(["gene,cell_line,sgrna_idx,replicate,rna,logfc", *rows, ""])
    (folder / "long.csv").write_text(long)
    files.append(("long", folder / "long.csv"))
    (folder / "dataset.yaml").write_text(
        "name: small\nrelease: '24Q4'\nlibrary: Avana\nlogfc: csv/logfc.csv\nrna: csv/rna.csv\n"
        "guide_map: csv/guide_map.csv\nsequence_map: csv/sequence_map.csv\n"
        "rna_units: log2_tpm\ncontrols:\n  essential: csv/guide_map.csv\n"
    )
    files.append(("dataset", folder / "dataset.yaml"))
    (folder / "parameters.yaml").write_text(
        "model: m4_nested\nseed: 7\npriors:\n  mu_beta: Normal(0, 0.5)\n  sigma: HalfNormal(1)\n"
        "filters:\n  genes: [G1, '2']\nsampling: {draws: 500, chains: 4}\n"
        "thresholds:\n  ess_min: 100\ncontract: {max_abs_logfc: 12}\n"
    )
    files.append(("parameters", folder / "parameters.yaml"))
    xr.DataTree.from_dict(groups()).to_netcdf(folder / "trace.nc", engine="h5netcdf")
    files.append(("trace", folder / "trace.nc"))
    return files


def read(reader: str, original: Path, spoiled: Path) -> str:
    """Read a spoiled file in the place of its original; return the kind of outcome."""

    def screen(dataset: Dataset) -> str:
        checked = validate(dataset, LOOSE)
        checked.report.model_dump_json()
        if checked.screen is None or checked.statistics is None:
            return "report"
        prepare(checked.screen, checked.statistics, LOOSE, dataset.rna_units)
        return "prepared"

    def tables() -> str:
        suffix = original.name.removeprefix(original.stem.split(".")[0])
        name = original.name.removesuffix(suffix)
        paths = {of: next(original.parent.glob(f"{of}.*")) for of in SMALL} | {name: spoiled}
        given = {of: str(path) for of, path in paths.items()}
        return screen(Dataset(name="small", release="1", library=LIBRARY, **given))

    def dataset() -> str:
        return load_dataset(str(spoiled)).name and "read"

    readers: dict[str, Callable[[], str]] = {
        "tables": tables,
        "long": lambda: screen(Dataset(name="a", release="1", library="L", logfc=str(spoiled))),
        "dataset": dataset,
        "parameters": lambda: str(FitOptions(parameters=spoiled).fit_parameters()) and "read",
        "trace": lambda: str(read_trace(str(spoiled))) and "read",
    }
    try:
        return readers[reader]()
    except UserError:
        return "UserError"
    except EnvironmentTrouble:
        return "EnvironmentTrouble"


def work(folder: Path, first: int, last: int) -> None:
    """Read spoiled files, and name each beforehand: the process may end without a word."""
    files = first_files(folder, random.Random(first))
    with Path("/proc/self/statm").open() as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_MEMORY, taken + MOST_MEMORY))
    for number in range(first, last):
        source = random.Random(number)
        reader, original = source.choice(files)
        content = original.read_bytes()
        if original.suffix == ".gz" and source.random() < 0.5:
            content = gzip.compress(spoil(gzip.decompress(content), source))
        else:
            content = spoil(content, source)
        suffix = original.name.removeprefix(original.stem.split(".")[0])
        spoiled = original.parent / f"spoiled-{number}{suffix}"
        spoiled.write_bytes(content)
        say(json.dumps({"reader": reader, "file": str(spoiled)}))
        signal.alarm(SECONDS_PER_FILE)
        try:
            say(json.dumps({"outcome": read(reader, original, spoiled)}))
            spoiled.unlink()
        except BaseException:
            say(json.dumps({"error": traceback.format_exc()}))
        finally:
            signal.alarm(0)


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run processes one after the other until the time is up; return 1 where one was bad."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--keep", type=Path, default=Path("fuzz-finds"))
    options.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        work(Path(given.work[0]), int(given.work[1]), int(given.work[2]))
        return 0
    ends = time.monotonic() + given.seconds
    counts: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    first = given.seed
    while time.monotonic() < ends:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.property.fuzz_files", "--work", folder]
            command += [str(first), str(first + FILES_PER_PROCESS)]
            asked = {"reader": "none", "file": ""}
            open_question = True
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    came = json.loads(line)
                    open_question = "reader" in came
                    if open_question:
                        asked, first = came, first + 1
                        continue
                    counts[asked["reader"], came.get("outcome", "DEFECT")] += 1
                    if "error" in came:
                        error = came["error"]
                        keep(given.keep, seen, kind_of(error), asked["file"], error)
                    if time.monotonic() > ends:
                        process.terminate()
            if open_question and time.monotonic() < ends:
                counts[asked["reader"], "CRASH"] += 1
                ended = f"process ended with {process.returncode}, {asked['reader']}"
                keep(given.keep, seen, ended, asked["file"], "")
    for (reader, outcome), count in sorted(counts.items()):
        say(f"{reader:12} {outcome:20} {count:8}")
    for what, count in seen.most_common():
        say(f"{count:6} x {what}")
    say(f"{sum(counts.values())} files, from seed {given.seed}; finds are in {given.keep}/")
    return 1 if seen else 0


def kind_of(error: str) -> str:
    """Return the error and the last line of the product that it passed: one kind of defect."""
    lines = error.splitlines()
    here = str(Path.cwd())
    ours = [line.strip() for line in lines if here in line and "site-packages" not in line]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    return f"{(errors or lines)[-1][:120]} at {(ours or ['?'])[-1]}"


def keep(folder: Path, seen: Counter[str], what: str, spoiled: str, error: str) -> None:
    """Keep the first files of each kind of defect."""
    seen[what] += 1
    if seen[what] <= 3:
        folder.mkdir(exist_ok=True)
        shutil.copy(spoiled, folder / Path(spoiled).name)
        (folder / f"{Path(spoiled).name}.txt").write_text(f"{what}\n{error}")


if __name__ == "__main__":
    sys.exit(main())
