"""A tree that departs from the contract is refused; the digest of draws is of all that counts."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from schemas.posterior import REQUIRED_GROUPS, check_contract, posterior_digest

VARIABLES: dict[str, tuple[str, ...]] = {"sigma": (), "beta_g": ("gene",)}


def draws() -> xr.Dataset:
    return xr.Dataset(
        {
            "sigma": (("chain", "draw"), np.arange(6.0).reshape(2, 3)),
            "beta_g": (("chain", "draw", "gene"), np.arange(12.0).reshape(2, 3, 2)),
        },
        coords={"gene": ["A", "B"]},
    )


def tree(posterior: xr.Dataset, groups: tuple[str, ...] = REQUIRED_GROUPS) -> xr.DataTree:
    return xr.DataTree.from_dict(dict.fromkeys(groups, xr.Dataset()) | {"posterior": posterior})


def test_every_group_is_required():
    check_contract(tree(draws()), VARIABLES)
    for missing in set(REQUIRED_GROUPS) - {"posterior"}:
        there = tuple(group for group in REQUIRED_GROUPS if group != missing)
        with pytest.raises(ValueError, match=rf"posterior contract: expected groups \['{missing}'"):
            check_contract(tree(draws(), there), VARIABLES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.drop_vars("sigma"), "variables ['beta_g', 'sigma'], got ['beta_g']"),
        (lambda one: one.transpose("gene", ...), "beta_g with dims"),
        (lambda one: one.assign(sigma=one["sigma"].astype("float32")), "float64, got float32"),
        (lambda one: one.drop_vars("gene"), "expected labels as coordinate gene"),
    ],
)  # fmt: skip
def test_another_posterior_is_refused(change: Callable[[xr.Dataset], xr.Dataset], words: str):
    with pytest.raises(ValueError) as refused:
        check_contract(tree(change(draws())), VARIABLES)
    assert str(refused.value).startswith("posterior contract: expected ")
    assert words in str(refused.value)


def test_the_digest_is_of_names_shapes_and_values():
    found = hashlib.sha256()
    found.update(b"beta_g (2, 3, 2)\n" + np.arange(12.0).tobytes())
    found.update(b"sigma (2, 3)\n" + np.arange(6.0).tobytes())
    assert posterior_digest(draws()) == found.hexdigest()
    assert posterior_digest(draws().astype(">f8")) == found.hexdigest()
