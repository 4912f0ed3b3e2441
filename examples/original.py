# %% [markdown]
# # The original notebook, redone
#
# A simulated CRISPR screen of 5 genes in 20 cell lines, with three measurements per gene and line,
# and the model `m4`: log fold change = alpha (gene) + gamma (line) + beta (gene) x RNA + noise.
# Does the fit find the slopes that were simulated?

# %%
import arviz as az
import numpy as np
import pandas as pd

import screenbayes as sb

# %% [markdown]
# ## Simulate
#
# The order of the draws is that of the original, so that the numbers are the same.

# %%
random = np.random.RandomState(103)
alpha, gamma = random.normal(-1, 1, 5), random.normal(0, 3, 20)
beta, rna = random.normal(-1, 2, 5), random.normal(0, 1, 100)
gene, line = np.repeat(range(5), 20), np.tile(range(20), 5)
mean = alpha[gene] + gamma[line] + beta[gene] * rna
screen = pd.DataFrame(
    {
        "gene": np.tile(np.array([*"ABCDE"])[gene], 3),
        "cell_line": np.tile(np.array([f"line {n:02}" for n in line]), 3),
        "rna": np.tile(rna, 3),
        "sgrna_idx": np.repeat(range(3), 100),
        "logfc": random.normal(np.tile(mean, 3), 0.3),
    }
)
screen.head()

# %% [markdown]
# ## Fit
#
# `rna_units="z_score"`: the RNA is in SDs already, and used as it is.

# %%
about = {"name": "original", "release": "seed103", "rna_units": "z_score"}
fit = sb.fit(screen, model="m4", about=about)
fit

# %% [markdown]
# ## The slopes, beside the true ones
#
# Levels of genes and lines are known up to a shift between them; slopes are not affected.

# %%
slopes = fit.effects.set_index("gene")[["beta_mean", "beta_hdi_low", "beta_hdi_high", "call"]]
slopes.sort_index().assign(true=beta)

# %% [markdown]
# ## Diagnostics and predictions, by ArviZ

# %%
az.summary(fit.posterior, var_names=["mu_beta", "sigma_beta", "sigma"])

# %%
az.plot_trace_dist(fit.posterior, var_names=["mu_beta", "sigma_beta", "sigma"])

# %%
az.plot_forest(fit.posterior, var_names=["beta_g"], combined=True)

# %%
az.plot_ppc_dist(fit.posterior)  # means of the gene-line pairs

# %%
az.loo(fit.posterior)

# %% [markdown]
# The story of one gene: slope, call, data by RNA and guide, and the most influential lines.

# %%
fit.gene("B")
