"""Dataset files that cannot be used, and names that would do harm where they are shown."""

from __future__ import annotations

import pytest

from tests.faults.commands import InThisProcess
from tests.faults.texts import LAUGHS, NAMED, bad

HEAD = "name: a\nlibrary: b\nlogfc: c.csv\n"
LETTERS = "expected letters, digits, blanks and any of _.+-"

DATASETS: tuple[tuple[str, str, str | bytes | None, tuple[str, ...]], ...] = (
    (
        "no dataset file of this name",
        "a path at which nothing is",
        None,
        ("dataset.yaml", "there is none"),
    ),
    ("an empty dataset file", "a file of no bytes", "", ("expected keys and values, got nothing",)),
    ("a list for a dataset file", "`- a`", "- a\n", ("expected keys and values",)),
    ("a dataset file that is not YAML", "`name: [`", "name: [", ("expected YAML, got on line 1",)),
    ("a dataset file that is not UTF-8", "a byte of no text", b"name: \xff", ("save it as UTF-8",)),
    ("a table for a dataset file", "2 MB of rows", "a,b\n" * 500_000, ("is it a table?",)),
    ("a few lines that stand for gigabytes", "ten levels of aliases", LAUGHS, (NAMED,)),
    ("a part that holds itself", "`&a [*a]`", "&a [*a]", (NAMED,)),
    ("brackets without end", "5,000 of them", "[" * 5000, ("levels",)),
    (
        "a tag that would run code",
        "`!!python/object/apply:os.system`",
        HEAD + "release: !!python/object/apply:os.system ['touch ran']\n",
        ("could not determine a constructor for the tag", "os.system"),
    ),
    (
        "a key written twice",
        "`name:` twice",
        HEAD + "release: 1\nname: b\n",
        ("the key 'name' twice",),
    ),
    ("two documents in a dataset file", "`---`", HEAD + "---\na: b\n", ("another document",)),
    (
        "an unknown key",
        "`logfcs:`",
        HEAD + "release: b\nlogfcs: d.csv\n",
        ("did you mean `logfc`?",),
    ),
    (
        "a date where a release belongs",
        "`release: 2024-01-01`",
        HEAD + "release: 2024-01-01\n",
        ("release: expected text", "(date); write it in quotes"),
    ),
    (
        "a date that is none",
        "`release: 2024-99-99`",
        HEAD + "release: 2024-99-99\n",
        ("expected YAML, got: month must be in 1..12",),
    ),
    (
        "a number where a release belongs",
        "`release: 25`",
        HEAD + "release: 25\n",
        ("release: expected text, got 25 (int); write it in quotes",),
    ),
    ("a truth where a release belongs", "`release: yes`", HEAD + "release: yes\n", ("got True",)),
    (
        "nothing where a release belongs",
        "`release: null`",
        HEAD + "release: null\n",
        ("release: expected text, got nothing",),
    ),
    (
        "neither table nor folder",
        "no `logfc`",
        "name: a\nrelease: b\nlibrary: c\n",
        ("expected `logfc` (a table) or `folder`",),
    ),
    (
        "a folder that is not there",
        "`folder: nowhere`",
        "name: a\nrelease: b\nlibrary: c\nfolder: nowhere\n",
        ("nowhere; correct the path",),
    ),
    *(
        (
            f"a name that is {what}",
            f"`name: {shown}`",
            f"name: {written}\nrelease: b\nlibrary: c\nlogfc: d.csv\n",
            (told,),
        )
        for what, shown, written, told in (
            ("a path", "a/b", "a/b", LETTERS),
            ("the folder above", "..", "'..'", LETTERS),
            ("of two lines", "a\\nb", '"a\\nb"', LETTERS),
            ("blanks alone", "' '", "'  '", LETTERS),
            ("empty", "''", "''", LETTERS),
            ("a script", "<script>", "<script>alert(1)</script>", LETTERS),
            ("markup of the terminal", "[red]", "'[red]a'", LETTERS),
            ("an escape sequence", "\\e[31m", '"\\e[31m"', r"\x1b[31m"),
            ("a formula", "=1+1", "=1+1", LETTERS),
            ("of 300 characters", "xxx...", "x" * 300, "expected at most 100 characters"),
        )
    ),
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(content, marks=bad(what, made, *told), id=what)
        for what, made, content, told in DATASETS
    ],
)
def test_a_dataset_file_that_cannot_be_used(
    content: str | bytes | None, at_once: InThisProcess
) -> None:
    path = at_once.folder / "dataset.yaml"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert at_once("validate", path).seconds < 20
