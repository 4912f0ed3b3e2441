"""The compose file as it is read; its commands run in `integration/test_compose`."""

import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deployments"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(TEXT)["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (FOLDER / "example.env").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def test_every_setting_is_in_the_example_with_its_default_and_secrets_have_none():
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == set(EXAMPLE)
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    shown = {name: EXAMPLE[name] for name in defaults if name != "SCREENBAYES_PREFIX"}
    assert shown.items() <= defaults.items()
    for name in ("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert EXAMPLE[name] == "" and not re.search(rf"\$\{{{name}(:-|-|\}})", TEXT)


def test_ports_are_on_loopback_and_keys_with_who_needs_them():
    ports = [str(port) for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    secret = "AWS_SECRET_ACCESS_KEY"
    holders = {name for name, one in SERVICES.items() if secret in str(one.get("environment"))}
    assert holders == {"mlflow", "worker", "minio"}


def test_the_image_holds_every_package_and_no_secret():
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    for package in ("schemas", "model", "tasks", "flows", "deployments"):
        assert f"COPY {package} {package}" in dockerfile
    assert "--require-hashes" in dockerfile and "USER screenbayes" in dockerfile
    ignored = (FOLDER.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {"*", "deployments/*.env"} <= set(ignored)
