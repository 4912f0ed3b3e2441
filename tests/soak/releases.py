"""The releases of a soak: a bucket behind a proxy, what is uploaded, and what has to be fitted."""

import hashlib
from collections import Counter, defaultdict
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import numpy as np
import yaml
from boto3.s3.transfer import TransferConfig

from model.simulation.original import original_screen
from schemas.dataset import Dataset
from schemas.digests import data_digest, fit_key
from schemas.parameters import FitParameters
from tasks.reading.validate import validate
from tests.faults.proxy import Proxy

CHANGE_SD = 0.02
"""SD of the changes from one release to the next, log2: too small for a hit to come or go."""


@cache
def key_of(place: str, content: bytes) -> str:
    """The key of the fit of a content, with the settings that releases are fitted with."""
    parameters = FitParameters(model="m4")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "screen.csv"
        path.write_bytes(content)
        valid = Dataset.model_validate({**described(place), "logfc": str(path)})
        return fit_key(valid, data_digest(validate(valid, parameters).report.tables), parameters)


def described(place: str) -> dict[str, str]:
    _, dataset, release = place.split("/")
    settings = {"library": "simulated", "rna_units": "z_score"}
    return {"name": dataset, "release": release, "logfc": "screen.csv", **settings}


class Releases:
    """Uploads releases past the proxy, and knows which of them have to be fitted.

    A place is a folder, `releases/DATASET/RELEASE`.
    """

    def __init__(self, proxy: Proxy, endpoint: str, bucket: str) -> None:
        self.proxy = proxy
        """What everybody else reads the bucket through."""
        self.sound: dict[str, bytes] = {}
        """The valid content at each place."""
        self.places: dict[str, list[str]] = defaultdict(list)
        """Every place of a dataset."""
        self.ever: dict[str, str] = {}
        """Place of every valid content that was ever uploaded, by fit key."""
        self._endpoint, self._bucket = endpoint, bucket
        self._contents: Counter[str] = Counter()

    def new_place(self, dataset: str) -> str:
        place = f"releases/{dataset}/{10 + len(self.places[dataset])}Q4"
        self.places[dataset].append(place)
        return place

    def new_content(self, dataset: str) -> bytes:
        """The simulated screen with small changes that no content had before."""
        self._contents[dataset] += 1
        name = f"{dataset} {self._contents[dataset]}".encode()
        seed = int.from_bytes(hashlib.sha256(name).digest()[:4], "big")
        screen = original_screen().measurements.copy()
        change = np.random.default_rng(seed).normal(0, CHANGE_SD, len(screen))
        screen["logfc"] = (screen["logfc"] + change).round(6)
        return screen.to_csv(index=False, lineterminator="\n").encode()

    def upload(self, place: str, content: bytes, *, in_parts: bool = False) -> None:
        self.upload_table(place, content, in_parts=in_parts)
        self.upload_description(place)

    def upload_table(self, place: str, content: bytes, *, in_parts=False, valid=True) -> None:
        self._put(f"{place}/screen.csv", content, in_parts)
        self.sound.pop(place, None)
        if valid:
            self.sound[place] = content
            self.ever[key_of(place, content)] = place

    def upload_description(self, place: str) -> None:
        self._put(f"{place}/dataset.yaml", yaml.safe_dump(described(place)).encode())

    def expected(self) -> dict[str, str]:
        """Fit key and place of every valid release under the prefix."""
        return {key_of(place, content): place for place, content in self.sound.items()}

    def _put(self, key: str, content: bytes, in_parts: bool = False) -> None:
        """Upload an object; in parts, the same content has another ETag."""
        config = TransferConfig(multipart_threshold=1 if in_parts else 2**30)
        s3 = boto3.client("s3", endpoint_url=self._endpoint)
        s3.upload_fileobj(BytesIO(content), self._bucket, key, Config=config)
