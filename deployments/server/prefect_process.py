"""The process of the embedded Prefect server, run as a script; it imports nothing of ours.

Its argument is the number of an inherited socket that listens already.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading


def serve(number: int) -> None:
    """Answer at the socket of this number until the process that started this one ends."""
    import uvicorn

    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number)])


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # until the other end is closed, however its process ends
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
