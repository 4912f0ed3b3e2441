"""The compiled sums against dense covariances of single gene-line pairs."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit
from scipy import special, stats

from model.engines.gibbs import state as engine
from model.engines.gibbs.half_normals import (
    log_ndtr,
    ndtri_exp,
    relative_log_likelihoods,
    scaled_likelihoods,
)
from model.engines.gibbs.layout import shared_names
from model.engines.gibbs.state import GibbsData, room_for, start
from schemas.model_spec import model_spec
from schemas.parameters import Priors
from tests.designs import design_from_rows, nested_rows

SPEC = model_spec("m4_screen", {"copy_number"})


line_sums = njit(lambda screen, layout, state: engine.line_sums_of(screen, layout, state))
gene_sums = njit(lambda screen, layout, state: engine.gene_sums_of(screen, layout, state))
pair_sums = njit(lambda screen, layout, state, to: engine.set_pair_sums(screen, layout, state, to))


def sums_by_line(data, state):
    return line_sums(data.screen, data.layout, state)


@pytest.fixture(scope="module")
def screen():
    """A screen with missing and incomplete pairs, genes of one to three guides, and a state."""
    rows, random = nested_rows(4, 3, 3, 2)[0], np.random.default_rng(1)
    rows = rows[~rows.guide.isin(sorted(rows.guide.unique())[:2])]
    design = design_from_rows(rows.sample(frac=0.9, random_state=2))
    copies = random.normal(0, 0.3, design.rna.shape)
    data = GibbsData.of(SPEC, replace(design, covariates={"copy_number": copies}), Priors())
    state = start(data, random)
    for name in ("effects", "delta", "gamma", "log_scale", "log_noise", "log_omega"):
        getattr(state, name)[:] = random.normal(0, 0.4, getattr(state, name).shape)
    state.log_noise[:] -= 0.7
    assert data.screen.complete.sum() > 4 and data.screen.incomplete.size > 4
    return data, state


def pairs_of(data, state):
    """Every gene-line pair: gene, line, guides, residual in scales of the line, covariance."""
    guide_line, scale = state.shared[data.layout.guide_line_sd] ** 2, np.exp(state.log_scale)
    gene_line, noise = np.exp(2 * state.log_omega), np.exp(2 * state.log_noise)
    for gene, line in np.ndindex(data.shape[0], data.shape[2]):
        guides = np.arange(data.first[gene], data.first[gene + 1])
        guides = guides[data.count[guides, line] > 0]
        if guides.size:
            expected = state.effects[gene] @ data.columns[gene, :, line] + state.delta[guides]
            level = (data.mean[guides, line] - state.gamma[line]) / scale[line]
            own = noise[line] / scale[line] ** 2 / data.count[guides, line]
            covariance = np.diag(guide_line + own) + gene_line[gene]
            yield gene, line, guides, level, expected, covariance


def test_the_likelihood_of_a_line_is_that_of_its_dense_pairs(screen):
    data, state = screen
    log_noise = 2 * state.log_noise
    dense = -0.5 * (data.within_df * log_noise + data.within_ss * np.exp(-log_noise))
    for _, line, guides, level, expected, covariance in pairs_of(data, state):
        dense[line] += stats.multivariate_normal.logpdf(level, expected, covariance)
        dense[line] += guides.size * (0.5 * np.log(2 * np.pi) - state.log_scale[line])
    np.testing.assert_allclose(sums_by_line(data, state)[0], dense, rtol=1e-12)


@pytest.mark.parametrize(
    ("at", "name"), enumerate(["gamma", "log_scale", "log_noise", "sigma_guide_line"])
)
def test_the_score_is_the_derivative_of_the_likelihood(screen, at, name):
    data, state = screen
    _, score, _ = sums_by_line(data, state)

    def value(step):
        if name.startswith("sigma"):
            shared = state.shared.copy()
            shared[shared_names(SPEC).index(name)] *= np.exp(step)
            return sums_by_line(data, state._replace(shared=shared))[0]
        return sums_by_line(data, state._replace(**{name: getattr(state, name) + step}))[0]

    np.testing.assert_allclose(score[:, at], (value(1e-5) - value(-1e-5)) / 2e-5, rtol=1e-5)


def test_the_information_is_the_covariance_of_the_score(screen):
    data, state = screen
    random, scores = np.random.default_rng(3), []
    information = sums_by_line(data, state)[2]
    for _ in range(3000):
        mean = np.zeros_like(data.mean)
        for _, line, guides, _, expected, covariance in pairs_of(data, state):
            level = random.multivariate_normal(expected, covariance, method="cholesky")
            mean[guides, line] = state.gamma[line] + np.exp(state.log_scale[line]) * level
        within = np.exp(2 * state.log_noise) * random.chisquare(data.within_df)
        scores.append(sums_by_line(replace(data, mean=mean, within_ss=within), state)[1])
    found = np.array([np.cov(np.array(scores)[:, line].T) for line in range(data.shape[2])])
    scale = np.sqrt(np.einsum("lii->li", information))
    relative = (found - information) / (scale[:, :, None] * scale[:, None])
    assert np.abs(relative).max() < 0.15


def test_sums_by_gene_are_those_of_dense_design_matrices(screen):
    data, state = screen
    q = data.shape[1]
    weight, total = room = room_for(data)
    pair_sums(data.screen, data.layout, state, room)
    gram, score = gene_sums(data.screen, data.layout, state)
    dense = np.zeros_like(gram), np.zeros_like(score), np.zeros_like(weight), np.zeros_like(total)
    for gene, line, guides, level, expected, covariance in pairs_of(data, state):
        x = np.zeros((guides.size, gram.shape[1]))
        x[:, :q] = data.columns[gene, :, line]
        x[np.arange(guides.size), q + data.screen.slot[guides]] = 1
        precision = np.linalg.inv(covariance)
        dense[0][gene] += x.T @ precision @ x
        dense[1][gene] += x.T @ precision @ level
        w = 1 / np.diag(covariance - np.exp(2 * state.log_omega[gene]))
        dense[2][gene, line], dense[3][gene, line] = w.sum(), w @ (level - expected)
    for found, expected in zip((gram, score, weight, total), dense, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_tails_of_the_normal_distribution_are_those_of_scipy():
    x = np.concatenate([-np.logspace(-9, 9, 400), np.linspace(-40, 30, 2001)])
    np.testing.assert_allclose([log_ndtr(one) for one in x], special.log_ndtr(x), rtol=1e-13)
    y = np.concatenate([-np.logspace(-300, 17, 2000), -np.linspace(0.1, 3, 500), [0, -np.inf]])
    found, of_scipy = [ndtri_exp(one) for one in y], special.ndtri_exp(y)
    np.testing.assert_allclose(found, of_scipy, rtol=1e-12, atol=1e-15)  # SciPy errs so far


def test_likelihoods_of_slopes_are_the_same_without_logs():
    scales, random = np.array([0, -0.1, -3, 0.2, 2.0]), np.random.default_rng(4)
    information = 10 ** random.uniform(-3, 6, 300)
    score = np.sqrt(information) * random.normal(0, 30, 300)
    logs = relative_log_likelihoods(scales, information, score)
    relative = np.exp(logs - logs.max(axis=1, keepdims=True)).T
    found = scaled_likelihoods(scales, information, score)
    np.testing.assert_allclose(found / found.max(axis=0), relative, rtol=1e-9, atol=1e-99)
