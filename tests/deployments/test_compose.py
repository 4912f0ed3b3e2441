"""The compose file, read as what it promises; its commands run in `integration/test_compose`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deployments"
SECRETS = ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def text():
    return (FOLDER / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text):
    return yaml.safe_load(text)["services"]


@pytest.fixture(scope="module")
def example():
    lines = (FOLDER / "example.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_setting_is_in_the_example_and_no_other(text, example):
    named = set(re.findall(r"\$\{(\w+)", text))
    assert named == set(example)


def test_defaults_are_those_of_the_example(text, example):
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    shown = {name: example[name] for name in defaults if name != "SCREENBAYES_PREFIX"}
    assert shown == {name: defaults[name] for name in shown}


def test_no_secret_has_a_value_or_a_default(text, example):
    for name in SECRETS:
        assert example[name] == ""
        assert not re.search(rf"\$\{{{name}(:-|-|\}})", text)


def test_nothing_is_published_but_on_loopback(services):
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports and all(str(port).startswith("127.0.0.1:") for port in ports)


def test_only_who_needs_the_bucket_has_its_keys(services):
    holders = {
        name
        for name, service in services.items()
        if "AWS_SECRET_ACCESS_KEY" in str(service.get("environment"))
    }
    assert holders == {"mlflow", "worker", "minio"}


def test_what_is_waited_for_can_be(services):
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert services[name]["healthcheck"]["test"]


def test_the_image_holds_every_package_and_no_secret():
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    for package in ("schemas", "model", "tasks", "flows", "deployments"):
        assert f"COPY {package} {package}" in dockerfile
    assert "--require-hashes" in dockerfile and "USER screenbayes" in dockerfile
    ignored = (FOLDER.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored and "deployments/*.env" in ignored
