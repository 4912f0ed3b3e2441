"""Whether a screen can tell the parts of a model apart. What is fitted, and how, is elsewhere.

Two standard deviations that enter every measurement together have a posterior, but it is the
prior's: the data know only what they add up to.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.design import ScreenDesign
from schemas.errors import UserError
from schemas.parameters import ModelName


class NotIdentified(UserError):
    """A screen that does not hold what a model asks of it."""


def require_identified(name: ModelName, design: ScreenDesign) -> None:
    """Raise NotIdentified, naming all that the design cannot tell apart under model `name`."""
    problems = list(_nested(design) if name == "m4_nested" else _plain(design))
    if problems:
        mend = "fit more genes or cell lines, or give the single replicates"
        if name == "m4_nested" and not any(_plain(design)):
            mend = "give the screen with what is missing, or take --model m4_zero_mean"
        raise NotIdentified(
            f"{name} cannot be fitted to this screen: {'; '.join(problems)}; {mend}"
        )


def _plain(design: ScreenDesign) -> Iterator[str]:
    if design.gene_count.sum(axis=0).max() < 2:
        yield (
            "sigma and sigma_gamma cannot be told apart: expected several measurements of a cell "
            "line, got at most one of each"
        )
    if design.gene_count.sum(axis=1).max() < 2:
        yield (
            "sigma and sigma_alpha cannot be told apart: expected several measurements of a gene, "
            "got at most one of each"
        )


def _nested(design: ScreenDesign) -> Iterator[str]:
    measured = design.gene_count > 0
    guides_of_cell = np.add.reduceat(design.count > 0, design.first_guide, axis=0, dtype=np.int64)
    if design.count.max() < 2:
        yield (
            "sigma and sigma_guide_line cannot be told apart: expected replicates, several "
            "measurements of a guide in a cell line, got at most one of each"
        )
    if guides_of_cell.max() < 2:
        yield (
            "sigma_guide_line and sigma_gene_line cannot be told apart: expected several guides of "
            "a gene in a cell line, got at most one of each"
        )
    if measured.sum(axis=0).max() < 2:
        yield (
            "sigma_gene_line and sigma_gamma cannot be told apart: expected several genes in a "
            "cell line, got one"
        )
    if measured.sum(axis=1).max() < 2:
        yield (
            "sigma_gene_line and sigma_alpha, sigma_guide_line and sigma_guide cannot be told "
            "apart: expected a gene measured in several cell lines, got one"
        )
