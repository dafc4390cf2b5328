"""Thompson sampling for linear bandits as a transformer."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from envs.base import Family, require
from icrl.algorithms.linear.linear_thompson import normal_nodes
from icrl.theory import pade
from icrl.theory import ridge as regression
from icrl.theory.compiler import Construction
from icrl.theory.gadgets import Head, Layer, Repeated, Unit, product, table, tournament
from icrl.theory.knots import log_knots
from icrl.theory.stream import NOTHING, Form, Stream, dot

RAMP = 0.01  # reward units
LEAST_SHARE = 1e-4
LOG_ERROR = 1e-4  # of the table of logarithms
SCHEMES = ("newton_schulz", "pade")


def linear_thompson(
    family: Family,
    *,
    prior_variance: float = 1.0,
    noise_std: float | None = None,
    num_nodes: int = 0,
    scheme: str = "newton_schulz",
    iterations: int = 12,
    terms: int = 12,
    descent_layers: int = 300,
    temperature: float = 1e-9,
    bound: float = 64.0,
    bound_of_sums: float = 4096.0,
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

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on linear Thompson sampling
    (`pade`), whose last step is assumed and not constructed: draw and nodes are ours.

    Args:
        family: whose observation is the features of the arms, in [-1, 1].
        prior_variance: v, of every coordinate of theta.
        noise_std: √r, which the learner assumes; the family's own if not given.
        num_nodes: a power of 2; 0: a draw in the token.
        scheme: one of SCHEMES: the root by the coupled Newton-Schulz iteration (ours),
            or by a Padé approximation, each term of which is a system for accelerated
            gradient descent, as is what is then divided by Σ.
        iterations: of `newton_schulz`, two layers each.
        terms: of `pade`.
        descent_layers: of `pade`, of each of its two descents.
        temperature: of the softmax, reward units.
        bound: as in `gadgets.product`.
        bound_of_sums: the same where Σ^{-1/2} meets Σ y x, which grows with the steps.
        most_reward: the largest reward, either way, for which `bound` was tested.
        most_noise: the same of the normal numbers.

    Raises:
        ValueError: if the family is no linear bandit whose arms are shown, the scheme
            is unknown, or there are no terms or layers.
    """
    family = regression.arms_on_show(family)
    require(scheme in SCHEMES, f"scheme must be one of {', '.join(SCHEMES)}", scheme)
    require(terms >= 1, "terms must be at least 1", terms)
    require(descent_layers >= 1, "descent_layers must be at least 1", descent_layers)
    std = family.noise_std if noise_std is None else noise_std
    arms, dim = family.num_actions, family.dim
    stream = Stream()
    shown, x = stream.add("arms", arms, dim), stream.add("x", dim)
    reward, noise = stream.add("reward"), stream.add("noise", dim)
    task = _Task(
        shown=shown,
        x=x,
        reward=reward,
        noise=None if num_nodes else noise,
        std=std,
        ridge=std**2 / prior_variance,
        steps=family.horizon,
    )
    if scheme == "newton_schulz":
        solved = _by_newton_schulz(stream, task, iterations, bound, bound_of_sums)
    else:
        solved = _by_pade(stream, task, terms, descent_layers)
    logits = stream.add("score", arms)
    layers = [*solved.layers, Layer(_times(stream, shown, solved.theta, logits, bound))]
    if num_nodes:
        layers += _shares(stream, logits, solved.slopes, num_nodes)
        logits, temperature = stream.names["log_share"], 1.0
    return Construction(
        stream=stream,
        embed=[*shown.ravel(), *x, reward, *([] if num_nodes else noise)],
        constant=solved.constant,
        layers=layers,
        logits=[*(logits / temperature)],
        max_tokens=2 * family.horizon + 1,
        places=solved.places,
        limits=[
            *[(-1.0, 1.0)] * (arms * dim + dim),
            (-most_reward, most_reward),
            *[(-most_noise, most_noise)] * (0 if num_nodes else dim),
        ],
    )


