"""How the commands of the pages are run: what stands for a place, what cannot be run and why.

Every command of every page is run as it is written but for `PLACES`, or is named in `NOT_RUN`;
`tests.docs.test_pages` fails for one that is in neither. Who runs them is
`tests.docs.reader`.
"""

from dataclasses import dataclass, field

BENCHMARK = "takes minutes, or needs a peer that is not everywhere"
CONTAINERS = "needs Docker; tests/integration/stack.py runs these services as processes"
CLUSTER = "needs a Kubernetes cluster"
SUITE = "is what runs this"

PLACES = {
    "/data/depmap": "{data}",
    # One worker: uvicorn kills those of several that take long to start on a busy machine.
    "mlflow ui": "mlflow ui --port {mlflow} --workers 1",
    # A process of its own: Ctrl-C is for its group.
    "screenbayes serve": "python -m deployments.cli.app serve "
    "--prefect-port {prefect} --mlflow-port {workbench}",
    "--port 5000": "--port {mlflow}",
    "--port 4200": "--port {prefect}",
    "USER@HOST": "postgres@127.0.0.1:{postgres}",
    # A scheduler on this machine in place of the one at this address.
    "--host 10.0.0.5": "--host 127.0.0.1 --port {dask}",
    "tcp://10.0.0.5:8786": "tcp://127.0.0.1:{dask}",
    "--nworkers -1": "--nworkers 2",
    # Pictures take most of the time of a fit of a small screen; `make demo` draws them all.
    "screenbayes fit ": "screenbayes fit --pictures none ",
    "screenbayes demo ": "screenbayes demo --pictures none ",
    "screenbayes import-trace ": "screenbayes import-trace --pictures none ",
    # A small screen of equal lines needs more draws than the release that stands here.
    " --draws 500": "",
    # Smaller versions.
    "--genes 18000 --cell-lines 1100": "--genes 180 --cell-lines 11",
    "--genes 105 --cell-lines 41": "--genes 40 --cell-lines 16",
    "simulate --out screen": "simulate --genes 40 --cell-lines 16 --out screen",
    "--simulations 2000": "--simulations 50",
    "--simulated-model m4_nested": "--simulated-model m4_nested --simulations 50",
    "calibrate --on avana.yaml": "calibrate --on avana.yaml --permutations 2",
}
"""Text of a command or a file: what stands in its place. `{data}` is a folder with simulated
releases, the others are free ports. `FIRST_RUN` and `RUN_OF_...` are runs of the page."""

NOT_RUN = {
    "make test": SUITE,
    "make test-slow": SUITE,
    "python -m pytest -n 0 tests/model/effects/test_gene_effects.py": SUITE,
    "python -m pytest -n 0 tests/model -k influence": SUITE,
    "make check": "continuous integration runs it before this",
    "make format": "changes the checkout",
    "make calibrations": "takes half an hour, and changes the checkout",
    "make lock": "resolves all dependencies anew",
    "make setup": "a clone is linked to the environment that is there; .ci/run begins with it",
    "cp deployments/example.env /etc/screenbayes.env": "writes to /etc",
    "docker compose --env-file /etc/screenbayes.env -f deployments/compose.yaml "
    "up --build --detach": CONTAINERS,
    "docker compose --env-file /etc/screenbayes.env -f deployments/compose.yaml ps": CONTAINERS,
    "prefect work-pool create screenbayes --type kubernetes --base-job-template pool.json": CLUSTER,
    "pip install -r requirements.txt": "changes the environment",
    "python3.8 -m venv ~/.cache/screenbayes/pymc3": "needs a Python 3.8",
    "~/.cache/screenbayes/pymc3/bin/python -m pip install -r benchmarks/pymc3-requirements.txt": (
        "needs a Python 3.8"
    ),
}
"""Command, as written and without its comment: why it is not run."""


@dataclass(frozen=True)
class Walk:
    """What a page needs to be followed from its top to its end."""

    needs: tuple[str, ...] = ()
    """`fits`: two fitted releases and a calibration; `trace`: old.nc; `server`: a Prefect server of
    its own; `stack`: PostgreSQL and a bucket, and the environment of their users; `embedded`: no
    Prefect server, where the others use the one of the tests."""
    exits: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Command: exit codes that are right, where 0 alone is not."""
    before: str = ""
    """Python that stands before the snippets of the page: names they take as given."""


WALKS = {
    "docs/README.md": Walk(),
    "README.md": Walk(("embedded",)),
    "CONTRIBUTING.md": Walk(),
    "docs/tutorial.md": Walk(),
    "docs/real-release.md": Walk(),
    # Whether its calls can be believed is not known beforehand.
    "docs/calibrate.md": Walk(exits={"screenbayes calibrate --on avana.yaml": (0, 1)}),
    "docs/cluster.md": Walk(),
    "docs/compare.md": Walk(("fits",)),
    "docs/import.md": Walk(
        ("trace",),
        before="genes = [f'gene{x}' for x in 'ABCDE']\n"
        "cell_lines = [f'cell{x}' for x in 'ABCDEFGHIJKLMNOPQRST']\n",
    ),
    "docs/mlflow.md": Walk(("fits",)),
    "docs/models.md": Walk(),
    "docs/own-data.md": Walk(("embedded",)),
    "docs/production.md": Walk(("stack",)),
    # Refused: hits of the champion would be lost. Or allowed, where none would.
    "docs/registry.md": Walk(("fits",), exits={"screenbayes promote 24Q2 --dataset avana": (0, 1)}),
    "docs/results.md": Walk(),
    "docs/schedules.md": Walk(("server",)),
    "docs/serve.md": Walk(("embedded",)),
    "docs/settings.md": Walk(),
    "docs/simulate.md": Walk(),
    "docs/validation.md": Walk(),
}
ANALYSIS = {
    "README.md",
    "docs/tutorial.md",
    "docs/real-release.md",
    "docs/results.md",
    "docs/models.md",
    "docs/own-data.md",
    "docs/calibrate.md",
}
"""Pages about fits and their results, about half of all by time."""
"""Pages with commands, in the order of a reader."""

SERVERS = {
    "mlflow ui": "http://127.0.0.1:{mlflow}/health",
    "mlflow server": "http://127.0.0.1:{mlflow}/health",
    "prefect server start": "http://127.0.0.1:{prefect}/api/health",
    "prefect worker start": "Worker",
    "screenbayes serve": "Ctrl-C stops all servers",
    "dask scheduler": "Scheduler at",
    "dask worker": "Registered to",
}
"""Beginning of a command that goes on: the address that answers, or what it says, once it is up."""


def not_run(page: str, command: str) -> str:
    """Return why a command is not run; nothing where it is."""
    if " -m benchmarks." in command:
        return BENCHMARK
    return NOT_RUN.get(command, "")


def server(command: str) -> str:
    """Return the sign by which a command that goes on is known to be up; nothing of others."""
    program = command.removeprefix(".venv/bin/")
    return next((sign for start, sign in SERVERS.items() if program.startswith(start)), "")


def in_place(text: str, places: dict[str, object]) -> str:
    """Return a command or a file with every place as it is here."""
    for written, here in PLACES.items():
        text = text.replace(written, here.format(**places))
    return text
