"""The likelihood of the parameters of cell lines, from sums over genes and guides, compiled.

The notation is that of `model.likelihood.pair_sums`.
"""

from __future__ import annotations

import numpy as np

from model.likelihood.pair_sums import (
    BETWEEN_SS,
    GUIDES,
    PAIRS,
    REPLICATES,
    WITHIN_DF,
    WITHIN_SS,
    Screen,
    summing,
)

GAMMA, SCALE, NOISE, GUIDE_LINE = range(4)
"""Positions of the derivatives by gamma_c, log s_c, log sigma_c and log sigma_guide_line."""
LineSums = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Log likelihood, score and information by line, (C,), (C, 4), (C, 4, 4)."""

_LARGEST_PRODUCT, _FOLD_EVERY = 1e120, 4
"""Of factors r, before its log is taken, one log for many of them; genes between two looks."""
_SUMS = 14
(_EE, _CE, _CRE, _RE, _ME, _CEM, _RM, _MM, _CMM, _R, _RR, _KR, _CROSS, _DELTA) = range(_SUMS)
"""Sums over complete pairs by line, with e and m = mu the means over the guides of a pair: of
products of K, r, c = omega_g^2 r and powers of K e and K m; of the products of guides with their
effects; and of the sums of squares of these effects."""


@summing
def line_sums(
    screen: Screen,
    effects: np.ndarray,
    delta: np.ndarray,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: float,
    gene_line: np.ndarray,
) -> LineSums:
    """Return the log likelihood of each line (C,), its score (C, 4) and information (C, 4, 4).

    Derivatives by gamma_c, log s_c, log sigma_c and log sigma_guide_line; the information is the
    expected one. The arguments are as in `pair_sums`. The log likelihood lacks a constant.

    With q = V e, D = dC for a derivative of the covariance C = V^-1:

        score = dmu' q + (q' D q - tr(V D)) / 2,   information = dmu' V dmu + tr(V D V D) / 2

    D is 2 a and 2 x / w on the diagonal for guide-line pairs of variance a and noise, with x = w
    sigma_c^2 / (s_c^2 n) = 1 - a w, so that sums with x follow from those of powers of w.
    """
    n_lines = gamma.size
    value, score, info = np.zeros(n_lines), np.zeros((n_lines, 4)), np.zeros((n_lines, 4, 4))
    sums = np.zeros((_SUMS, n_lines))
    by_scale = 1 / scale
    variance = noise * by_scale * by_scale
    replicates = screen.by_line[REPLICATES]
    w = replicates / (guide_line * replicates + variance)
    product = np.ones(n_lines)
    m, e, r = np.zeros(n_lines), np.zeros(n_lines), np.zeros(n_lines)
    for g in range(len(gene_line)):
        start, n_guides = screen.first[g], screen.first[g + 1] - screen.first[g]
        b, pair_mean, complete = gene_line[g], screen.pair_mean[g], screen.complete[g]
        mean_delta = delta[start : start + n_guides].mean()
        squares = _add_guides(sums[_CROSS], screen, delta, mean_delta, g)
        m[:] = 0
        for i in range(effects.shape[1]):
            effect, x = effects[g, i], screen.columns[g, i]
            for line in range(n_lines):
                m[line] += effect * x[line]
        for at in range(screen.first_incomplete[g], screen.first_incomplete[g + 1]):
            line = screen.incomplete[at]
            for k in range(start, start + n_guides):
                sums[_CROSS, line] -= (delta[k] - mean_delta) * screen.mean[k, line]
            _add_incomplete(
                value[line : line + 1],
                score[line],
                info[line],
                screen.counts[start : start + n_guides, line],
                screen.mean[start : start + n_guides, line],
                m[line] + delta[start : start + n_guides],
                gamma[line],
                scale[line],
                noise[line],
                guide_line,
                b,
            )
        for line in range(n_lines):
            r[line] = complete[line] / (1 + b * n_guides * w[line])
            m[line] += mean_delta
            e[line] = (pair_mean[line] - gamma[line]) * by_scale[line] - m[line]
        for line in range(n_lines):
            product[line] *= r[line] if complete[line] else 1.0
            sums[_DELTA, line] += squares * complete[line]
        _add_complete(sums, m, e, r, complete, n_guides, b)
        if g % _FOLD_EVERY == 0:
            _fold(value, product)
    _fold_all(value, product)
    for line in range(n_lines):
        _add_sums(
            value[line : line + 1],
            score[line],
            info[line],
            sums[:, line],
            screen.by_line[:, line],
            w[line],
            scale[line],
            noise[line],
            guide_line,
        )
        for i in range(4):
            for j in range(i):
                info[line, i, j] = info[line, j, i]
    return value, score, info


@summing
def _add_guides(
    cross: np.ndarray, screen: Screen, delta: np.ndarray, mean_delta: float, g: int
) -> float:
    """Add the products of guides with their effects to `cross` (C,); return the squares of these.

    The effects of guides are those from their mean in the gene.
    """
    squares = 0.0
    for k in range(screen.first[g], screen.first[g + 1]):
        d, mean = delta[k] - mean_delta, screen.mean[k]
        squares += d * d
        for line in range(cross.size):
            cross[line] += d * mean[line]
    return squares


@summing
def _add_complete(
    sums: np.ndarray,
    m: np.ndarray,
    e: np.ndarray,
    r: np.ndarray,
    complete: np.ndarray,
    n_guides: int,
    b: float,
) -> None:
    """Add the complete pairs of a gene, from the means over their guides (C,), to the sums."""
    lines, n = range(m.size), float(n_guides)
    bn = b * n * n
    of_r, rr, kr = sums[_R], sums[_RR], sums[_KR]
    for line in lines:
        of_r[line] += r[line]
        rr[line] += r[line] * r[line]
        kr[line] += n * r[line]
    re, ce, cre = sums[_RE], sums[_CE], sums[_CRE]
    for line in lines:
        x = r[line] * e[line]
        re[line] += n * x
        ce[line] += bn * x * e[line]
        cre[line] += bn * x * x
    ee, me, mm = sums[_EE], sums[_ME], sums[_MM]
    for line in lines:
        x = n * complete[line]
        ee[line] += x * e[line] * e[line]
        me[line] += x * m[line] * e[line]
        mm[line] += x * m[line] * m[line]
    rm, cem, cmm = sums[_RM], sums[_CEM], sums[_CMM]
    for line in lines:
        x = r[line] * m[line]
        rm[line] += n * x
        cem[line] += bn * x * e[line]
        cmm[line] += bn * x * m[line]


@summing
def _add_sums(
    value: np.ndarray,
    score: np.ndarray,
    info: np.ndarray,
    sums: np.ndarray,
    of_line: np.ndarray,
    w: float,
    scale: float,
    noise: float,
    a: float,
) -> None:
    """Add the sums over the complete pairs of a line, and its replicates.

    With u = 1 - a w, and n guides in p complete pairs. K c w = 1 - r in each of them, so that
    powers of c need no sums of their own.
    """
    if of_line[PAIRS]:
        n, p, u, by_scale = of_line[GUIDES], of_line[PAIRS], 1 - a * w, 1 / scale
        cross, squares = sums[_CROSS] * by_scale, sums[_DELTA]
        ee = sums[_EE] + of_line[BETWEEN_SS] * by_scale**2 - 2 * cross + squares
        me, mm = sums[_ME] + cross - squares, sums[_MM] + squares
        removed, removed_squares = p - sums[_R], p - 2 * sums[_R] + sums[_RR]
        r_removed = sums[_R] - sums[_RR]
        value[0] += 0.5 * (n * np.log(w) + w * w * sums[_CE] - w * ee) - n * np.log(scale)
        # Squares of q over w^2, less the trace of V over w.
        q = ee - w * (sums[_CE] + sums[_CRE]) + removed / w
        by_guide_line = a * w * (w * q - n)
        score[GAMMA] += w * sums[_RE] * by_scale
        score[GUIDE_LINE] += by_guide_line
        score[NOISE] += u * (w * q - n)
        by_mean = w * (me - w * (sums[_CEM] - sums[_CRE]))
        score[SCALE] += by_mean - removed + by_guide_line
        # The trace of the squares of V over w^2, of one direction and of all.
        v = n - p + sums[_RR]
        info[GAMMA, GAMMA] += w * sums[_KR] * by_scale**2
        info[GAMMA, SCALE] += w * sums[_RM] * by_scale
        info[SCALE, SCALE] += w * (mm - w * sums[_CMM]) + 2 * removed_squares
        info[SCALE, SCALE] += 2 * a * w * (a * w * v + 2 * r_removed)
        info[SCALE, GUIDE_LINE] += 2 * a * w * (a * w * v + r_removed)
        info[GUIDE_LINE, GUIDE_LINE] += 2 * a * w * a * w * v
        info[SCALE, NOISE] += 2 * u * (a * w * v + r_removed)
        info[NOISE, GUIDE_LINE] += 2 * a * w * u * v
        info[NOISE, NOISE] += 2 * u * u * v
    by_noise = of_line[WITHIN_SS] / noise
    value[0] -= 0.5 * (of_line[WITHIN_DF] * np.log(noise) + by_noise)
    score[NOISE] += by_noise - of_line[WITHIN_DF]
    info[NOISE, NOISE] += 2 * of_line[WITHIN_DF]


@summing
def _add_incomplete(
    value: np.ndarray,
    score: np.ndarray,
    info: np.ndarray,
    count: np.ndarray,
    mean: np.ndarray,
    expected: np.ndarray,
    gamma: float,
    scale: float,
    noise: float,
    a: float,
    b: float,
) -> None:
    """Add one pair from counts, means and expectations mu by guide.

    `a` and `b` are the variances of guide-line and of gene-line pairs.
    """
    by_scale = 1 / scale
    variance, product = noise * by_scale * by_scale, 1.0
    units, w, w2, w3, we, wee, w2e, w2ee = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    wm, wmm, wme = 0.0, 0.0, 0.0
    for k in range(count.size):
        if count[k]:
            x, m = count[k] / (a * count[k] + variance), expected[k]
            e = (mean[k] - gamma) * by_scale - m
            units, w, w2, w3 = units + 1, w + x, w2 + x * x, w3 + x * x * x
            we, wee, w2e, w2ee = we + x * e, wee + x * e * e, w2e + x * x * e, w2ee + x * e * x * e
            wm, wmm, wme = wm + x * m, wmm + x * m * m, wme + x * m * e
            product *= x
            if not 1 / _LARGEST_PRODUCT < product < _LARGEST_PRODUCT:
                value[0] += 0.5 * np.log(product)
                product = 1.0
    r = 1 / (1 + b * w)
    c, ct, one = b * r, b * r * we, we * r
    value[0] += 0.5 * (np.log(product) + np.log(r) + ct * we - wee) - units * np.log(scale)
    # Squares of q, with q_k = w_k (e_k - c we), less the trace of V; then with x / w in place of a.
    by_guide_line = a * (w2ee - 2 * ct * w2e + ct * ct * w2 - w + c * w2)
    wx, w2x = w - a * w2, w2 - a * w3
    by_noise = wee - a * w2ee - 2 * ct * (we - a * w2e) + ct * ct * wx - (units - a * w) + c * wx
    score[GAMMA] += one * by_scale
    score[SCALE] += wme - ct * wm + b * (one * one - w * r) + by_guide_line
    score[NOISE] += by_noise
    score[GUIDE_LINE] += by_guide_line
    # Traces of V D V D: of the squares of V, of its sums, and with x in place of w.
    squares, squared_sums = w2 - 2 * c * w3 + c * c * w2 * w2, w2 * r * r
    mixed = wx - 2 * c * w2x + c * c * w2 * wx
    xx, wxx = units - a * (w + wx), wx - a * w2x
    info[GAMMA, GAMMA] += w * r * by_scale * by_scale
    info[GAMMA, SCALE] += wm * r * by_scale
    info[SCALE, SCALE] += wmm - c * wm * wm + 2 * b * b * w * r * w * r
    info[SCALE, SCALE] += 2 * a * (a * squares + 2 * b * squared_sums)
    info[SCALE, GUIDE_LINE] += 2 * a * (a * squares + b * squared_sums)
    info[GUIDE_LINE, GUIDE_LINE] += 2 * a * a * squares
    info[SCALE, NOISE] += 2 * (a * mixed + b * wx * r * r)
    info[NOISE, GUIDE_LINE] += 2 * a * mixed
    info[NOISE, NOISE] += 2 * (xx - 2 * c * wxx + c * c * wx * wx)


@summing
def _fold(value: np.ndarray, product: np.ndarray) -> None:
    """Move what would soon underflow from the product of factors to the log likelihood."""
    for line in range(value.size):
        if product[line] < 1 / _LARGEST_PRODUCT:
            value[line] += 0.5 * np.log(product[line])
            product[line] = 1.0


@summing
def _fold_all(value: np.ndarray, product: np.ndarray) -> None:
    for line in range(value.size):
        value[line] += 0.5 * np.log(product[line])
