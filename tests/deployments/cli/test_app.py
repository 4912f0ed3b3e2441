"""Options become settings, wrong ones are named, and errors become a line and an exit code."""

import re

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from deployments.cli import app as command_line
from deployments.cli import doctor as command
from deployments.cli.app import _describe_service_error, main
from deployments.cli.exit_codes import BAD_INPUT, DONE, SERVICE_ERROR
from deployments.cli.options import FitOptions
from deployments.server.register import _deployment_file, _settings, shown_dates
from schemas.health import HealthCheck
from schemas.parameters import Filters, FitParameters, Priors, Sampling, Thresholds


def test_options_reach_their_settings_and_win_over_defaults_of_a_command(tmp_path):
    assert FitOptions().fit_parameters() == FitParameters()
    assert FitOptions().fit_parameters(draws=20_000).sampling.draws == 20_000
    (tmp_path / "genes.txt").write_text("\ufeffMYB (4602)\n\n A \r\n", encoding="utf-8")
    genes = ("SOX10, IRF4", f"@{tmp_path / 'genes.txt'}")
    options = FitOptions.model_validate(
        {
            "model": "m4_zero_mean",
            "engine": "nuts",
            "sampling": {"sampler": "pymc", "draws": 100},
            "seed": 7,
            "filters": {"genes": genes, "lineages": ("Skin",)},
        }
    )
    assert options.fit_parameters(draws=20_000) == FitParameters(
        model="m4_zero_mean",
        engine="nuts",
        sampling=Sampling(sampler="pymc", draws=100),
        seed=7,
        filters=Filters(genes=("SOX10", "IRF4", "MYB (4602)", "A"), lineages=("Skin",)),
    )


def test_priors_and_settings_from_files_are_applied_in_turn(tmp_path):
    (tmp_path / "priors.yaml").write_text("sigma: HalfNormal(2)\n")
    (tmp_path / "settings.yaml").write_text(
        "thresholds: {rhat_max: 1.05}\nfilters: {genes: [6663, A]}\n"
        "sampling: {draws: 60}\npriors: as_written\n"
    )
    priors = ("mu_beta=Normal(0, 0.5)", str(tmp_path / "priors.yaml"))
    tuning = Sampling(tune=70)
    options = FitOptions(parameters=tmp_path / "settings.yaml", priors=priors, sampling=tuning)
    changed = {"mu_beta": "Normal(0, 0.5)", "sigma": "HalfNormal(2)"}
    assert options.fit_parameters() == FitParameters(
        thresholds=Thresholds(rhat_max=1.05),
        filters=Filters(genes=("6663", "A")),
        sampling=Sampling(draws=60, tune=70),
        priors=Priors.model_validate(Priors.preset("as_written").model_dump() | changed),
    )
    preset = FitOptions(priors=("mu_beta=Normal(0, 9)", "as_written")).fit_parameters()
    assert preset.priors == Priors.preset("as_written")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "--cell-lines=4", "--out", "out"], "--cell-lines: should be greater than"),
        (["calibrate", "--genes", "1", "--draws", "3"], "got '1' --draws: should be greater"),
        (["fit", "x.yaml", "--drws", "100"], "--drws"),
        (["fit", "x.yaml", "--engine", "exakt"], "exakt"),
        (["fit", "x.yaml", "--target-accept", "3"], "--target-accept: should be less than 1"),
        (["fit", "x.yaml", "--genes", " , "], "--genes: expected at least one name"),
        (["fit", "x.yaml", "--genes", "@no.txt"], "--genes: expected a file of names, cannot read"),
        (["fit", "x.yaml", "--priors", "as_writen"], "expected as_run, as_written, a YAML file"),
        (["fit", "x.yaml", "--priors", "mu_bta=Normal(0, 1)"], "did you mean mu_beta?"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_do(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == BAD_INPUT
    shown = capsys.readouterr()
    assert words in " ".join(shown.err.split()) and "Traceback" not in shown.out + shown.err
    assert not list(tmp_path.iterdir())


def test_what_is_simulated_is_valid(tmp_path, capsys, monkeypatch):
    out = tmp_path / "screen"
    options = ["--genes", "12", "--cell-lines", "7", "--guides", "3", "--replicates", "2"]
    assert main(["simulate", *options, "--missing", "0.1", "--out", str(out)]) == DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "36 guides of 12 genes x 14 sequences of 7 cell lines" in shown
    monkeypatch.chdir(tmp_path)
    assert main(["validate", str(out / "dataset.yaml")]) == DONE
    assert [*tmp_path.iterdir()] == [out]  # nothing is written where it was not asked for
    report = tmp_path / "[/b]"  # markup where it is printed
    assert main(["validate", str(out / "dataset.yaml"), "--out", str(report)]) == DONE
    assert "[/b]/validation.json" in capsys.readouterr().out.replace("\n", "")


def refused(code: int) -> Exception:
    request = httpx.Request("POST", "http://127.0.0.1:4200/api/flow_runs/")
    answer = httpx.Response(code, request=request, json={"exception_message": "of the server"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError("refused", request=request, response=answer)
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), ("memory: there was not enough (", "--draws")),
        (RuntimeError("can't start new thread"), ("memory: there was not enough (", "--draws")),
        (refused(503), ("of the server", "try again later")),
        (refused(422), None),  # a defect of ours
        (RuntimeError("of ours"), None),
    ],
)
def test_service_errors_have_a_remedy(error, words):
    line = _describe_service_error(error)
    assert line is None if words is None else all(word in line for word in words)


