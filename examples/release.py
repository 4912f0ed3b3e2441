# %% [markdown]
# # A real release: from tables to the story of a gene
#
# Which genes do cell lines need more where they express them more? The tables are those of a DepMap
# release in one folder ([which ones](../docs/real-release.md)); set `SCREENBAYES_RELEASE` to it.

# %%
import os

import arviz as az

import screenbayes as sb

# %% [markdown]
# ## The tables
#
# A release folder has tables under their published names. All their problems are reported together.

# %%
release = os.environ.get("SCREENBAYES_RELEASE", "/data/depmap/24Q4")
dataset = sb.Dataset(name="avana", release="24Q4", library="Avana", folder=release)
found = sb.validate(dataset)
found

# %%
assert found.passed, found.report.errors

# %% [markdown]
# ## The fit
#
# The default model, `m4_screen`, knows guides, replicates, noisy lines and genes, and copy number.
# A sample takes a minute, a whole release half an hour. If the store has this fit, it is returned.

# %%
fit = sb.fit(dataset)
fit

# %% [markdown]
# ## The called genes
#
# `negative`: the more a line expresses the gene, the more it depends on it.

# %%
columns = ["gene", "call", "beta_mean", "beta_hdi_low", "beta_hdi_high", "call_error"]
called = fit.effects[fit.effects["call"].isin(["negative", "positive"])]
called[columns].head(20)

# %%
strongest = called["gene"].head(10).tolist()
az.plot_forest(
    fit.posterior, var_names=["beta_g"], coords={"gene": strongest}, combined=True, labels=["gene"]
)

# %% [markdown]
# ## Can they be believed?
#
# The verdict and its reasons; calls that rest on one cell line, or that copy number carries.

# %%
fit.verdict

# %%
flags = [name for name in ("carried_by_one_line", "carried_by_copy_number") if name in called]
called[flags].sum()

# %% [markdown]
# ## The story of one gene

# %%
story = fit.gene(strongest[0])
story

# %%
story.story.by_rna  # mean log fold change in fifths of the cell lines, by RNA

# %% [markdown]
# All genes can be clicked through in the gene explorer:

# %%
fit.explorer
