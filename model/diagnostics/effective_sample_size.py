"""Effective sample sizes and R-hat of many parameters at once, in array operations.

The definitions are those of Vehtari et al. 2021 (Rank-normalization, folding, and localization: an
improved R-hat, Bayesian Analysis 16) as ArviZ computes them parameter by parameter; a release has a
hundred thousand parameters. Draws are (parameter, chain, draw), with chains split in halves.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft


def split_chains(draws: np.ndarray) -> np.ndarray:
    """Return every chain as two, its halves; the middle draw of an odd number is left out."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[..., :half], draws[..., -half:]], axis=1)


def effective_sample_sizes(draws: np.ndarray) -> np.ndarray:
    """Return the effective sample size of the mean of each parameter (P,).

    Autocorrelations are summed in pairs up to the first that is not positive, each at most as large
    as the one before (Geyer 1992, Practical Markov chain Monte Carlo, Statistical Science 7). The
    number of all draws for a constant parameter, NaN for draws that are not finite.
    """
    _, n_chains, n_draws = draws.shape
    size = n_chains * n_draws
    means = draws.mean(axis=2)
    spectrum = rfft(draws - means[..., None], next_fast_len(2 * n_draws, real=True), axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance = irfft(power, next_fast_len(2 * n_draws, real=True), axis=1)[:, :n_draws] / n_draws
    within = covariance[:, :1] * n_draws / (n_draws - 1)
    total = covariance[:, :1] + (means.var(axis=1, ddof=1)[:, None] if n_chains > 1 else 0.0)
    correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1

    even, odd = (correlation[:, at : 2 * (n_draws // 2) : 2] for at in (0, 1))
    pairs = even + odd
    most = (n_draws - 1) // 2 - 1
    n_pairs = np.minimum(
        np.argmin(np.column_stack([pairs, -np.ones(len(pairs))]) > 0, axis=1), most
    )
    counted = np.arange(pairs.shape[1]) < n_pairs[:, None]
    # Without the second of it, the pair after those improves the sum.
    last, after = (values[np.arange(len(pairs)), n_pairs] for values in (even, pairs))
    time = 2 * np.minimum.accumulate(np.where(counted, pairs, np.inf), axis=1).sum(
        axis=1, where=counted
    )
    time += np.where((last > 0) | (after >= 0), last, 0.0) - 1
    result: np.ndarray = size / np.maximum(time, 1 / np.log10(size))
    result[np.isnan(correlation[:, :2]).any(axis=1)] = np.nan
    result[np.ptp(draws, axis=(1, 2)) < np.finfo(float).resolution] = size
    return result


def potential_scale_reductions(draws: np.ndarray) -> np.ndarray:
    """Return R-hat of each parameter (P,), NaN for a constant one."""
    n_draws = draws.shape[2]
    between = n_draws * draws.mean(axis=2).var(axis=1, ddof=1)
    within = draws.var(axis=2, ddof=1).mean(axis=1)
    result: np.ndarray = np.sqrt((between / within + n_draws - 1) / n_draws)
    return result
