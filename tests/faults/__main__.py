"""Writes docs/faults.md anew from the marks of the tests: `python -m tests.faults`."""

from __future__ import annotations

import sys

import pytest

from tests.faults.catalogue import PAGE, Fault, made_by, page


class Collected:
    """A plugin of pytest that keeps the faults of what it has collected."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.faults = made_by(session.items)


def main() -> int:
    """Collect all tests, write the page; return the exit code of the collection."""
    found = Collected()
    arguments = ["--collect-only", "-qq", "-p", "no:cacheprovider", "-n", "0", "tests"]
    code = pytest.main(arguments, plugins=[found])
    if code == pytest.ExitCode.OK:
        PAGE.write_text(page(found.faults), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
