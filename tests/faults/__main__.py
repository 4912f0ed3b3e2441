"""Writes docs/faults.md from the marks of the tests: `python -m tests.faults`."""

import sys

import pytest

from tests.faults.catalogue import PAGE, made_by, page


class Writer:
    """A plugin of pytest that writes the page once the tests are collected."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        PAGE.write_text(page(made_by(session.items)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(pytest.main(["--collect-only", "-qq", "-n", "0", "tests"], plugins=[Writer()]))
