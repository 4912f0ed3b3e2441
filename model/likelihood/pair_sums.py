"""Sums over the guide-line pairs of a screen whose lines and genes differ, compiled.

For guide k of gene g in cell line c, with n measurements of mean m,

    m_kc = gamma_c + s_c (mu_kc + eps_gc + zeta_kc) + noise_c / sqrt(n)
    eps_gc ~ Normal(0, omega_g)         zeta_kc ~ Normal(0, sigma_guide_line)
    noise_c ~ Normal(0, sigma_c)        sigma_c = sigma f_c

In units of the line's scale, e_k = (m_kc - gamma_c) / s_c - mu_kc, the guides of a gene-line pair
have the covariance of `model.likelihood.cell_covariance`, here in absolute units:

    V = diag(w) - c w w',   w_k = n_k / (sigma_guide_line^2 n_k + sigma_c^2 / s_c^2),
    W = sum_k w_k,   r = 1 / (1 + omega_g^2 W),   c = omega_g^2 r

Counts and means are by guide and line (K, C); the guides of gene g are those from `first[g]` to
`first[g + 1]`. A guide without measurements in a line has no weight there.

A whole release has 8e7 guide-line pairs and thousands of passes over them. Every loop over lines is
short and writes few arrays: the compiler makes vector instructions only of those.
"""

from __future__ import annotations

import numpy as np
from numba import njit

GAMMA, SCALE, NOISE, GUIDE_LINE = range(4)
"""Positions of the derivatives by gamma_c, log s_c, log sigma_c and log sigma_guide_line."""

_LARGEST_PRODUCT = 1e120
"""Of weights, before its log is taken: one log for many weights."""
_FOLD_EVERY = 8
"""Guides of a gene between two looks at products."""

