"""Runs `screenbayes` in forks of a process that has done its imports, which take seconds each.

`python -m tests.forks SOCKET PROGRAM` writes PROGRAM, which does what `screenbayes` does: it hands
its arguments, folder, environment and streams to a fork and ends as that does.
"""

import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTED = [
    "deployments.cli.session", "flows.fit_screen", "flows.calibrate", "flows.compare_runs",
    "flows.promote_fit", "model.engines.nuts.sampler", "model.engines.nuts.plain",
    "model.engines.gibbs.sampler", "tasks.reports.html", "tasks.reports.figures",
    "tasks.tracking.log_fit", "tasks.tracking.champion", "tasks.tracking.permutation",
]  # fmt: skip
"""Also what commands import only when they use it."""
PROGRAM = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(call).to_bytes(8)], [0, 1, 2])
    connection.sendall(call)
    sys.exit(int(b"".join(iter(lambda: connection.recv(8), b"")) or -1))
"""


def run_as_command(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command in a fork, as if started with this environment; return its exit code."""
    from prefect.context import refresh_global_settings_context

    from deployments.cli.app import main

    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another
    refresh_global_settings_context()  # were read from the environment of the forked process
    return main(list(words))


def _answer(connection: socket.socket) -> None:
    """Become the command; the other end knows of its end by that of the connection."""
    size, streams, *_ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as stream:
        words, folder, environment = json.loads(stream.read(int.from_bytes(size)))
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.chdir(folder)
    code = run_as_command(words, environment)
    os.write(connection.detach(), str(code).encode())
    sys.exit(code)


def serve(address: str, program: Path) -> None:
    """Write the program and answer it until killed, each call in a fork."""
    for module in IMPORTED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        new = program.with_suffix(".new")
        new.write_text(PROGRAM.format(python=sys.executable, address=address))
        new.chmod(0o755)
        new.rename(program)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
            connection.close()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
