"""The audit and the bill of materials of `.ci/`."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.faults.fake_servers import answering

ROOT = Path(__file__).resolve().parents[1]
REASON = "only of a function nobody here calls"
EXCEPTION = {"advisory": "CVE-1", "package": "numpy", "version": "1.0", "reason": REASON}
ADVISORY = {
    **{"id": "PYSEC-1", "aliases": ["CVE-1"], "summary": "reads what it should not"},
    "affected": [{"package": {"name": "numpy", "ecosystem": "PyPI"}, "versions": ["1.0"]}],
}
sys.path.append(str(ROOT / ".ci"))
audit, sbom = map(importlib.import_module, ("audit", "sbom"))


@pytest.fixture
def run_audit(tmp_path, capsys):
    """Runs the audit of numpy 1.0 and pandas 1.0; returns its exit code and messages."""

    def run(*options: str, exceptions: tuple[dict[str, str], ...] = ()):
        lock, path = tmp_path / "lock", tmp_path / "exceptions.yaml"
        pin = f"==1.0 --hash=sha256:{'0' * 64}\n"
        lock.write_text(f"numpy{pin}pandas{pin}")
        path.write_text(yaml.safe_dump(list(exceptions)))
        code = audit.main(["--lock", str(lock), "--exceptions", str(path), *options])
        return code, capsys.readouterr().err

    return run


def test_finding_fails_the_audit(run_audit):
    with answering(200, json.dumps({"vulns": [ADVISORY]})) as advisories:
        code, messages = run_audit("--osv-url", advisories, "--may-be-out-of-reach")
        assert code == audit.FOUND and "FOUND numpy 1.0: PYSEC-1 CVE-1" in messages
        code, messages = run_audit("--osv-url", advisories, exceptions=(EXCEPTION,))
        assert code == audit.FOUND and "FOUND numpy" not in messages and "FOUND pandas" in messages
        of_both = (EXCEPTION, {**EXCEPTION, "package": "pandas"})
        code, messages = run_audit("--osv-url", advisories, exceptions=of_both)
    assert code == audit.CLEAN and REASON in messages


def test_audit_out_of_reach_is_reported_and_fails_unless_allowed(run_audit, monkeypatch):
    code, messages = run_audit("--osv-url", "http://127.0.0.1:9")
    assert code == audit.NOT_AUDITED and "NOT AUDITED" in messages
    monkeypatch.setattr(audit, "audit", lambda *_: "connection refused")
    code, messages = run_audit("--may-be-out-of-reach")
    assert code == audit.CLEAN and "NOT AUDITED" in messages


def test_bill_of_materials_is_of_the_product_alone():
    names = sbom.needed("screenbayes")
    assert {"mlflow", "prefect", "psycopg-binary"} <= names
    assert not names & {"screenbayes", "pytest", "ruff", "mypy", "moto", "pip-audit"}


def test_bill_of_materials_has_nothing_of_this_machine():
    public = {"type": "vcs", "url": "https://example.org/a"}
    local = {"type": "distribution", "url": "file:///home/somebody/a.whl"}
    a = {"bom-ref": "a==1", "name": "A_b", "externalReferences": [local, public]}
    bill = {
        "metadata": {"component": {"bom-ref": "root"}, "tools": [{"url": "somewhere"}]},
        "components": [a, {"bom-ref": "b==1", "name": "b"}],
        "dependencies": [{"ref": "root", "dependsOn": ["a==1", "b==1"]}, {"ref": "b==1"}],
    }
    assert sbom.of_product(bill, {"a-b"}) == {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{**a, "externalReferences": [public]}],
        "dependencies": [{"ref": "root", "dependsOn": ["a==1"]}],
    }
    with pytest.raises(ValueError, match="not in the environment: gone"):
        sbom.of_product(bill, {"a-b", "gone"})
