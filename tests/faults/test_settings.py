"""Dataset files, settings and options that cannot be used: refused before anything is written."""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.faults.catalogue import Area, Left, marks, variants

_, bad, trouble = marks(Area.SETTINGS)
bad = partial(bad, left=Left.AS_BEFORE)
HEAD = "name: a\nlibrary: b\nlogfc: c.csv\n"
REST = "release: b\nlibrary: c\nlogfc: d.csv\n"
BILLIONS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
ALIAS = "an anchor or alias (& or *)"
LETTERS = "expected letters, digits, blanks and any of _.+-"
NAMES = ("a/b", "..", "a\\nb", "  ", "", "<script>alert(1)</script>", "[red]a", "=1+1")
# fmt: off
DATASETS = (
    (bad("an invalid dataset file", "dataset.yaml"), (
        (None, "there is none"),
        ("", "expected keys and values, got nothing"),
        ("- a\n", "expected keys and values"),
        ("name: [", "expected YAML, got on line 1"),
        (b"name: \xff", "save it as UTF-8"),
        (f"{HEAD}---\na: b\n", "another document"),
        (f"{HEAD}release: 1\nname: b\n", "the key 'name' twice"),
        ("a,b\n" * 500_000, "is it a table?"))),
    (bad("a few lines that expand to gigabytes"), (
        (BILLIONS, ALIAS), ("&a [*a]", ALIAS), ("[" * 5000, "levels"))),
    (bad("a YAML tag that would run code", "os.system"), (
        (f"{HEAD}release: !!python/object/apply:os.system ['touch ran']\n", "a constructor"),)),
    (bad("an unknown or missing key"), (
        (f"{HEAD}release: b\nlogfcs: d.csv\n", "did you mean `logfc`?"),
        ("name: a\nrelease: b\nlibrary: c\n", "expected `logfc` (a table) or `folder`"))),
    (bad("a missing release folder", "correct the path"), (
        ("name: a\nrelease: b\nlibrary: c\nfolder: nowhere\n", "nowhere"),)),
    (bad("a release that is not text"), (
        (f"{HEAD}release: 2024-01-01\n", "(date); write it in quotes"),
        (f"{HEAD}release: 2024-99-99\n", "expected YAML, got: month must be in 1..12"),
        (f"{HEAD}release: 25\n", "release: expected text, got 25 (int); write it in quotes"),
        (f"{HEAD}release: null\n", "release: expected text, got nothing"))),
    (bad("a name with unsafe characters"), (
        *((f'{REST}name: "{name}"', LETTERS) for name in NAMES),
        (f'{REST}name: "\\e[31m"', r"\x1b[31m"),
        (f"{REST}name: {'x' * 300}", "at most 100 characters"))),
)
SETTINGS = (
    (bad("an invalid settings file", "settings.yaml"), (
        (None, "No such file"),
        (b"\xff\xfe\0", "expected text in UTF-8"),
        ("- a", "expected `name: value` lines in"),
        ("'x", "expected YAML, got on line 1"),
        ("seed: 1\nseed: 2", "the key 'seed' twice"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        (BILLIONS, ALIAS))),
    (bad("a pipe or folder as settings file", "expected a YAML file"), (
        (os.mkfifo,), (Path.mkdir,))),
    (bad("an unknown setting"), (
        ("sampling: {drawz: 100}", "there is no such setting; did you mean draws?"),
        ("model: m5", "'m4_nested' or 'm4_screen', got 'm5'"),
        ("sampling: 3", "sampling: expected `name: value` lines, got 3"),
        ("filters: {genes: ['']}", "filters.genes.0"),
        ("filters: {genes: []}", "filters.genes: expected at least"),
        ("filters: {cell_lines: }", "filters.cell_lines: expected at least"),
        ("filters: {lineages: ''}", "filters.lineages: expected at least"))),
    (bad("a setting out of bounds", "should be"), (
        ("sampling: {draws: many}", "--draws: should be a valid integer"),
        ("sampling: {draws: 1000000000000}", "less than or equal to 1000000"),
        ("sampling: {draws: .inf}", "--draws: should be a finite number"),
        ("seed: -1", "--seed: should be greater than or equal to 0"),
        ("preparation: {min_rna_sd: .nan}", "min_rna_sd: should be"),
        ("contract: {max_abs_logfc: .inf}", "max_abs_logfc: should be a finite"))),
    (bad("an invalid prior", "priors."), (
        ("priors: {mu_beta: \"__import__('os')\"}", "priors.mu_beta: expected Normal"),
        ("priors: {mu_beta: 'Cauchy(0, 1)'}", "expected Normal(mean, sd)"),
        ("priors: {mu_beta: {family: Normal, arguments: [0, .inf]}}", "Normal(mean, sd)"),
        ("priors: {mu_beta: 'Normal(0, one)'}", "expected numbers in"),
        ("priors: {sigma: 'Exponential(1, 2)'}", "Exponential takes 1 number(s), got 2 in"),
        ("priors: {mu_beta: 'Normal(0, 0)'}", "the last above zero"),
        *((f"priors: {{mu_beta: 'Normal({numbers})'}}", "expected finite numbers")
          for numbers in ("nan, 1", "-inf, 1", "0, inf")),
        ("priors: {mu_beta: 'HalfNormal(1)'}", "a mean takes a Normal prior, got HalfNormal(1)"),
        ("priors: {sigma: 'Normal(0, 1)'}", "a standard deviation takes"))),
)
FOLDERS = (
    (bad("`--out` is a file", "is a file"), (
        ("validate SCREEN --out file", "name another"), ("simulate --out file",),
        ("export latest --out file",), ("calibrate --out file",))),
    (bad("`--out` is not empty", "holds mine.txt"), (
        ("simulate --out folder", "expected an empty folder"), ("export latest --out folder",))),
    (trouble("`--out` is below a file", "Not a directory"), (
        ("validate SCREEN --out file/folder", "check the path"),)),
)
# fmt: on


def written(path: Path, content) -> Path:
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("content", "told"), variants(DATASETS))
def test_a_dataset_file_is_refused(content, told, command):
    command("validate", written(command.folder / "dataset.yaml", content), told=told)


@pytest.mark.parametrize(("content", "told"), variants(SETTINGS))
def test_settings_are_refused(content, told, screen, command):
    path = written(command.folder / "settings.yaml", content)
    command("validate", screen, "--parameters", path, told=told)


@pytest.mark.parametrize(("words", "told"), variants(FOLDERS))
def test_a_folder_that_cannot_be_written_into(words, told, screen, command):
    (command.folder / "file").write_text("mine")
    (command.folder / "folder").mkdir()
    (command.folder / "folder" / "mine.txt").write_text("mine")
    command(*words.replace("SCREEN", str(screen)).split(), told=told)
