"""Names of files that nobody expects, and what is there under a name and is no file."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.exit_codes import BAD_INPUT, DONE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.faults.tables import good_table, naming

NAMES = {
    "blanks and quotes": "a b'c\"d.csv",
    "a line break": "a\nb.csv",
    "letters beyond ASCII, composed": "caf\u00e9.csv",
    "letters beyond ASCII, decomposed": "cafe\u0301.csv",
    "a leading dash": "-rf.csv",
    "placeholders": "{}%s{0}.csv",
    "what rich takes for markup": "[red]x[red].csv",
    "a leading tilde": "~nobody.csv",
    "percent signs and a hash": "a%20b#c?.csv",
    "an asterisk": "*.csv",
    "an escape sequence of terminals": "\x1b[31mred.csv",
    "255 bytes": "x" * 251 + ".csv",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=fault(
                Area.FILES,
                f"a table whose name has {what}",
                made="the sound table, under this name",
                code=DONE,
                told=("is valid: 0 error(s)",),
                left=Left.NO_RUN,
            ),
            id=what,
        )
        for what, name in NAMES.items()
    ],
)
def test_a_table_is_read_under_any_name(name: str, screen: Path, at_once: InThisProcess) -> None:
    (screen.parent / name).write_bytes(good_table(screen))
    at_once("validate", naming(name, screen))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=fault(
                Area.FILES,
                f"no table of a name with {what}",
                made="a dataset file that names it, and nothing there",
                code=BAD_INPUT,
                told=("missing_file", told, "correct the path in the dataset file"),
                left=Left.NO_RUN,
            ),
            id=what,
        )
        for what, name, told in (
            ("what rich takes for markup", "[red]x[red].csv", "[red]x[red].csv: expected a file"),
            ("an escape sequence of terminals", "\x1b[2Jx.csv", r"\x1b[2Jx.csv: expected a file"),
            ("300 characters", "x" * 300 + ".csv", "its name is too long"),
            ("a NUL in it", "a\0b.csv", "its name holds a NUL"),
            ("the home of nobody", "~no-such-user/a.csv", "~no-such-user/a.csv: expected a file"),
        )
    ],
)
def test_a_name_without_a_table_is_told_as_it_is(
    name: str, screen: Path, at_once: InThisProcess
) -> None:
    done = at_once("validate", naming(name, screen))
    assert "\x1b" not in done.out + done.err


def a_socket(path: Path) -> None:
    short = Path(path.name)  # the path of a socket holds a hundred characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
    shutil.move(short, path)


NO_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a pipe": ("mkfifo", os.mkfifo, "there is a pipe"),
    "a socket": ("a socket that was bound there", a_socket, "there is a socket"),
    "a folder": ("mkdir x.csv", Path.mkdir, "there is a folder"),
    "an endless device": (
        "a link to /dev/zero",
        lambda path: path.symlink_to("/dev/zero"),
        "there is a device",
    ),
    "a link to itself": (
        "a link to its own name",
        lambda path: path.symlink_to(path),
        "its links run in a circle",
    ),
    "a link to nothing": (
        "a link to a name where nothing is",
        lambda path: path.symlink_to(path.with_name("none")),
        "there is none",
    ),
}


def in_place_of(place: str, left: Left) -> list[object]:
    return [
        pytest.param(
            make,
            marks=fault(
                Area.FILES,
                f"{what} in place of {place}",
                made=made,
                code=BAD_INPUT,
                told=(told, "correct the path"),
                left=left,
            ),
            id=what,
        )
        for what, (made, make, told) in NO_FILES.items()
    ]


@pytest.mark.parametrize("make", in_place_of("a table", Left.NO_RUN))
def test_what_is_no_file_is_not_opened(
    make: Callable[[Path], object], screen: Path, at_once: InThisProcess
) -> None:
    make(screen.parent / "x.csv")
    assert at_once("validate", naming("x.csv", screen)).seconds < 20


@pytest.mark.parametrize("make", in_place_of("a dataset file", Left.AS_BEFORE))
def test_what_is_no_file_is_no_dataset_file(
    make: Callable[[Path], object], tmp_path: Path, at_once: InThisProcess
) -> None:
    make(tmp_path / "dataset.yaml")
    assert at_once("validate", tmp_path / "dataset.yaml").seconds < 20