class _Task(NamedTuple):
    """Fields of a token, and what is assumed of the bandit."""

    shown: np.ndarray  # [arms, dim]
    x: np.ndarray  # [dim]
    reward: Form
    noise: np.ndarray | None  # [dim]: the draw; None: for all draws at once
    std: float  # of the rewards
    ridge: float
    steps: int


class _Solved(NamedTuple):
    """What the posterior says."""

    layers: Sequence[Layer | Repeated]
    theta: np.ndarray  # forms [dim]: what was drawn; without a draw, the mean
    slopes: np.ndarray  # forms [arms, dim], without a draw: √r Σ^{-1/2} a
    constant: Form = NOTHING
    places: Mapping[str, np.ndarray] = {}


def _times(
    stream: Stream, matrix: np.ndarray, vector: np.ndarray, to: np.ndarray, bound: float
) -> list[Head]:
    """Adds the matrix times the vector."""
    rows = zip(matrix, to, strict=True)
    return [h for row, t in rows for h in product(stream, row, vector, t, bound)]


def _by_newton_schulz(
    stream: Stream, task: _Task, iterations: int, bound: float, bound_of_sums: float
) -> _Solved:
    """Σ^{-1/2}, then what it is multiplied with."""
    arms, dim = task.shown.shape
    largest = float(dim) * (task.steps - 1) + task.ridge
    moments = regression.gather(stream, task.x, task.reward, task.ridge, largest)
    root, first, inside = regression.inverse_root(
        stream, moments.gram, iterations, bound
    )
    half, theta = stream.add("half", dim), stream.add("theta", dim)
    spread = task.std / np.sqrt(largest)
    inner, slopes, heads = half / largest, np.empty((0, dim), object), []
    if task.noise is None:
        turned = stream.add("turned", arms, dim)  # Σ^{-1/2} a
        for arm, to in zip(task.shown, turned, strict=True):
            heads += _times(stream, root, arm, to, bound)
        slopes = turned * spread
    else:
        inner = inner + task.noise * spread
    layers = [
        moments.layer,
        *inside,
        Layer(_times(stream, root, moments.moment, half, bound_of_sums)),
        Layer([*_times(stream, root, inner, theta, bound), *heads]),
    ]
    return _Solved(layers, theta, slopes, moments.first + first)


def _by_pade(stream: Stream, task: _Task, terms: int, descent_layers: int) -> _Solved:
    """Σ^{1/2} times the draw or every arm, and the mean; then Σ⁻¹ times the former."""
    dim, decides = len(task.x), stream.add("decides")
    root = pade.root(terms, task.ridge, float(dim), task.steps)
    vectors = task.shown if task.noise is None else task.noise[None]
    mean = regression.System(None, task.ridge)
    of_root = [pade.systems(root, vector) for vector in vectors]

    def descend(
        systems: Sequence[regression.System], least: float, prefix: str
    ) -> tuple[np.ndarray, Repeated]:
        descent = regression.accelerated(descent_layers, least, root.most)
        return regression.descend(
            stream, task.x, task.reward, systems, decides, descent, prefix=prefix
        )

    first, roots = descend([mean, *itertools.chain(*of_root)], root.least, "root_")
    solved = first[1:].reshape(len(vectors), terms, dim)
    halves = [
        pade.combined(root, vector, u)
        for vector, u in zip(vectors, solved, strict=True)
    ]
    divided, quotients = descend(
        [regression.System(half, task.ridge) for half in halves],
        task.ridge / (2 * task.steps - 1),
        "",
    )
    theta = first[0] if task.noise is None else first[0] + divided[0] * task.std
    places = {"decides": 1.0 - np.arange(2 * task.steps + 1) % 2}
    return _Solved([roots, quotients], theta, divided * task.std, places=places)


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