def test_only_a_demonstration_with_nuts_needs_many_draws(tmp_path, monkeypatch):
    def fit(dataset, parameters, pictures, on_result):
        raise ZeroDivisionError(parameters.sampling.draws, pictures)

    monkeypatch.setattr(command_line, "_fit", fit)
    monkeypatch.chdir(tmp_path)
    for own, draws in (
        ({}, None),
        ({"engine": "nuts"}, 20_000),
        ({"engine": "nuts", "sampling": {"draws": 500}}, 500),
    ):
        with pytest.raises(ZeroDivisionError, match=rf"\({draws}, 'none'\)"):
            command_line.demo(options=FitOptions.model_validate(own), pictures="none")


SOUND = HealthCheck(what="disk", status="ok", found="[red]plenty[/]")
SLOW = HealthCheck(what="memory", status="warning", found="little", remedy="buy some")
BROKEN = HealthCheck(what="MLflow", status="trouble", found="away", remedy="start it")


@pytest.mark.parametrize(("found", "code"), [([], DONE), ([BROKEN], SERVICE_ERROR)])
def test_trouble_decides_the_exit_code(found, code, monkeypatch, capsys):
    monkeypatch.setattr(command, "run_checks", lambda: [SOUND, SLOW, *found])
    assert main(["doctor"]) == code
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == f"{len(found)} trouble(s), 1 warning(s), 1 ok"
    assert "[red]plenty[/]" in shown and all(one.remedy in shown for one in (SLOW, *found))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PREFECT_API_URL", "", "expected the address of a Prefect server"),
        *(("SCREENBAYES_REFRESH_CRON", cron, f"got {cron!r}; correct it")
          for cron in ("every night", "0 3 * * * *", "0 3 30 2 *", "0 3 31 4,6 *", "3 * *")),
        ("SCREENBAYES_MODEL", "m5", "m4_nested, m4_screen, got 'm5'"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(monkeypatch, capsys, name, value, words):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv(name, value)
    assert main(["deploy"]) == BAD_INPUT
    error = " ".join(capsys.readouterr().err.split())
    assert name in error and words in error


def test_the_next_dates_of_a_schedule_are_shown_with_their_time_zone():
    assert re.fullmatch(r"(\w{3} 29 Feb \d{4} 03:00, ){2}.* \(UTC\)", shown_dates("0 3 29 2 *"))
    assert shown_dates("@yearly").count("01 Jan") == 3


def test_an_empty_setting_has_its_default_and_the_model_is_filled_in(monkeypatch):
    default = _settings()
    assert (default["SCREENBAYES_MODEL"], default["SCREENBAYES_FITS_AT_ONCE"]) == ("m4_screen", "2")
    for name in default:
        monkeypatch.setenv(name, "")
    assert _settings() == default
    monkeypatch.setenv("SCREENBAYES_PREFIX", "s3://bucket/releases")
    refresh = {one["name"]: one for one in _deployment_file()["deployments"]}["refresh-releases"]
    # Filled in from the environment, or its default, when it is deployed.
    assert refresh["parameters"]["parameters"] == {"model": "{{ $SCREENBAYES_MODEL }}"}
