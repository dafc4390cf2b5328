"""Soft LinUCB as a transformer."""

import math
from typing import Any

import numpy as np

from envs.base import Family, require
from icrl.theory import ridge as regression
from icrl.theory.compiler import Construction
from icrl.theory.gadgets import Layer, product, table
from icrl.theory.knots import root_knots
from icrl.theory.stream import NOTHING, Stream

WIDTH = 2.0  # of the bonus, as in the paper's experiment
TEMPERATURE = 0.05  # of the softmax, reward units
LEAST = 0.02  # of a bonus squared, over the least that a feature vector of norm 1 has
DESCENTS = {  # and whether they know the largest curvature there can be
    "gradient": (regression.gradient, True),
    "accelerated": (regression.accelerated, True),
    "accelerated_paper": (regression.accelerated, False),
    "chebyshev": (regression.chebyshev, True),
}
SCHEMES = ("newton_schulz", *DESCENTS)


def linucb(
    family: Family,
    *,
    scheme: str = "newton_schulz",
    depth: int = 29,
    ridge: float = 1.0,
    width: float = WIDTH,
    temperature: float = TEMPERATURE,
    root_error: float = 1e-5,
    bound: float = 64.0,
    most_reward: float = 12.0,
) -> Construction:
    """Returns the transformer that plays `linucb(first="index", temperature=...)`.

    Tokens are `interleaved_features`. Layers: sums of x xᵀ and r x; a scheme for the
    inverse, or for every system at once; bounds ⟨a, θ⟩ and aᵀ A⁻¹ a, of which an MLP
    takes the root.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on soft LinUCB, whose
    scheme is `accelerated_paper`. Ours: `newton_schulz`, `chebyshev`, and systems of
    all arms at once.

    Args:
        family: whose observation is the features of the arms, in [-1, 1].
        scheme: one of SCHEMES.
        depth: number of layers.
        ridge: of the regression.
        width: of the bonus.
        temperature: of the softmax, reward units.
        root_error: of the bonus over `width`, at most, where it is in range.
        bound: as in `gadgets.product`.
        most_reward: the largest reward, either way, for which `bound` was tested.

    Raises:
        ValueError: if the family is no linear bandit whose arms are shown, the scheme
            is unknown, or there are too few layers, or an even number of them for
            Newton-Schulz.
    """
    family = regression.arms_on_show(family)
    require(scheme in SCHEMES, f"scheme must be one of {', '.join(SCHEMES)}", scheme)
    arms, dim, steps = family.num_actions, family.dim, family.horizon
    largest = float(dim)  # squared norm of features in [-1, 1]
    stream = Stream()
    shown, x = stream.add("arms", arms, dim), stream.add("x", dim)
    reward, decides = stream.add("reward"), stream.add("decides")
    constant = NOTHING
    layers: list[Any]
    if scheme == "newton_schulz":
        rule = "depth of newton_schulz must be an odd number from 5 on"
        require(depth >= 5 and depth % 2 == 1, rule, depth)
        iterations = (depth - 3) // 2
        moments = regression.gather(stream, x, reward, ridge)
        inverse, first, inside = regression.newton_schulz(
            stream, moments.gram, iterations, largest * (steps - 1) + 2 * ridge, bound
        )
        constant = moments.first + first
        solution = stream.add("solution", 1 + arms, dim)
        given = [moments.moment, *shown]
        heads = [
            head
            for s in range(1 + arms)
            for p in range(dim)
            for head in product(stream, inverse[p], given[s], solution[s, p], bound)
        ]
        layers = [moments.layer, *inside, Layer(heads)]
    else:
        require(depth >= 2, "depth must be at least 2", depth)
        make, tight = DESCENTS[scheme]
        bounds = regression.curvatures(ridge, largest, steps, tight=tight)
        systems = [regression.System(right, ridge) for right in (None, *shown)]
        solution, inside = regression.descend(
            stream, x, reward, systems, decides, make(depth - 1, *bounds)
        )
        layers = [inside]
    mean, square = stream.add("mean", arms), stream.add("square_of_bonus", arms)
    bonus = stream.add("bonus", arms)
    heads, units = [], []
    knots = root_knots(LEAST / (largest * steps + ridge), largest / ridge, root_error)
    for k in range(arms):
        heads += product(stream, shown[k], solution[0], mean[k], bound)
        heads += product(stream, shown[k], solution[1 + k], square[k], bound)
        units += table(stream, square[k], knots, np.sqrt(knots), bonus[k])
    layers.append(Layer(heads, units))
    return Construction(
        stream=stream,
        embed=[*shown.ravel(), *x, reward],
        constant=constant,
        layers=layers,
        logits=[*((mean + bonus * width) / temperature)],
        max_tokens=2 * family.horizon + 1,
        places={"decides": 1.0 - np.arange(2 * family.horizon + 1) % 2},
        limits=[*[(-1.0, 1.0)] * (arms * dim + dim), (-most_reward, most_reward)],
    )


def width_of_theorem(family: Family, *, ridge: float = 1.0) -> float:
    """The width of the bonus with which LinUCB's bounds hold.

        √ridge B_w + σ √(2 ln(2 B_a B_w T) + d ln((d ridge + T B_a²) / (d ridge)))

    where features and theta lie in [-1, 1], so that B_a = B_w = √d.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 4 (alpha of soft LinUCB).
    """
    family = regression.arms_on_show(family)
    dim, steps = family.dim, family.horizon
    level = 2 * math.log(2 * dim * steps) + dim * math.log(1 + steps / ridge)
    return math.sqrt(ridge * dim) + family.noise_std * math.sqrt(level)
