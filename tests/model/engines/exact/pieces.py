"""The exact engine's pieces put together at one point, on small screens drawn at random."""

import numpy as np
import pandas as pd

from model.engines.exact.blocks import GeneBlock, make_blocks, squares, subtract_effects
from model.engines.exact.collapse import SharedDraws, collapse, gene_effects, pair_ratios
from model.engines.exact.effect_nodes import EffectNodes
from model.engines.exact.marginal import Factored, Marginal
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import ModelName, Priors
from tests.designs import design_from_rows

MODELS: tuple[ModelName, ...] = ("m4", "m4_zero_mean", "m4_nested")
PRIORS = Priors.model_validate({"mu_alpha": "Normal(0.7, 2)", "mu_beta": "Normal(-0.4, 0.5)"})


def random_rows(
    seed: int, n_genes: int = 3, n_lines: int = 4, most_guides: int = 3, most_replicates: int = 3
) -> pd.DataFrame:
    """An unbalanced screen with cells missing; every gene and line is measured."""
    random = np.random.default_rng(seed)
    rna = random.standard_normal((n_genes, n_lines))
    rows = [
        (f"g{gene}", f"c{line}", f"g{gene}/{guide}", rna[gene, line], random.normal(1, 1.3))
        for gene in range(n_genes)
        for guide in range(int(random.integers(1, most_guides + 1)))
        for line in range(n_lines)
        for _ in range(max(int(random.integers(0, most_replicates + 1)), guide == 0))
    ]
    return pd.DataFrame(rows, columns=["gene", "cell_line", "guide", "rna", "logfc"])


class Pieces:
    """The engine's pieces at one point theta, centred at an arbitrary reference."""

    def __init__(
        self, model: ModelName, rows: pd.DataFrame, theta: np.ndarray, priors: Priors = PRIORS
    ):
        random = np.random.default_rng(0)
        self.design = design_from_rows(rows)
        spec = MODEL_SPECS[model]
        blocks = make_blocks(spec, self.design)
        within = self.design.total_sum_of_squares - sum(map(squares, blocks))
        gamma = random.normal(size=len(self.design.cell_lines))
        self.blocks: list[GeneBlock] = [
            subtract_effects(block, random.normal(size=block.reference.shape), gamma)
            for block in blocks
        ]
        self.marginal = Marginal(spec, priors, len(rows), within, gamma)
        self.theta = theta[: len(self.marginal.hyperparameters)]
        self.log_ratios = (self.marginal.to_ratios() @ self.theta)[None]
        self.sums = np.sum([collapse(block, self.log_ratios) for block in self.blocks], axis=0)
        self.factored: Factored = self.marginal.factored(self.theta[None], self.sums)
        self.sd = dict(zip(self.marginal.hyperparameters, np.exp(self.theta), strict=True))

    def means(self) -> dict[str, np.ndarray]:
        """Return the posterior mean of every variable given the standard deviations."""
        n_lines = len(self.design.cell_lines)
        common = self.marginal.draw_common(self.factored, self.theta[None], None)
        gamma, mu = common[:, :n_lines], common[:, n_lines:].T
        draws = SharedDraws(self.log_ratios, np.zeros(1), gamma, mu[:2])
        nodes = EffectNodes(pair_ratios(self.blocks[0], self.log_ratios), None)
        n_genes = len(self.design.genes)
        alpha, beta, delta = np.empty(n_genes), np.empty(n_genes), np.empty(len(self.design.guides))
        for block in self.blocks:
            found = gene_effects(block, draws, nodes, np.random.SeedSequence(0))[:, 0]
            alpha[block.genes], beta[block.genes] = found[:2]
            delta[block.guides] = found[2:]
        return {
            **dict(zip(self.marginal.means, mu, strict=True)),
            "gamma_c": gamma[0] + self.marginal.gamma_reference,
            "alpha_g": alpha,
            "beta_g": beta,
            "delta_k": delta,
        }
