"""Check the locked packages against the known advisories: `make audit`.

Exit codes: 0 no finding, 1 a finding or an exception that no longer applies, 3 the advisories
cannot be reached and nothing was audited. Exceptions, each with a reason, are in
`audit-exceptions.yaml`. What is installed belongs in the lock, not here.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
CLEAN, FOUND, NOT_AUDITED = 0, 1, 3
FIELDS = {"advisory", "package", "version", "reason"}


@dataclass(frozen=True)
class Excepted:
    """A finding that is accepted, for a reason, in one version of one package."""

    advisory: str
    package: str
    version: str
    reason: str


class BadExceptions(Exception):
    """The file of exceptions says something that does not hold."""


def locked(lock: Path) -> dict[str, str]:
    """Return the version of every package of a lock."""
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock.read_text("utf-8"), re.M
    )
    return {canonicalize_name(name): version for name, version in pins}


def exceptions(path: Path, versions: dict[str, str]) -> list[Excepted]:
    """Return the exceptions; raise BadExceptions for one without a reason or of another version."""
    found = []
    for entry in yaml.safe_load(path.read_text("utf-8")) or []:
        if set(entry) != FIELDS or not all(str(entry[field]).strip() for field in FIELDS):
            raise BadExceptions(f"expected {', '.join(sorted(FIELDS))}, all filled in, got {entry}")
        one = Excepted(**{field: str(entry[field]) for field in FIELDS})
        if versions.get(one.package) != one.version:
            raise BadExceptions(
                f"{one.advisory} is excepted in {one.package} {one.version}, the lock has "
                f"{versions.get(one.package, 'none')}; look again, and correct or delete it"
            )
        found.append(one)
    return found


def audit(lock: Path, service: list[str]) -> list[dict[str, Any]] | str:
    """Return what is known of every package, or, where nothing could be learnt, why."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes"),
        *("--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"),
        *("--vulnerability-service", "osv", *service),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {done.returncode}"
    return packages


def judge(packages: list[dict[str, Any]], excepted: list[Excepted]) -> tuple[int, list[str]]:
    """Return the exit code and what to say, for what is known of every package."""
    lines, allowed = [], {(one.package, one.advisory): one for one in excepted}
    used = set()
    for package in packages:
        for advisory in package.get("vulns", []):
            names = [advisory["id"], *advisory.get("aliases", [])]
            keys = [(package["name"], name) for name in names if (package["name"], name) in allowed]
            if keys:
                used.update(keys)
                lines.append(f"accepted: {' '.join(keys[0])}: {allowed[keys[0]].reason}")
                continue
            fixed = ", ".join(advisory.get("fix_versions", [])) or "none yet"
            lines.append(
                f"FOUND {package['name']} {package['version']}: {' '.join(names)}, fixed in "
                f"{fixed}; move it (`make lock`), or except it with a reason"
            )
    lines += [
        f"FOUND {' '.join(key)} is excepted and no longer known; delete it"
        for key in allowed
        if key not in used
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    found = any(line.startswith("FOUND") for line in lines)
    if found:
        return FOUND, lines
    if skipped or not packages:
        return NOT_AUDITED, [*lines, f"NOT AUDITED: {', '.join(skipped) or 'there is no package'}"]
    return CLEAN, [*lines, f"{len(packages)} locked packages, no advisory stands against them"]


def main(arguments: list[str] | None = None) -> int:
    """Audit the lock and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", type=Path, default=HERE.parent / "requirements.lock")
    parser.add_argument("--exceptions", type=Path, default=HERE / "audit-exceptions.yaml")
    parser.add_argument("--osv-url", help="where to ask for advisories")
    parser.add_argument(
        "--may-be-out-of-reach",
        action="store_true",
        help="say that nothing was audited, and exit with 0, where the advisories are out of reach",
    )
    options = parser.parse_args(arguments)
    say = sys.stderr.write
    try:
        excepted = exceptions(options.exceptions, locked(options.lock))
    except BadExceptions as error:
        say(f"audit: {options.exceptions.name}: {error}\n")
        return FOUND
    known = audit(options.lock, ["--osv-url", options.osv_url] if options.osv_url else [])
    if isinstance(known, str):
        code = NOT_AUDITED
        lines = [f"NOT AUDITED, the advisories cannot be reached: {known}"]
    else:
        code, lines = judge(known, excepted)
    for line in lines:
        say(f"audit: {line}\n")
    return CLEAN if code == NOT_AUDITED and options.may_be_out_of_reach else code


if __name__ == "__main__":
    sys.exit(main())
