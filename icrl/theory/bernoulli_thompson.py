"""Thompson sampling for Bernoulli bandits as a transformer that draws nothing."""

import math

import numpy as np
from scipy.special import gammaln

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from icrl.theory.compiler import Construction
from icrl.theory.gadgets import Layer, Unit, clear, table, total
from icrl.theory.knots import exp_knots, log_knots
from icrl.theory.stream import NOTHING, Stream, dot

LEAST_LOG = -11.0  # densities and distribution functions below e^-11 count as that


def bernoulli_thompson(
    family: Family, *, num_nodes: int = 64, error: float = 1e-3
) -> Construction:
    """Returns the transformer whose probabilities are Thompson sampling's.

    Tokens are `interleaved`; the prior is uniform. Wins and losses are counted; an
    arm's log-density at a node is linear in them, but for its constant, which tables of
    whole numbers give. Then

        P(k is best) = Σ_q w_q exp(log f_k(x_q) + Σ_{j ≠ k} log F_j(x_q))

    at Gauss-Legendre nodes, with exp and log as tables. F is the integral of the
    polynomial through the densities at the nodes: a linear map.

    Source: ours, after a sketch in the source files of Lin, Bai and Mei 2023, arXiv
    2310.08566, which assumes that an MLP can do the last part.

    Args:
        family: a Bernoulli bandit.
        num_nodes: of the quadrature.
        error: of the tables, relative, in exp and log.

    Raises:
        ValueError: if the family is no Bernoulli bandit.
    """
    known = isinstance(family, BernoulliBanditFamily)
    require(known, "the family must be a Bernoulli bandit", family.name)
    arms, steps = family.num_actions, family.horizon
    shown = family.observation.size
    stream = Stream()
    obs, action = stream.add("obs", shown), stream.add("action", arms)
    reward, win = stream.add("reward"), stream.add("win", arms)
    pulls, wins = stream.add("pulls", arms), stream.add("wins", arms)
    losses, one = pulls - wins, stream.one
    won = [Unit(action[k] + reward - one, win[k]) for k in range(arms)]
    counted = total(stream, one, [*action, *win], [*pulls, *wins])

    constant = stream.add("log_constant", arms)  # -log B(1 + wins, 1 + losses)
    counts = np.arange(steps + 1.0)
    units: list[Unit] = []
    for k in range(arms):
        for value, heights in (
            (wins[k], -gammaln(1 + counts)),
            (losses[k], -gammaln(1 + counts)),
            (pulls[k], gammaln(2 + counts)),
        ):
            units += table(stream, value, counts, heights, constant[k])
    layers = [Layer((), won), Layer(counted, units)]

    nodes, weights, integral = legendre(num_nodes)
    most = math.log(steps + 1.0)  # of a log-density
    exp_at = exp_knots(LEAST_LOG, most, error)
    exp_heights = np.exp(exp_at)
    exp_heights[0] = 0.0
    log_at = log_knots(math.exp(LEAST_LOG), error)
    log_heights = np.log(log_at)
    log_density = np.array(
        [
            [wins[k] * math.log(x) + losses[k] * math.log1p(-x) for x in nodes]
            for k in range(arms)
        ]
    )
    log_density = log_density + constant[:, None]
    density = stream.add("density", arms, num_nodes)
    log_cdf = stream.add("log_cdf", arms, num_nodes)
    score = stream.add("score", arms)
    exps, logs, joint, last = [], [], [], []
    everyone = log_cdf.sum(0)
    for k, q in np.ndindex(arms, num_nodes):
        exps += table(stream, log_density[k, q], exp_at, exp_heights, density[k, q])
        below = dot(integral[q], density[k])
        logs += table(stream, below, log_at, log_heights, log_cdf[k, q])
        alone = log_density[k, q] + everyone[q] - log_cdf[k, q]
        joint += table(stream, alone, exp_at, exp_heights, density[k, q])
    for k in range(arms):
        best = dot(weights, density[k])
        last += table(stream, best, log_at, log_heights, score[k])
    layers += [Layer((), exps), Layer((), logs), Layer((), [*clear(density), *joint])]
    layers.append(Layer((), last))
    return Construction(
        stream=stream,
        embed=[*obs, *action, reward],
        constant=NOTHING,
        layers=layers,
        logits=[*score],
        max_tokens=2 * steps + 1,
        limits=[(0.0, 1.0)] * (shown + arms + 1),
    )


def legendre(num_nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1], and integrals from 0 to each node.

    Row q of the integrals gives the integral up to node q of the polynomial through
    values at the nodes.
    """
    x, w = np.polynomial.legendre.leggauss(num_nodes)
    basis = np.polynomial.legendre.legvander(x, num_nodes)
    degree = np.arange(num_nodes)
    to_series = (basis[:, :num_nodes] * w[:, None]).T * (degree[:, None] + 0.5)
    # ∫_{-1}^x P_n = (P_{n+1}(x) - P_{n-1}(x)) / (2 n + 1)
    before = np.concatenate([-np.ones((num_nodes, 1)), basis[:, : num_nodes - 1]], 1)
    integrals = (basis[:, 1:] - before) / (2 * degree + 1)
    return (x + 1) / 2, w / 2, integrals @ to_series / 2
