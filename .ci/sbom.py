"""The bill of materials of the product: `make sbom` writes build/sbom.json (CycloneDX).

What the product needs at run time, with versions and licences; what only its development needs and
everything about the machine it was made on are left out. Advisories: `audit.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = "screenbayes"


def needed(product: str) -> set[str]:
    """Return the names of all that a package needs on this platform, itself not included."""
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(product), "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            wanted = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            raise SystemExit(
                f"sbom: {name} is needed and not installed; run `make setup`"
            ) from None
        for one in wanted:
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(one.name), part) for part in ("", *one.extras)]
    return {name for name, _ in seen} - {canonicalize_name(product)}


def described() -> dict[str, Any]:
    """Return the bill of the whole environment."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
        *("--short-PURLs", "--pyproject", str(ROOT / "pyproject.toml"), sys.executable),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def of_product(bill: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the bill of these packages alone; raise ValueError where one of them is missing."""
    components = [one for one in bill["components"] if canonicalize_name(one["name"]) in names]
    missing = names - {canonicalize_name(one["name"]) for one in components}
    if missing:
        raise ValueError(f"not in the environment: {', '.join(sorted(missing))}")
    for one in components:
        # Where a copy came from is of this machine; what it is, is in its name and version.
        references = one.pop("externalReferences", [])
        one["externalReferences"] = [each for each in references if each["type"] == "vcs"]
    kept = {one["bom-ref"] for one in components} | {bill["metadata"]["component"]["bom-ref"]}
    dependencies = [
        {**one, "dependsOn": [each for each in one.get("dependsOn", []) if each in kept]}
        for one in bill["dependencies"]
        if one["ref"] in kept
    ]
    metadata = {"component": bill["metadata"]["component"]}
    return {**bill, "metadata": metadata, "components": components, "dependencies": dependencies}


def main() -> None:
    """Write the bill."""
    bill = of_product(described(), needed(PRODUCT))
    path = ROOT / "build" / "sbom.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"sbom: {len(bill['components'])} packages in {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
