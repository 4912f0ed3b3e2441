"""Sums over the guide-line pairs of a screen whose lines and genes differ, compiled.

For guide k of gene g in cell line c, with n measurements of mean m,

    m_kc = gamma_c + s_c (mu_kc + eps_gc + zeta_kc) + noise_c / sqrt(n)
    eps_gc ~ Normal(0, omega_g)         zeta_kc ~ Normal(0, sigma_guide_line)
    noise_c ~ Normal(0, sigma_c)        sigma_c = sigma f_c

In units of the line's scale, e_k = (m_kc - gamma_c) / s_c - mu_kc, the guides of a gene-line pair
have the covariance of `model.likelihood.cell_covariance`, here in absolute units:

    V = diag(w) - c w w',   w_k = n_k / (sigma_guide_line^2 n_k + sigma_c^2 / s_c^2),
    W = sum_k w_k,   r = 1 / (1 + omega_g^2 W),   c = omega_g^2 r

In nearly every pair each guide has as many measurements as the line has replicates: the pair is
complete, and w the same for all its guides and for all genes of the line. Sums over complete pairs
need the mean of the guides of a pair, and one product for each guide; only incomplete pairs, of
which few have measurements, are summed guide by guide. A whole release has 8e7 guide-line pairs and
thousands of passes over them. Every loop over lines is short and writes few arrays: the compiler
makes vector instructions only of those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

# Sums may be reordered, which vector instructions need; NaN and infinity keep their meaning. What
# is compiled is kept until its file changes: only for functions that call none of another file.
summing = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


class Screen(NamedTuple):
    """Counts and means of a screen of G genes, K guides and C lines, and what follows from them.

    The guides of gene g are those from `first[g]` to `first[g + 1]`.
    """

    counts: np.ndarray
    """Measurements by guide and line (K, C)."""
    mean: np.ndarray
    """Mean log fold change by guide and line (K, C), 0 without measurements."""
    first: np.ndarray
    """First guide of each gene, and the number of guides (G + 1,)."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,)."""
    slot: np.ndarray
    """Running number of each guide in its gene (K,)."""
    most_guides: int
    """Largest number of guides of a gene."""
    columns: np.ndarray
    """Columns of the design matrix of the q effects of a gene (G, q, C)."""
    complete: np.ndarray
    """Whether each guide of a gene-line pair has as many measurements as the line has replicates
    (G, C)."""
    pair_mean: np.ndarray
    """Mean over the guides of each complete pair (G, C), else 0."""
    first_incomplete: np.ndarray
    """First incomplete pair of each gene in `incomplete`, and their number (G + 1,)."""
    incomplete: np.ndarray
    """Lines of the incomplete pairs that have measurements, by gene."""
    by_line: np.ndarray
    """REPLICATES to WITHIN_DF of each line (6, C)."""


REPLICATES, PAIRS, GUIDES, BETWEEN_SS, WITHIN_SS, WITHIN_DF = range(6)
"""Of a line: its replicates, complete pairs and their guides, the sum of squares between the guides
of these, and the sum of squares within all guide-line pairs with its degrees of freedom."""


def screen_of(
    count: np.ndarray,
    mean: np.ndarray,
    first: np.ndarray,
    columns: np.ndarray,
    within_ss: np.ndarray,
    within_df: np.ndarray,
) -> Screen:
    """Return a screen from what is measured, the arguments as in `Screen`."""
    n_guides, n_lines = np.diff(first), count.shape[1]
    replicates = np.array(
        [1 + np.bincount(of_line, minlength=2)[1:].argmax() for of_line in count.T]
    )
    complete = np.logical_and.reduceat(count == replicates, first[:-1], axis=0)
    measured = np.logical_or.reduceat(count > 0, first[:-1], axis=0)
    gene, incomplete = np.nonzero(measured & ~complete)
    pair_mean = np.zeros(complete.shape, mean.dtype)
    between_ss = np.zeros(n_lines)
    for g, of_gene in enumerate(np.split(mean, first[1:-1])):
        centre = of_gene.mean(axis=0, dtype=np.float64)
        pair_mean[g] = np.where(complete[g], centre, 0)
        between_ss += np.where(complete[g], ((of_gene - centre) ** 2).sum(axis=0), 0)
    guide_gene = np.repeat(np.arange(len(n_guides)), n_guides)
    pairs = complete.sum(axis=0), n_guides @ complete
    return Screen(
        counts=np.ascontiguousarray(count),
        mean=mean,
        first=first,
        guide_gene=guide_gene,
        slot=np.arange(len(guide_gene)) - first[guide_gene],
        most_guides=int(n_guides.max()),
        columns=columns,
        complete=complete,
        pair_mean=pair_mean,
        first_incomplete=np.searchsorted(gene, np.arange(len(first))),
        incomplete=incomplete,
        by_line=np.array([replicates, *pairs, between_ss, within_ss, within_df], np.float64),
    )


