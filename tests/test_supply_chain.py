"""The audit and the bill of materials of `.ci/`: a finding fails, silence is no audit."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HASH = "0" * 64
ADVISORY = {
    "id": "PYSEC-1",
    "aliases": ["CVE-1"],
    "summary": "reads what it should not",
    "affected": [
        {
            "package": {"name": "numpy", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
    ],
}


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


audit, sbom = load("audit"), load("sbom")


@pytest.fixture(scope="module")
def advisories():
    """The address of a server that knows one advisory, against numpy."""

    class Advisories(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = {"vulns": [ADVISORY]} if asked["package"]["name"] == "numpy" else {}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(known).encode())

        def log_message(self, *_: object):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def run(tmp_path, capsys):
    def audited(package: str, *more: str, excepted: Iterable[dict[str, str]] = ()):
        lock, path = tmp_path / "lock", tmp_path / "exceptions.yaml"
        lock.write_text(f"{package} --hash=sha256:{HASH}\n", encoding="utf-8")
        path.write_text(yaml.safe_dump(list(excepted)), encoding="utf-8")
        code = audit.main(["--lock", str(lock), "--exceptions", str(path), *more])
        return code, capsys.readouterr().err

    return audited


def exception(**changed: str) -> dict[str, str]:
    reason = "only of a function nobody here calls"
    known = {"advisory": "CVE-1", "package": "numpy", "version": "1.0", "reason": reason}
    return known | changed


def test_a_finding_fails(run, advisories):
    code, said = run("numpy==1.0", "--osv-url", advisories, "--may-be-out-of-reach")
    assert code == audit.FOUND
    assert "FOUND numpy 1.0: PYSEC-1 CVE-1, mended in 2.0" in said


def test_what_nothing_is_known_against_passes(run, advisories):
    code, said = run("pandas==1.0", "--osv-url", advisories)
    assert code == audit.CLEAN and "1 locked packages, no advisory" in said


def test_silence_is_no_audit(run):
    code, said = run("numpy==1.0", "--osv-url", "http://127.0.0.1:9")
    assert code == audit.NOT_AUDITED and "NOT AUDITED" in said
    code, said = run("numpy==1.0", "--osv-url", "http://127.0.0.1:9", "--may-be-out-of-reach")
    assert code == audit.CLEAN and "NOT AUDITED" in said


KNOWN = {"name": "numpy", "version": "1.0", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]}


def test_an_exception_is_told_with_its_reason():
    code, lines = audit.judge([KNOWN], [audit.Excepted(**exception())])
    assert code == audit.CLEAN and "nobody here calls" in lines[0]


def test_an_exception_that_is_no_longer_known_fails():
    nothing = {"name": "numpy", "version": "1.0", "vulns": []}
    code, lines = audit.judge([nothing], [audit.Excepted(**exception())])
    assert code == audit.FOUND and "no longer known; delete it" in lines[0]


@pytest.mark.parametrize("packages", [[], [{"name": "numpy", "skip_reason": "not found"}]])
def test_what_was_skipped_was_not_audited(packages):
    assert audit.judge(packages, [])[0] == audit.NOT_AUDITED


@pytest.mark.parametrize("changed", [{"version": "2.0"}, {"reason": " "}, {"package": "nump"}])
def test_an_exception_holds_for_one_version_and_has_a_reason(run, changed):
    code, said = run("numpy==1.0", excepted=[exception(**changed)])
    assert code == audit.FOUND and "audit-exceptions" not in said and "exceptions.yaml" in said


def test_the_exceptions_of_the_project_hold():
    versions = audit.locked(ROOT / "requirements.lock")
    assert len(versions) > 200
    audit.exceptions(ROOT / ".ci" / "audit-exceptions.yaml", versions)


def test_the_bill_is_of_the_product_alone():
    names = sbom.needed("screenbayes")
    assert {"mlflow", "prefect", "psycopg-binary"} <= names
    assert not names & {"screenbayes", "pytest", "ruff", "mypy", "moto", "pip-audit"}


def test_the_bill_holds_nothing_of_the_machine():
    bill = {
        "metadata": {"component": {"bom-ref": "root"}, "tools": [{"url": "somewhere"}]},
        "components": [
            {
                "bom-ref": "a==1",
                "name": "A_b",
                "externalReferences": [
                    {"type": "distribution", "url": "file:///home/somebody/a.whl"},
                    {"type": "vcs", "url": "https://example.org/a"},
                ],
            },
            {"bom-ref": "dev==1", "name": "dev"},
        ],
        "dependencies": [
            {"ref": "root", "dependsOn": ["a==1", "dev==1"]},
            {"ref": "dev==1", "dependsOn": ["a==1"]},
        ],
    }
    ours = sbom.of_product(bill, {"a-b"})
    assert "dev" not in json.dumps(ours) and "file:" not in json.dumps(ours)
    assert ours["components"][0]["externalReferences"][0]["url"] == "https://example.org/a"
    with pytest.raises(ValueError, match="not in the environment: gone"):
        sbom.of_product(bill, {"a-b", "gone"})