# Sums may be reordered, which vector instructions need; NaN and infinity keep their meaning.
_compiled = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@_compiled
def gene_sums(
    count: np.ndarray,
    mean: np.ndarray,
    first: np.ndarray,
    columns: np.ndarray,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: float,
    gene_line: np.ndarray,
    most_guides: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'VX (G, p, p) and X'Vy (G, p) of each gene, y = (m - gamma_c) / s_c.

    X has the q `columns` (G, q, C) of the effects of a gene, then one per guide: p = q +
    `most_guides`. Those of guides that a gene does not have stay 0.

    `gamma`, `scale` (s_c) and `noise` (sigma_c^2) are by line, `gene_line` (omega_g^2) by gene.
    """
    n_genes, q, n_lines = columns.shape
    p = q + most_guides
    gram = np.zeros((n_genes, p, p))
    score = np.zeros((n_genes, p))
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    w = np.zeros((most_guides, n_lines))
    wy = np.zeros((most_guides, n_lines))
    weight, total = np.zeros(n_lines), np.zeros(n_lines)
    r, c = np.zeros(n_lines), np.zeros(n_lines)
    for g in range(n_genes):
        start, n_guides = first[g], first[g + 1] - first[g]
        b, a, h = gene_line[g], gram[g], score[g]
        weight[:] = 0
        total[:] = 0
        for k in range(n_guides):
            n, m, w_k, wy_k = count[start + k], mean[start + k], w[k], wy[k]
            for line in range(n_lines):
                w_k[line] = n[line] / (guide_line * n[line] + variance[line])
                wy_k[line] = w_k[line] * (m[line] - gamma[line]) * by_scale[line]
            for line in range(n_lines):
                weight[line] += w_k[line]
            for line in range(n_lines):
                total[line] += wy_k[line]
        for line in range(n_lines):
            r[line] = 1 / (1 + b * weight[line])
            c[line] = b * r[line]
        for i in range(q):
            x = columns[g, i]
            h[i] = _dot3(x, total, r)
            for j in range(i + 1):
                z, s = columns[g, j], 0.0
                for line in range(n_lines):
                    s += weight[line] * r[line] * x[line] * z[line]
                a[i, j] = s
            for k in range(n_guides):
                a[q + k, i] = _dot3(w[k], r, x)
        for k in range(n_guides):
            h[q + k] = wy[k].sum() - _dot3(w[k], c, total)
            for j in range(k + 1):
                a[q + k, q + j] = -_dot3(w[k], c, w[j])
            a[q + k, q + k] += w[k].sum()
        for i in range(p):
            for j in range(i):
                a[j, i] = a[i, j]
    return gram, score


@_compiled
def pair_sums(
    count: np.ndarray,
    mean: np.ndarray,
    first: np.ndarray,
    columns: np.ndarray,
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
    n_genes, _, n_lines = columns.shape
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    expected = np.zeros(n_lines)
    for g in range(n_genes):
        of_gene, total_of_gene = weight[g], total[g]
        of_gene[:] = 0
        total_of_gene[:] = 0
        _set_expected(expected, effects[g], columns[g])
        for line in range(n_lines):
            expected[line] += gamma[line] * by_scale[line]
        for k in range(first[g], first[g + 1]):
            n, m, d = count[k], mean[k], delta[k]
            for line in range(n_lines):
                w = n[line] / (guide_line * n[line] + variance[line])
                of_gene[line] += w
                total_of_gene[line] += w * (m[line] * by_scale[line] - expected[line] - d)


@_compiled
def spread_sums(
    weight: np.ndarray, total: np.ndarray, log_omega: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log likelihood of each gene, its derivative and information by log omega_g, (G,).

    `weight` and `total` (G, C) are those of `pair_sums`, with t in place of the latter:

        sum_c (omega^2 r t^2 - log(1 + omega^2 W)) / 2
    """
    n_genes = weight.shape[0]
    value, gradient, info = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    for g in range(n_genes):
        value[g], gradient[g], info[g] = spread_sum(weight[g], total[g], log_omega[g])
    return value, gradient, info


@_compiled
def spread_sum(
    weight: np.ndarray, total: np.ndarray, log_omega: float
) -> tuple[float, float, float]:
    """Return the same of one gene, from its weights and totals (C,)."""
    variance = np.exp(2 * log_omega)
    squares, shrunk_squares, removed, removed_squares = 0.0, 0.0, 0.0, 0.0
    for line in range(weight.size):
        r = 1 / (1 + variance * weight[line])
        squares += r * total[line] * total[line]
        shrunk_squares += r * total[line] * (r * total[line])
        removed += 1 - r
        removed_squares += (1 - r) * (1 - r)
    logs, product = 0.0, 1.0
    for line in range(weight.size):
        product *= 1 + variance * weight[line]
        if product > _LARGEST_PRODUCT:
            logs += np.log(product)
            product = 1.0
    value = 0.5 * (variance * squares - logs - np.log(product))
    return value, variance * shrunk_squares - removed, 2 * removed_squares


@_compiled
def line_sums(
    count: np.ndarray,
    mean: np.ndarray,
    first: np.ndarray,
    columns: np.ndarray,
    effects: np.ndarray,
    delta: np.ndarray,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: float,
    gene_line: np.ndarray,
    within_ss: np.ndarray,
    within_df: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the log likelihood of each line (C,), its score (C, 4) and information (C, 4, 4).

    Derivatives by gamma_c, log s_c, log sigma_c and log sigma_guide_line; the information is the
    expected one. Replicates count by the squares `within_ss` (C,) within guide-line pairs and their
    degrees of freedom. The log likelihood lacks a constant.

    With q = V e, D = dC for a derivative of the covariance C = V^-1:

        score = dmu' q + (q' D q - tr(V D)) / 2,   information = dmu' V dmu + tr(V D V D) / 2

    D is 2 a and 2 x / w on the diagonal for guide-line pairs of variance a and noise, with x = w
    sigma_c^2 / (s_c^2 n) = 1 - a w, so that sums with x follow from those of powers of w.
    """
    n_genes, _, n_lines = columns.shape
    value = np.zeros(n_lines)
    score = np.zeros((4, n_lines))
    info = np.zeros((4, 4, n_lines))
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    product, units = np.ones(n_lines), np.zeros(n_lines)
    expected = np.zeros(n_lines)
    w, e, m, r = np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines)
    sums = np.zeros((_SUMS, n_lines))
    for g in range(n_genes):
        _set_expected(expected, effects[g], columns[g])
        sums[:] = 0
        for k in range(first[g], first[g + 1]):
            n, m_k, d = count[k], mean[k], delta[k]
            for line in range(n_lines):
                w[line] = n[line] / (guide_line * n[line] + variance[line])
                m[line] = expected[line] + d
                e[line] = (m_k[line] - gamma[line]) * by_scale[line] - m[line]
            for line in range(n_lines):
                units[line] += n[line] > 0
                product[line] *= w[line] if n[line] > 0 else 1.0
            _add_guide(sums, n, w, e, m)
            if (k - first[g]) % _FOLD_EVERY == 0:
                _fold(value, product)
        for line in range(n_lines):
            r[line] = 1 / (1 + gene_line[g] * sums[_W, line])
            product[line] *= r[line]
        _add_pairs(value, score, info, sums, r, by_scale, guide_line, gene_line[g])
    result = np.zeros((n_lines, 4)), np.zeros((n_lines, 4, 4))
    for line in range(n_lines):
        by_noise = within_ss[line] / noise[line]
        value[line] += 0.5 * np.log(product[line]) - units[line] * np.log(scale[line])
        value[line] -= 0.5 * (within_df[line] * np.log(noise[line]) + by_noise)
        score[NOISE, line] += by_noise - within_df[line]
        info[NOISE, NOISE, line] += 2 * within_df[line]
        for i in range(4):
            result[0][line, i] = score[i, line]
            for j in range(i + 1):
                result[1][line, i, j] = info[j, i, line]
                result[1][line, j, i] = info[j, i, line]
    return value, result[0], result[1]


_SUMS = 11
_UNITS, _W, _W2, _W3, _WE, _WEE, _W2E, _W2EE, _WM, _WMM, _WME = range(_SUMS)
"""Sums over the guides of a gene by line: of guides with measurements, and of products of w, e and
m = mu_kc."""


@_compiled
def _set_expected(expected: np.ndarray, effects: np.ndarray, columns: np.ndarray) -> None:
    """Set the expectation of a gene by line (C,) from its effects (q,) and columns (q, C)."""
    expected[:] = 0
    for i in range(effects.size):
        effect, x = effects[i], columns[i]
        for line in range(expected.size):
            expected[line] += effect * x[line]


@_compiled
def _add_guide(
    sums: np.ndarray, n: np.ndarray, w: np.ndarray, e: np.ndarray, m: np.ndarray
) -> None:
    """Add a guide with these counts, weights, residuals and expectations (C,) to the sums."""
    units, w1, w2, w3 = sums[_UNITS], sums[_W], sums[_W2], sums[_W3]
    for line in range(w.size):
        w1[line] += w[line]
        w2[line] += w[line] * w[line]
    for line in range(w.size):
        units[line] += n[line] > 0
        w3[line] += w[line] * w[line] * w[line]
    we, wee, w2e, w2ee = sums[_WE], sums[_WEE], sums[_W2E], sums[_W2EE]
    for line in range(w.size):
        x = w[line] * e[line]
        we[line] += x
        wee[line] += x * e[line]
    for line in range(w.size):
        x = w[line] * e[line]
        w2e[line] += w[line] * x
        w2ee[line] += x * x
    wm, wmm, wme = sums[_WM], sums[_WMM], sums[_WME]
    for line in range(w.size):
        x = w[line] * m[line]
        wm[line] += x
        wmm[line] += x * m[line]
    for line in range(w.size):
        wme[line] += w[line] * m[line] * e[line]


@_compiled
def _add_pairs(
    value: np.ndarray,
    score: np.ndarray,
    info: np.ndarray,
    sums: np.ndarray,
    r: np.ndarray,
    by_scale: np.ndarray,
    a: float,
    b: float,
) -> None:
    """Add the pairs of a gene to the log likelihood, score and information of the lines.

    `a` and `b` are the variances of guide-line and of gene-line pairs.
    """
    units, w, w2, w3 = sums[_UNITS], sums[_W], sums[_W2], sums[_W3]
    we, wee, w2e, w2ee = sums[_WE], sums[_WEE], sums[_W2E], sums[_W2EE]
    wm, wmm, wme = sums[_WM], sums[_WMM], sums[_WME]
    lines = range(r.size)
    by_gamma, by_log_scale, by_noise, by_guide_line = score
    for line in lines:
        value[line] += 0.5 * (b * r[line] * we[line] * we[line] - wee[line])
        by_gamma[line] += we[line] * r[line] * by_scale[line]
    for line in lines:
        # Squares of q, with q_k = w_k (e_k - c we), less the trace of V.
        ct = b * r[line] * we[line]
        by_guide_line[line] += a * (
            w2ee[line] - 2 * ct * w2e[line] + ct * ct * w2[line] - w[line] + b * r[line] * w2[line]
        )
    for line in lines:
        # The same with x / w in place of a.
        ct = b * r[line] * we[line]
        wx = w[line] - a * w2[line]
        by_noise[line] += (
            wee[line]
            - a * w2ee[line]
            - 2 * ct * (we[line] - a * w2e[line])
            + ct * ct * wx
            - (units[line] - a * w[line])
            + b * r[line] * wx
        )
    for line in lines:
        ct, one = b * r[line] * we[line], we[line] * r[line]
        by_log_scale[line] += wme[line] - ct * wm[line] + b * (one * one - w[line] * r[line])
        by_log_scale[line] += a * (
            w2ee[line] - 2 * ct * w2e[line] + ct * ct * w2[line] - w[line] + b * r[line] * w2[line]
        )
    gamma_gamma, gamma_scale = info[GAMMA, GAMMA], info[GAMMA, SCALE]
    for line in lines:
        gamma_gamma[line] += w[line] * r[line] * by_scale[line] * by_scale[line]
        gamma_scale[line] += wm[line] * r[line] * by_scale[line]
    # Traces of V D V D: of the squares of V, of its sums, and with x in place of w.
    scale_scale, scale_guide_line = info[SCALE, SCALE], info[SCALE, GUIDE_LINE]
    guide_line_guide_line = info[GUIDE_LINE, GUIDE_LINE]
    for line in lines:
        c, one = b * r[line], w[line] * r[line]
        squares = w2[line] - 2 * c * w3[line] + c * c * w2[line] * w2[line]
        squared_sums = w2[line] * r[line] * r[line]
        scale_scale[line] += (
            wmm[line]
            - c * wm[line] * wm[line]
            + 2 * (a * a * squares + 2 * a * b * squared_sums + b * b * one * one)
        )
        scale_guide_line[line] += 2 * a * (a * squares + b * squared_sums)
        guide_line_guide_line[line] += 2 * a * a * squares
    scale_noise, noise_guide_line = info[SCALE, NOISE], info[NOISE, GUIDE_LINE]
    noise_noise = info[NOISE, NOISE]
    for line in lines:
        c = b * r[line]
        wx, w2x = w[line] - a * w2[line], w2[line] - a * w3[line]
        mixed = wx - 2 * c * w2x + c * c * w2[line] * wx
        scale_noise[line] += 2 * (a * mixed + b * wx * r[line] * r[line])
        noise_guide_line[line] += 2 * a * mixed
        xx, wxx = units[line] - a * (w[line] + wx), wx - a * w2x
        noise_noise[line] += 2 * (xx - 2 * c * wxx + c * c * wx * wx)


@_compiled
def _fold(value: np.ndarray, product: np.ndarray) -> None:
    """Move what would soon overflow from the product of weights to the log likelihood."""
    for line in range(value.size):
        if not 1 / _LARGEST_PRODUCT < product[line] < _LARGEST_PRODUCT:
            value[line] += 0.5 * np.log(product[line])
            product[line] = 1.0


@_compiled
def _dot3(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """Return the sum of the products of three arrays."""
    s = 0.0
    for i in range(x.size):
        s += x[i] * y[i] * z[i]
    return s
