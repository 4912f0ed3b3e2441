"""Options of the command line become settings of a fit; one that cannot be used is named."""

from __future__ import annotations

import pytest

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT
from deployments.options import FitOptions
from schemas.parameters import Filters, FitParameters, Priors, Sampling, Thresholds


def test_options_reach_their_settings_and_win_over_defaults_of_a_command():
    assert FitOptions().fit_parameters() == FitParameters()
    assert FitOptions().fit_parameters(draws=20_000).sampling.draws == 20_000
    genes = ("SOX10, IRF4", "MYB (4602)")
    options = FitOptions(
        "m4_zero_mean", "nuts", "pymc", 100, seed=7, genes=genes, lineages=("Skin",)
    )
    assert options.fit_parameters(draws=20_000) == FitParameters(
        model="m4_zero_mean",
        engine="nuts",
        sampling=Sampling(sampler="pymc", draws=100),
        seed=7,
        filters=Filters(genes=("SOX10", "IRF4", "MYB (4602)"), lineages=("Skin",)),
    )


def test_priors_and_settings_from_files_are_applied_in_turn(tmp_path):
    (tmp_path / "priors.yaml").write_text("sigma: HalfNormal(2)\n")
    (tmp_path / "settings.yaml").write_text(
        "thresholds: {rhat_max: 1.05}\nfilters:\nsampling: {draws: 60}\npriors: as_written\n"
    )
    priors = ("mu_beta=Normal(0, 0.5)", str(tmp_path / "priors.yaml"))
    options = FitOptions(parameters=tmp_path / "settings.yaml", priors=priors, tune=70)
    changed = {"mu_beta": "Normal(0, 0.5)", "sigma": "HalfNormal(2)"}
    assert options.fit_parameters() == FitParameters(
        thresholds=Thresholds(rhat_max=1.05),
        sampling=Sampling(draws=60, tune=70),
        priors=Priors.model_validate(Priors.preset("as_written").model_dump() | changed),
    )
    preset = FitOptions(priors=("mu_beta=Normal(0, 9)", "as_written")).fit_parameters()
    assert preset.priors == Priors.preset("as_written")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--drws", "100"], "--drws"),
        (["--engine", "exakt"], "exakt"),
        (["--target-accept", "3"], "--target-accept: should be less than 1, got 3.0"),
        (["--genes", " , "], "--genes: expected at least one name"),
        (["--priors", "as_writen"], "expected as_run, as_written, a YAML file"),
        (["--priors", "mu_bta=Normal(0, 1)"], "did you mean mu_beta?"),
        (["--priors", "mu_beta=Normal(0)"], "Normal takes 2 number(s), got 1"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_do(arguments, words, capsys):
    assert main(["fit", "x.yaml", *arguments]) == BAD_INPUT
    shown = capsys.readouterr()
    assert words in " ".join(shown.err.split()) and "Traceback" not in shown.out + shown.err
