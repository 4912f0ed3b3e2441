"""Whether a screen identifies the standard deviations of a model.

If two standard deviations enter every measurement together, the data identify only their sum of
squares, and the prior determines the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.screen.design import ScreenDesign
from schemas.errors import UserError
from schemas.model_spec import model_spec
from schemas.parameters import ModelName


class NotIdentified(UserError):
    """A screen that does not identify a model."""


def require_identified(name: ModelName, design: ScreenDesign) -> None:
    """Raise NotIdentified, naming all SDs of model `name` that the design cannot distinguish."""
    spec = model_spec(name, design.covariates)
    by_guide = spec.by_guide
    if by_guide and design.is_gene_level and not any(_plain(design)):
        guide = (spec.guide_effect.sd,) if spec.guide_effect else ()
        dropped = ", ".join((*guide, *spec.pair_sds))
        raise NotIdentified(
            f"{name} cannot be fitted to this screen: {dropped} and {spec.noise_sd} cannot be "
            "distinguished in one value per gene and cell line; use --model m4_zero_mean, which "
            f"has {spec.noise_sd} alone, or provide log fold changes of guides, such as "
            "AvanaLogfoldChange with AvanaGuideMap and ScreenSequenceMap"
        )
    problems = list(_nested(design) if by_guide else _plain(design))
    if problems:
        remedy = "fit more genes or cell lines, or provide the single replicates"
        if by_guide and not any(_plain(design)):
            remedy = "provide the missing measurements, or use --model m4_zero_mean"
        raise NotIdentified(
            f"{name} cannot be fitted to this screen: {'; '.join(problems)}; {remedy}"
        )


def _plain(design: ScreenDesign) -> Iterator[str]:
    if design.gene_count.sum(axis=0).max() < 2:
        yield (
            "sigma and sigma_gamma cannot be distinguished: expected several measurements of a "
            "cell line, got at most one of each"
        )
    if design.gene_count.sum(axis=1).max() < 2:
        yield (
            "sigma and sigma_alpha cannot be distinguished: expected several measurements of a "
            "gene, got at most one of each"
        )


def _nested(design: ScreenDesign) -> Iterator[str]:
    measured = design.gene_count > 0
    guides_of_cell = np.add.reduceat(design.count > 0, design.first_guide, axis=0, dtype=np.int64)
    if design.count.max() < 2:
        yield (
            "sigma and sigma_guide_line cannot be distinguished: expected replicates, several "
            "measurements of a guide in a cell line, got at most one of each"
        )
    if guides_of_cell.max() < 2:
        yield (
            "sigma_guide_line and sigma_gene_line cannot be distinguished: expected several guides "
            "of a gene in a cell line, got at most one of each"
        )
    if measured.sum(axis=0).max() < 2:
        yield (
            "sigma_gene_line and sigma_gamma cannot be distinguished: expected several genes in a "
            "cell line, got one"
        )
    if measured.sum(axis=1).max() < 2:
        yield (
            "sigma_gene_line and sigma_alpha, sigma_guide_line and sigma_guide cannot be "
            "distinguished: expected a gene measured in several cell lines, got one"
        )
