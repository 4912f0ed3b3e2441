"""`screenbayes simulate` writes what can be validated, and names an option out of bounds."""

from __future__ import annotations

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT, DONE


def test_what_is_simulated_is_valid(tmp_path, capsys):
    out = tmp_path / "screen"
    options = ["--genes", "12", "--cell-lines", "7", "--guides", "3", "--replicates", "2"]
    assert main(["simulate", *options, "--missing", "0.1", "--out", str(out)]) == DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "36 guides of 12 genes x 14 sequences of 7 cell lines" in shown
    report = tmp_path / "[/b]"  # markup where it is printed
    assert main(["validate", str(out / "dataset.yaml"), "--out", str(report)]) == DONE
    assert "[/b]/validation.json" in capsys.readouterr().out.replace("\n", "")


def test_an_option_out_of_bounds_is_named(tmp_path, capsys):
    out = tmp_path / "screen"
    assert main(["simulate", "--cell-lines=4", "--out", str(out)]) == BAD_INPUT
    error = " ".join(capsys.readouterr().err.split())
    assert "--cell-lines: should be greater than or equal to 5, got 4" in error
    assert not out.exists()
