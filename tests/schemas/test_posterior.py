"""A tree that departs from the contract is refused with what was expected and what came."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from schemas.posterior import CONTRACTS, REQUIRED_GROUPS, PosteriorContract, posterior_digest

CONTRACT = PosteriorContract({"sigma": (), "beta_g": ("gene",)})


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


def test_a_tree_that_has_all_is_in_order():
    CONTRACT.check(tree(draws()))


@pytest.mark.parametrize("missing", [group for group in REQUIRED_GROUPS if group != "posterior"])
def test_a_group_that_is_missing_is_named(missing: str):
    there = tuple(group for group in REQUIRED_GROUPS if group != missing)
    with pytest.raises(ValueError, match=rf"^posterior contract: expected groups \['{missing}'\]"):
        CONTRACT.check(tree(draws(), there))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda posterior: posterior.drop_vars("sigma"),
            "expected variables ['beta_g', 'sigma'], got ['beta_g']",
        ),
        (
            lambda posterior: posterior.assign(extra=posterior["sigma"]),
            "expected variables ['beta_g', 'sigma'], got ['beta_g', 'extra', 'sigma']",
        ),
        (
            lambda posterior: posterior.transpose("gene", ...),
            "expected beta_g with dims ('chain', 'draw', *('gene',)), "
            "got ('gene', 'chain', 'draw')",
        ),
        (
            lambda posterior: posterior.assign(sigma=posterior["sigma"].astype("float32")),
            "expected sigma as float64, got float32",
        ),
        (lambda posterior: posterior.drop_vars("gene"), "expected labels as coordinate gene"),
    ],
)
def test_what_departs_is_told(change: Callable[[xr.Dataset], xr.Dataset], said: str):
    with pytest.raises(ValueError) as caught:
        CONTRACT.check(tree(change(draws())))
    assert str(caught.value) == f"posterior contract: {said}"


def test_the_digest_is_of_names_shapes_and_values():
    found = hashlib.sha256()
    found.update(b"beta_g (2, 3, 2)\n" + np.arange(12.0).tobytes())
    found.update(b"sigma (2, 3)\n" + np.arange(6.0).tobytes())
    assert posterior_digest(draws()) == found.hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda posterior: posterior.assign(sigma=posterior["sigma"] + 1e-15),
        lambda posterior: posterior.rename(sigma="sigma_alpha"),
        lambda posterior: posterior.isel(draw=[1, 0, 2]),
        lambda posterior: posterior.drop_vars("sigma"),
    ],
)
def test_other_draws_have_another_digest(change: Callable[[xr.Dataset], xr.Dataset]):
    assert posterior_digest(change(draws())) != posterior_digest(draws())


def test_how_draws_lie_in_memory_is_no_matter():
    other = draws()
    other["beta_g"] = (other["beta_g"].dims, np.asfortranarray(other["beta_g"].to_numpy()))
    assert posterior_digest(other) == posterior_digest(draws())
    assert posterior_digest(draws().astype(">f8")) == posterior_digest(draws())


def test_the_models_have_their_variables():
    groups = {"alpha_g": ("gene",), "gamma_c": ("cell_line",), "beta_g": ("gene",)}
    sds = ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma")
    assert CONTRACTS["m4"].variables == {
        **dict.fromkeys(("mu_alpha", "mu_gamma", "mu_beta", *sds), ()),
        **groups,
    }
    assert CONTRACTS["m4_zero_mean"].variables == {
        **dict.fromkeys(("mu_alpha", "mu_beta", *sds), ()),
        **groups,
    }
    nested = {
        "sigma_guide": (),
        "sigma_gene_line": (),
        "sigma_guide_line": (),
        "delta_k": ("guide",),
    }
    assert CONTRACTS["m4_nested"].variables == CONTRACTS["m4"].variables | nested
