"""Information of the measurements of a gene on its slope, with all cell lines and without groups.

For a gene with effects b of design matrix X (`model.likelihood.pair_sums`), X'VX and X'Vy are sums
over its lines, so that those without a group of lines are differences. The compiled loop serves
all groups of lines at many draws of what genes share.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def slope_information(
    count: np.ndarray,
    mean: np.ndarray,
    first: np.ndarray,
    columns: np.ndarray,
    slope: int,
    gamma: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    guide_line: np.ndarray,
    gene_line: np.ndarray,
    precision: np.ndarray,
    centre: np.ndarray,
    group_first: np.ndarray,
    group_lines: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return information, score and log likelihood of slopes, (S, O, G) for S draws and O groups.

    The likelihood of the slope b of a gene without the lines of a group, all other effects of the
    gene, its guides and pairs integrated out, is

        exp(log likelihood + score b - information b^2 / 2)

    up to a factor by draw and gene. `slope` is the column of b in `columns` (G, q, C). The prior of
    the effects is Normal with the means `centre` (S, q) and the precisions `precision` (S, q + 1);
    the last one is that of guides, with mean 0. That of the slope is 0: its prior is not Normal.
    The lines of group o are `group_lines[group_first[o]:group_first[o + 1]]`.

    `gamma`, `scale` and `noise` are (S, C), `guide_line` (S,), `gene_line` (S, G); the rest as in
    `pair_sums.gene_sums`.
    """
    n_genes, q, n_lines = columns.shape
    n_draws, n_groups = len(gamma), len(group_first) - 1
    shape = n_draws, n_groups, n_genes
    information, score, value = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    by_scale, log_scale = 1 / scale, np.log(scale)
    variance = noise * by_scale * by_scale
    # Rows of a gene: effects but the slope, guides, then the slope, so that the last pivot of the
    # Cholesky factor is the information on the slope.
    most = q + np.diff(first).max()
    x, wx, wy = np.ones(most), np.zeros(most), np.zeros(most)
    for g in range(n_genes):
        start, n_guides = first[g], first[g + 1] - first[g]
        p = q + n_guides
        right, density = p * (p + 1) // 2, p * (p + 1) // 2 + p
        by_line = np.zeros((n_lines, density + 1))
        x[q - 1 : p - 1] = 1
        for s in range(n_draws):
            total = np.zeros(density + 1)
            for line in range(n_lines):
                weight, weighted, log_density = 0.0, 0.0, 0.0
                for k in range(n_guides):
                    n = count[start + k, line]
                    if n == 0:
                        wx[q - 1 + k], wy[q - 1 + k] = 0.0, 0.0
                        continue
                    y = (mean[start + k, line] - gamma[s, line]) * by_scale[s, line]
                    w = n / (guide_line[s] * n + variance[s, line])
                    wx[q - 1 + k], wy[q - 1 + k] = w, w * y
                    weight += w
                    weighted += w * y
                    log_density += 0.5 * (np.log(w) - w * y * y) - log_scale[s, line]
                for i in range(q):
                    row = p - 1 if i == slope else i - (i > slope)
                    x[row] = columns[g, i, line]
                    wx[row], wy[row] = weight * x[row], weighted * x[row]
                shrink = gene_line[s, g] / (1 + gene_line[s, g] * weight)
                of_line, at = by_line[line], 0
                for i in range(p):
                    for j in range(i):
                        both = wx[i] * x[j]
                        if j >= q - 1:  # guides of a gene share no measurement
                            both = wx[j] * x[i] if i == p - 1 else 0.0
                        of_line[at] = both - shrink * wx[i] * wx[j]
                        at += 1
                    of_line[at] = wx[i] * x[i] - shrink * wx[i] * wx[i]
                    at += 1
                    of_line[right + i] = wy[i] - shrink * wx[i] * weighted
                of_line[density] = log_density + 0.5 * (
                    shrink * weighted * weighted - np.log(1 + gene_line[s, g] * weight)
                )
                for at in range(density + 1):
                    total[at] += of_line[at]
            for i in range(p - 1):
                effect = q if i >= q - 1 else i + (i >= slope)
                total[i * (i + 1) // 2 + i] += precision[s, effect]
                if effect < q:
                    total[right + i] += precision[s, effect] * centre[s, effect]
            for o in range(n_groups):
                left = total.copy()
                for at in range(group_first[o], group_first[o + 1]):
                    of_line = by_line[group_lines[at]]
                    for entry in range(density + 1):
                        left[entry] -= of_line[entry]
                information[s, o, g], score[s, o, g], value[s, o, g] = _eliminate(left, p)
    return information, score, value


@_compiled
def _eliminate(sums: np.ndarray, p: int) -> tuple[float, float, float]:
    """Return information, score and log density with all effects but the last integrated out.

    `sums` are the lower triangle of a precision matrix (p, p) by rows, the right side (p,) and the
    log density at effects of 0. In place, by a Cholesky factor with inverse pivots.
    """
    right = p * (p + 1) // 2
    log_density = sums[right + p]
    for i in range(p):
        row = i * (i + 1) // 2
        pivot, z = sums[row + i], sums[right + i]
        for j in range(i):
            above = j * (j + 1) // 2
            entry = sums[row + j]
            for k in range(j):
                entry -= sums[row + k] * sums[above + k]
            entry *= sums[above + j]
            sums[row + j] = entry
            pivot -= entry * entry
            z -= entry * sums[right + j]
        if i == p - 1:
            return pivot, z, log_density
        inverse = 1 / np.sqrt(pivot)
        z *= inverse
        sums[row + i], sums[right + i] = inverse, z
        log_density += 0.5 * z * z + np.log(inverse)
    return 0.0, 0.0, log_density