@summing
def gene_sums(
    screen: Screen,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: float,
    gene_line: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'VX (G, p, p) and X'Vy (G, p) of each gene, y = (m - gamma_c) / s_c.

    X has the q columns of the effects of a gene, then one per guide: p = q + `most_guides`. Those
    of guides that a gene does not have stay 0.

    `gamma`, `scale` (s_c) and `noise` (sigma_c^2) are by line, `gene_line` (omega_g^2) by gene.
    """
    n_genes, q, n_lines = screen.columns.shape
    p = q + screen.most_guides
    gram = np.zeros((n_genes, p, p))
    score = np.zeros((n_genes, p))
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    replicates = screen.by_line[REPLICATES]
    w = replicates / (guide_line * replicates + variance)
    w_by_scale = w * by_scale
    weight, wr, wry, y = np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines)
    of_guides = np.zeros((2, screen.most_guides))
    for g in range(n_genes):
        start, n_guides = screen.first[g], screen.first[g + 1] - screen.first[g]
        b, a, h = gene_line[g], gram[g], score[g]
        complete, pair_mean, columns = screen.complete[g], screen.pair_mean[g], screen.columns[g]
        for line in range(n_lines):
            weight[line] = w[line] * complete[line]
            wr[line] = weight[line] / (1 + b * n_guides * w[line])
        for line in range(n_lines):
            y[line] = (pair_mean[line] - gamma[line]) * by_scale[line]
            wry[line] = wr[line] * y[line]
        for i in range(q):
            x = columns[i]
            h[i] = n_guides * _dot(x, wry)
            of_guide = _dot(x, wr)
            for k in range(n_guides):
                a[q + k, i] = of_guide
            for j in range(i + 1):
                a[i, j] = n_guides * _dot3(x, columns[j], wr)
        own, shared = weight.sum(), b * _dot(w, wr)
        removed = b * n_guides * _dot(w, wry) + _dot3(weight, gamma, by_scale)
        for k in range(n_guides):
            h[q + k] = _dot(screen.mean[start + k], w_by_scale) - removed
            for j in range(k + 1):
                a[q + k, q + j] = -shared
            a[q + k, q + k] += own
        for at in range(screen.first_incomplete[g], screen.first_incomplete[g + 1]):
            line = screen.incomplete[at]
            for k in range(n_guides):
                h[q + k] -= screen.mean[start + k, line] * w_by_scale[line]
            _add_incomplete(
                a,
                h,
                screen.counts[start : start + n_guides, line],
                (screen.mean[start : start + n_guides, line] - gamma[line]) * by_scale[line],
                columns[:, line],
                guide_line,
                variance[line],
                b,
                of_guides,
            )
        for i in range(p):
            for j in range(i):
                a[j, i] = a[i, j]
    return gram, score


@summing
def _add_incomplete(
    a: np.ndarray,
    h: np.ndarray,
    count: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    guide_line: float,
    variance: float,
    b: float,
    of_guides: np.ndarray,
) -> None:
    """Add a pair to the lower half of X'VX and to X'Vy, from counts and y by guide, and its x (q,).

    `of_guides` (2, `most_guides`) is room.
    """
    w, wy = of_guides
    q, weight, total = x.size, 0.0, 0.0
    for k in range(count.size):
        w[k] = count[k] / (guide_line * count[k] + variance)
        wy[k] = w[k] * y[k]
        weight += w[k]
        total += wy[k]
    r = 1 / (1 + b * weight)
    for i in range(q):
        h[i] += x[i] * total * r
        for j in range(i + 1):
            a[i, j] += weight * r * x[i] * x[j]
        for k in range(count.size):
            a[q + k, i] += w[k] * r * x[i]
    for k in range(count.size):
        h[q + k] += wy[k] - w[k] * b * r * total
        for j in range(k + 1):
            a[q + k, q + j] -= w[k] * b * r * w[j]
        a[q + k, q + k] += w[k]


@summing
def pair_sums(
    screen: Screen,
    effects: np.ndarray,
    delta: np.ndarray,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: float,
    weight: np.ndarray,
    total: np.ndarray,
) -> None:
    """Set `weight` and `total` (G, C) to W and sum_k w_k e_k of each gene-line pair.

    mu_kc is that of the `effects` (G, q) on the columns and of the effects of guides `delta` (K,);
    the rest as in `gene_sums`. In place: new arrays of a whole release cost more than the sums.
    """
    n_genes, _, n_lines = screen.columns.shape
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    replicates = screen.by_line[REPLICATES]
    w = replicates / (guide_line * replicates + variance)
    expected = np.zeros(n_lines)
    for g in range(n_genes):
        start, end = screen.first[g], screen.first[g + 1]
        of_gene, total_of_gene, pair_mean = weight[g], total[g], screen.pair_mean[g]
        complete, mean_delta = screen.complete[g], delta[start:end].mean()
        _set_expected(expected, effects[g], screen.columns[g])
        for line in range(n_lines):
            of_gene[line] = (end - start) * w[line] * complete[line]
        for line in range(n_lines):
            level = (pair_mean[line] - gamma[line]) * by_scale[line]
            total_of_gene[line] = of_gene[line] * (level - expected[line] - mean_delta)
        for at in range(screen.first_incomplete[g], screen.first_incomplete[g + 1]):
            line, of_pair, total_of_pair = screen.incomplete[at], 0.0, 0.0
            for k in range(start, end):
                n = screen.counts[k, line]
                w_k = n / (guide_line * n + variance[line])
                level = (screen.mean[k, line] - gamma[line]) * by_scale[line]
                of_pair += w_k
                total_of_pair += w_k * (level - expected[line] - delta[k])
            of_gene[line], total_of_gene[line] = of_pair, total_of_pair


@summing
def _set_expected(expected: np.ndarray, effects: np.ndarray, columns: np.ndarray) -> None:
    """Set the expectation of a gene by line (C,) from its effects (q,) and columns (q, C)."""
    expected[:] = 0
    for i in range(effects.size):
        effect, x = effects[i], columns[i]
        for line in range(expected.size):
            expected[line] += effect * x[line]


@summing
def _dot(x: np.ndarray, y: np.ndarray) -> float:
    s = 0.0
    for i in range(x.size):
        s += x[i] * y[i]
    return s


@summing
def _dot3(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    s = 0.0
    for i in range(x.size):
        s += x[i] * y[i] * z[i]
    return s
