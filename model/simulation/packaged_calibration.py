"""Calibrations of the standard models that come with the package, and whether they still hold.

`make calibrations` writes them, so that a first promotion does not wait for a calibration. Each
records the code and the libraries that its result depends on: once one of these has changed it
counts no more.
"""

from __future__ import annotations

import ast
import hashlib
import tokenize
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

from schemas.calibration import CalibrationReport, PackagedCalibration
from schemas.formatting import list_first
from schemas.parameters import Priors
from schemas.promotion import CalibrationEvidence

FOLDER = Path(__file__).parent / "calibrations"
ROOT = Path(__file__).parents[2]
ALWAYS = (
    "schemas.model_spec",
    "model.simulation.calibration",
    "model.simulation.calibration_verdict",
)
"""Modules whose own code counts, but not what they import: a calibration would otherwise depend on
every predictive check and every setting."""
LIKELIHOOD = ("linear_predictor", "priors", "spreads")
"""Modules of the likelihood from which screens are simulated."""
UNRELATED = "model.runtime."
"""Progress and executors do not change a posterior."""
LIBRARIES = {"numpy": "numpy", "scipy": "scipy", "numba": "numba", "arviz_stats": "arviz-stats"}
"""Distributions that compute part of a posterior, by package."""
DIGITS = 12
"""Hexadecimal digits of a digest."""
NAMED = 3
"""Largest number of changes that a message names."""


def package_calibration(report: CalibrationReport) -> PackagedCalibration:
    """Return a calibration with the code and the libraries of this installation."""
    sources = source_digests(main_engine(report))
    imported = {name.split(".")[0] for module in sources for name in _imports(module)}
    return PackagedCalibration(
        report=report,
        sources=sources,
        libraries={
            # A patch release of a library corrects errors only.
            distribution: ".".join(version(distribution).split(".")[:2])
            for package, distribution in LIBRARIES.items()
            if package in imported
        },
    )


def read_packaged(model: str, folder: Path = FOLDER) -> PackagedCalibration | None:
    """Return the packaged calibration of a model, or None."""
    path = folder / f"{model}.json"
    if not path.is_file():
        return None
    return PackagedCalibration.model_validate_json(path.read_bytes())


def packaged_evidence(
    model: str, engine: str, settings: Mapping[str, object], folder: Path = FOLDER
) -> CalibrationEvidence | str:
    """Return the packaged calibration of a model by an engine, or why none counts.

    `settings` are the flat settings of the fit: its priors must be those of the calibration.
    """
    release = f"ScreenBayes {version('screenbayes')}"
    packaged = read_packaged(model, folder)
    if packaged is None or main_engine(packaged.report) != engine:
        return f"none is packaged with {release}"
    the_one = f"the one packaged with {release}"
    priors = priors_among(settings)
    calibrated = priors_among(packaged.report.settings.flat())
    if others := [f"{name} {prior}" for name, prior in calibrated.items() if prior != priors[name]]:
        return f"{the_one} has other priors than the fit ({list_first(others, NAMED)})"
    if changed := changes_since(packaged):
        return f"{the_one} is out of date (changed since: {list_first(changed, NAMED)})"
    return CalibrationEvidence(
        packaged_with=release,
        verdict=packaged.report.verdict.status,
        n_simulations=packaged.report.n_simulations,
    )


def changes_since(packaged: PackagedCalibration) -> list[str]:
    """Return the modules and libraries other than those a calibration was computed with."""
    now = package_calibration(packaged.report)
    then_and_now = ((packaged.sources, now.sources), (packaged.libraries, now.libraries))
    return [
        name
        for then, this in then_and_now
        for name in sorted(then.keys() | this.keys())
        if then.get(name) != this.get(name)
    ]


def main_engine(report: CalibrationReport) -> str:
    """Return the engine that computed most simulations."""
    return max(report.engines, key=report.engines.__getitem__)


def priors_among(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the priors among flat settings, by name; a missing one has its default."""
    return {name: str(settings.get(f"priors.{name}", prior)) for name, prior in Priors()}


def source_digests(engine: str) -> dict[str, str]:
    """Return the digest of each module that decides the result of a calibration, by its name."""
    found = set(ALWAYS)
    unread = [f"model.engines.{engine}.sampler", *(f"model.likelihood.{one}" for one in LIKELIHOOD)]
    while unread:
        module = unread.pop()
        if module not in found:
            found.add(module)
            unread += [name for name in _imports(module) if _counts(name)]
    return {module: code_digest(_path(module).read_bytes()) for module in sorted(found)}


def _counts(name: str) -> bool:
    return name.startswith("model.") and not name.startswith(UNRELATED) and _path(name).is_file()


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _imports(module: str) -> Iterator[str]:
    """Yield the modules that a module imports, and `module.name` of every name."""
    for node in ast.walk(ast.parse(_path(module).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def code_digest(source: bytes) -> str:
    """Return the digest of Python code, whatever its comments, docstrings and line breaks."""
    digest = hashlib.sha256()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.tokenize(BytesIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING):
            continue
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            digest.update(tokenize.tok_name[token.type].encode())
        elif token.type != tokenize.NEWLINE:
            statement.append(token)
        else:
            if [one.type for one in statement] != [tokenize.STRING]:
                digest.update("\0".join(one.string for one in statement).encode() + b"\n")
            statement = []
    return digest.hexdigest()[:DIGITS]
