"""What lands under the prefix during a soak, and what has to be fitted of it.

How bytes get into the bucket is `tests.soak.bucket`, whether all was fitted `tests.soak.checks`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from model.simulate import original_screen
from schemas.dataset import Dataset
from schemas.identity import data_digest, fit_key
from schemas.parameters import FitParameters
from tasks.validate import validate

TABLE, DATASET_FILE = "screen.csv", "dataset.yaml"
CHANGE_SD = 0.02
"""SD of the changes from one release to the next, log2: no hit comes or goes."""


@dataclass(frozen=True)
class Place:
    """A release folder under the prefix."""

    dataset: str
    release: str

    @property
    def folder(self) -> str:
        return f"releases/{self.dataset}/{self.release}"


@lru_cache(maxsize=64)
def table(dataset: str, number: int) -> bytes:
    """The simulated screen with the changes of one release: another number, another content."""
    screen = original_screen().measurements.copy()
    seed = int.from_bytes(hashlib.sha256(f"{dataset} {number}".encode()).digest()[:4], "big")
    change = np.random.default_rng(seed).normal(0, CHANGE_SD, len(screen))
    screen["logfc"] = (screen["logfc"] + change).round(6)
    return screen.to_csv(index=False, lineterminator="\n").encode()


def description(place: Place) -> bytes:
    """The dataset file of a release."""
    return yaml.safe_dump(
        {
            "name": place.dataset,
            "release": place.release,
            "library": "simulated",
            "logfc": TABLE,
            "rna_units": "z_score",
        },
        sort_keys=False,
    ).encode()


@lru_cache(maxsize=1024)
def key_of(dataset: str, content: bytes) -> str:
    """The key of the fit of a content, with the settings releases are fitted with."""
    parameters = FitParameters(model="m4")
    with TemporaryDirectory() as folder:
        path = Path(folder) / TABLE
        path.write_bytes(content)
        described = Dataset(
            name=dataset, release="any", library="simulated", logfc=str(path), rna_units="z_score"
        )
        tables = validate(described, parameters).report.tables
    return fit_key(described, data_digest(tables), parameters)


@dataclass
class Prefix:
    """What lies under the prefix, and what lay there before."""

    put: Callable[..., None]
    """Key, content, and whether in parts: writes to the bucket."""
    there: dict[Place, bytes] = field(default_factory=dict)
    """Content by place, of what is sound."""
    places: list[Place] = field(default_factory=list)
    """Every place something was put to."""
    ever: dict[str, Place] = field(default_factory=dict)
    """Place by fit key, of every sound content that was ever there."""
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def next_place(self, dataset: str) -> Place:
        """A place nothing lies at yet."""
        taken = sum(place.dataset == dataset for place in self.places)
        place = Place(dataset, f"{10 + taken}Q4")
        self.places.append(place)
        return place

    def next_content(self, dataset: str) -> bytes:
        """A content that was nowhere before."""
        self.numbers[dataset] += 1
        return table(dataset, self.numbers[dataset])

    def land(self, place: Place, content: bytes, *, in_parts: bool = False) -> None:
        """Put a sound release, the table first, as one should."""
        self.put_table(place, content, in_parts=in_parts)
        self.put_description(place)

    def put_table(self, place: Place, content: bytes, *, in_parts: bool = False) -> None:
        self.put(f"{place.folder}/{TABLE}", content, in_parts=in_parts)
        self.there[place] = content
        self.ever[key_of(place.dataset, content)] = place

    def put_description(self, place: Place) -> None:
        self.put(f"{place.folder}/{DATASET_FILE}", description(place))

    def put_spoiled(self, place: Place, content: bytes) -> None:
        """Put a table that breaks the contract: it is to be refused."""
        self.put(f"{place.folder}/{TABLE}", content)
        self.there.pop(place, None)

    def expected(self) -> dict[str, Place]:
        """Fit key and place of all that lies there and is sound."""
        return {key_of(place.dataset, content): place for place, content in self.there.items()}
