"""Options of the command line become parameters; what cannot be used is refused kindly."""

from __future__ import annotations

import pytest

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT, DONE
from deployments.options import FitOptions, OptionError
from schemas.parameters import FitParameters, Priors


def test_no_options_are_the_defaults():
    assert FitOptions().fit_parameters() == FitParameters()


def test_options_reach_their_settings():
    options = FitOptions(
        model="m4_zero_mean",
        sampler="pymc",
        draws=100,
        seed=7,
        genes=("SOX10, IRF4", "MYB (4602)"),
        lineages=("Skin",),
    )
    parameters = options.fit_parameters(draws=20_000)
    assert parameters.model == "m4_zero_mean"
    assert (parameters.sampling.sampler, parameters.sampling.draws) == ("pymc", 100)
    assert parameters.seed == 7
    assert parameters.filters.genes == ("SOX10", "IRF4", "MYB (4602)")
    assert parameters.filters.lineages == ("Skin",)


def test_a_command_may_have_defaults_of_its_own():
    assert FitOptions().fit_parameters(draws=20_000).sampling.draws == 20_000


def test_priors_are_applied_in_turn():
    options = FitOptions(priors=("as_written", "mu_beta=Normal(0, 0.5)"))
    priors = options.fit_parameters().priors
    assert str(priors.mu_beta) == "Normal(0, 0.5)"
    assert priors.mu_alpha == Priors.preset("as_written").mu_alpha


@pytest.mark.parametrize("number", ["0.12345678", "2", "1e-05", "1e+20"])
def test_a_prior_reads_back_as_it_was(number):
    priors = FitOptions(priors=(f"mu_beta=Normal(0, {number})",)).fit_parameters().priors
    assert str(priors.mu_beta) == f"Normal(0, {number})"
    assert Priors.model_validate(priors.model_dump(mode="json")) == priors


def test_priors_and_settings_from_files(tmp_path):
    (tmp_path / "priors.yaml").write_text("sigma: HalfNormal(2)\n")
    (tmp_path / "settings.yaml").write_text("thresholds: {rhat_max: 1.05}\nsampling: {draws: 60}\n")
    options = FitOptions(
        priors=(str(tmp_path / "priors.yaml"),), parameters=tmp_path / "settings.yaml", tune=70
    )
    parameters = options.fit_parameters()
    assert str(parameters.priors.sigma) == "HalfNormal(2)"
    assert parameters.thresholds.rhat_max == 1.05
    assert (parameters.sampling.draws, parameters.sampling.tune) == (60, 70)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cannot read"),
        ("- a\n- b\n", "`name: value` lines"),
        ("sampling: [1]\n", "sampling: expected"),
        ("a: [", "expected YAML"),
        ("!!python/object/apply:os.system ['true']", "expected YAML"),
    ],
)
def test_unusable_files_are_told(tmp_path, text, expected):
    path = tmp_path / "settings.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionError, match=expected):
        FitOptions(parameters=path).fit_parameters()


@pytest.mark.parametrize(
    "priors",
    [
        "mu_beta=Exponential(1)",
        "mu_beta=Normal(0)",
        "mu_beta=Normal(0, x)",
        "mu_delta=Normal(0, 1)",
        "sigma=Normal(0, 1)",
        "sigma=Exponential(-1)",
        "sigma=Exponential(inf)",
        "sigma=Cauchy(1)",
    ],
)
def test_impossible_priors_are_refused(priors):
    with pytest.raises(OptionError):
        FitOptions(priors=(priors,)).fit_parameters()


@pytest.mark.parametrize("text", ["sampling:\n", "filters:\n", "priors:\n", "{}\n"])
def test_empty_sections_are_as_good_as_none(tmp_path, text):
    (tmp_path / "settings.yaml").write_text(text)
    assert FitOptions(parameters=tmp_path / "settings.yaml").fit_parameters() == FitParameters()


def test_a_settings_file_may_name_a_preset(tmp_path):
    (tmp_path / "settings.yaml").write_text("priors: as_written\n")
    options = FitOptions(parameters=tmp_path / "settings.yaml", priors=("mu_beta=Normal(0, 0.5)",))
    priors = options.fit_parameters().priors
    assert (str(priors.mu_alpha), str(priors.mu_beta)) == ("Normal(0, 5)", "Normal(0, 0.5)")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "x.yaml", "--draws", "3"],
        ["fit", "x.yaml", "--draws", "many"],
        ["fit", "x.yaml", "--model", "m5"],
        ["fit", "x.yaml", "--drws", "100"],
        ["fit"],
        ["fit", "x.yaml", "--priors", "no-such-file.yaml"],
        ["fit", "x.yaml", "--priors", "sigma=Normal(0, 1)"],
        ["unknown"],
    ],
)
def test_wrong_words_are_bad_input(arguments, capsys):
    assert main(arguments) == BAD_INPUT
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert said.out + said.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"]])
def test_help_is_no_error(arguments, capsys):
    assert main(arguments) == DONE
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--genes", ""], "--genes: expected at least one name"),
        (["--genes", " , "], "--genes: expected at least one name"),
        (["--priors", "as_writen"], "expected as_run, as_written, a YAML file"),
        (["--priors", "mu_bta=Normal(0, 1)"], "did you mean mu_beta?"),
        (["--priors", "sigma=Exponential(-1)"], "the last above zero, got 'Exponential(-1)'"),
        (["--engine", "exakt"], "exakt"),
        (["--target-accept", "3"], "--target-accept: should be less than 1, got 3.0"),
    ],
)
def test_messages_name_the_option_and_the_mend(arguments, expected, capsys):
    assert main(["fit", "x.yaml", *arguments]) == BAD_INPUT
    assert expected in " ".join(capsys.readouterr().err.split())


def test_an_option_for_many_names_needs_one(capsys):
    assert main(["fit", "x.yaml", "--genes"]) == BAD_INPUT
    assert "at least 1" in " ".join(capsys.readouterr().err.split())
