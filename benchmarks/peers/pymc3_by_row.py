"""A peer in its own process: pymc3 3.9.3 on the original's model, one term a measurement.

Runs under Python 3.8 in an environment of its own (`benchmarks/pymc3-requirements.txt`), so it
imports nothing of ours. `python pymc3_by_row.py FOLDER`; what is read and written:
`benchmarks.peers`. The model and its priors: docs/models.md.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pymc3 as pm  # type: ignore[import-not-found]  # not in the environment of the project


def build(rows, zero_mean):  # type: ignore[no-untyped-def]
    """Return the model of the rows gene, cell_line (codes), rna, logfc."""
    gene, line = rows["gene"].to_numpy(), rows["cell_line"].to_numpy()
    with pm.Model() as model:
        mu_alpha = pm.Normal("mu_alpha", 0, 2)
        mu_gamma = 0 if zero_mean else pm.Normal("mu_gamma", 0, 2)
        mu_beta = pm.Normal("mu_beta", 0, 1)
        sigma_alpha = pm.Exponential("sigma_alpha", 1)
        sigma_gamma = pm.Exponential("sigma_gamma", 1)
        sigma_beta = pm.Exponential("sigma_beta", 1)
        alpha = pm.Normal("alpha_g", mu_alpha, sigma_alpha, shape=gene.max() + 1)
        gamma = pm.Normal("gamma_c", mu_gamma, sigma_gamma, shape=line.max() + 1)
        beta = pm.Normal("beta_g", mu_beta, sigma_beta, shape=gene.max() + 1)
        sigma = pm.Exponential("sigma", 1)
        mean = alpha[gene] + gamma[line] + beta[gene] * rows["rna"].to_numpy()
        pm.Normal("logfc", mean, sigma, observed=rows["logfc"].to_numpy())
    return model


def main(folder):  # type: ignore[no-untyped-def]
    """Sample the model of the rows in `folder` as its job says; write the times and the draws."""
    job = json.loads((folder / "job.json").read_text())
    rows = pd.read_csv(str(folder / "rows.csv"))
    start = time.perf_counter()
    with build(rows, zero_mean=job["model"] == "m4_zero_mean") as model:
        trace = pm.sample(
            job["draws"],
            tune=job["tune"],
            chains=job["chains"],
            cores=min(job["chains"], os.cpu_count() or 1),
            random_seed=job["seed"],
            return_inferencedata=False,
            compute_convergence_checks=False,
            progressbar=False,
        )
    whole = time.perf_counter() - start
    names = [variable.name for variable in model.unobserved_RVs]
    draws = {
        name: np.stack(trace.get_values(name, combine=False))
        for name in names
        if not name.endswith("__")  # the transformed ones
    }
    np.savez(str(folder / "draws.npz"), **draws)  # type: ignore[arg-type]
    result = {
        "seconds_whole": whole,
        "seconds_fit": [trace.report.t_sampling],
        "version": pm.__version__,
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
