"""Thompson sampling for linear bandits as a transformer."""

import itertools

import numpy as np

from envs.base import Family
from icrl.algorithms.linear.linear_thompson import normal_nodes
from icrl.theory import ridge as regression
from icrl.theory.compiler import Construction
from icrl.theory.gadgets import Head, Layer, Unit, product, table, tournament
from icrl.theory.knots import log_knots
from icrl.theory.stream import Stream, dot

RAMP = 0.01  # reward units
LEAST_SHARE = 1e-4
LOG_ERROR = 1e-4  # of the table of logarithms


def linear_thompson(
    family: Family,
    *,
    prior_variance: float = 1.0,
    noise_std: float | None = None,
    num_nodes: int = 0,
    iterations: int = 12,
    temperature: float = 1e-9,
    bound: float = 64.0,
    most_reward: float = 12.0,
    most_noise: float = 6.0,
) -> Construction:
    """Returns the transformer that plays `linear_thompson(root="symmetric")`.

    Tokens are `interleaved_features`, and end with the `dim` normal numbers of one draw
    (agent `in_context(noise=dim)`). With Σ = r / v I + Σ x xᵀ it calculates

        θ = Σ^{-1/2} (Σ^{-1/2} Σ y x + √r z)

    and the logits ⟨a, θ⟩ / temperature. What is drawn is exact: averaged over z, the
    probability of an arm is Thompson sampling's.

    With nodes, z takes the values of that many quasi-random normal points instead, and
    the logits are those of the shares of points at which an arm is best: tokens end
    with no draw, and the model samples.

    Source: ours, in place of Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on linear
    Thompson sampling, whose last step is assumed and not constructed.

    Args:
        family: whose observation is the features of the arms, in [-1, 1].
        prior_variance: v, of every coordinate of theta.
        noise_std: √r, which the learner assumes; the family's own if not given.
        num_nodes: a power of 2; 0: a draw in the token.
        iterations: of the root, two layers each.
        temperature: of the softmax, reward units.
        bound: as in `gadgets.product`.
        most_reward: the largest reward, either way, for which `bound` was tested.
        most_noise: the same of the normal numbers.

    Raises:
        ValueError: if the family is no linear bandit whose arms are shown.
    """
    family = regression.arms_on_show(family)
    std = family.noise_std if noise_std is None else noise_std
    arms, dim = family.num_actions, family.dim
    ridge = std**2 / prior_variance
    largest = float(dim) * (family.horizon - 1) + ridge
    stream = Stream()
    shown, x = stream.add("arms", arms, dim), stream.add("x", dim)
    reward, noise = stream.add("reward"), stream.add("noise", dim)
    moments = regression.gather(stream, x, reward, ridge, largest)
    root, first, inside = regression.inverse_root(
        stream, moments.gram, iterations, bound
    )
    half, theta = stream.add("half", dim), stream.add("theta", dim)
    logits = stream.add("score", arms)
    spread = std / np.sqrt(largest)
    drawn = half / largest if num_nodes else half / largest + noise * spread

    def times(matrix: np.ndarray, vector: np.ndarray, to: np.ndarray) -> list[Head]:
        rows = zip(matrix, to, strict=True)
        return [h for row, t in rows for h in product(stream, row, vector, t, bound)]

    layers: list[Layer] = [
        moments.layer,
        *inside,
        Layer(times(root, moments.moment, half)),
        Layer(times(root, drawn, theta)),
        Layer(times(shown, theta, logits)),
    ]
    if num_nodes:
        turned = stream.add("turned", arms, dim)  # Σ^{-1/2} a
        of_arms = (times(root, *pair) for pair in zip(shown, turned, strict=True))
        heads = [*layers[-1].heads, *itertools.chain(*of_arms)]
        layers[-1] = Layer(heads)
        layers += _shares(stream, logits, turned * spread, num_nodes)
        logits, temperature = stream.names["log_share"], 1.0
    return Construction(
        stream=stream,
        embed=[*shown.ravel(), *x, reward, *([] if num_nodes else noise)],
        constant=moments.first + first,
        layers=layers,
        logits=[*(logits / temperature)],
        max_tokens=2 * family.horizon + 1,
        limits=[
            *[(-1.0, 1.0)] * (arms * dim + dim),
            (-most_reward, most_reward),
            *[(-most_noise, most_noise)] * (0 if num_nodes else dim),
        ],
    )


def _shares(
    stream: Stream, mean: np.ndarray, slopes: np.ndarray, num_nodes: int
) -> list[Layer]:
    """The logarithms of the shares of nodes z at which mean + ⟨slopes, z⟩ is highest.

    An arm that is less than RAMP below the highest counts in part. Shares below
    LEAST_SHARE count as that.
    """
    arms, dim = slopes.shape
    highest, share = stream.add("highest", num_nodes), stream.add("share", arms)
    log_share = stream.add("log_share", arms)
    nodes = normal_nodes(dim, num_nodes).astype(float)
    worth = np.array(
        [[mean[k] + dot(z, slopes[k]) for k in range(arms)] for z in nodes]
    )
    ramps = [
        Unit(stream.one - (highest[s] - worth[s, k]) / RAMP, share[k] / num_nodes)
        for s, k in np.ndindex(*worth.shape)
    ]
    knots = log_knots(LEAST_SHARE, LOG_ERROR)
    logs = [
        unit
        for k in range(arms)
        for unit in table(stream, share[k], knots, np.log(knots), log_share[k])
    ]
    return [
        *tournament(stream, worth, highest),
        Layer((), ramps),
        Layer((), logs),
    ]
