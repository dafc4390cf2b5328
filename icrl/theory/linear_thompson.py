"""Thompson sampling for linear bandits as a transformer."""

import numpy as np

from envs.base import Family
from icrl.theory import ridge as regression
from icrl.theory.compiler import Construction
from icrl.theory.gadgets import Layer, product
from icrl.theory.stream import Stream


def linear_thompson(
    family: Family,
    *,
    prior_variance: float = 1.0,
    noise_std: float | None = None,
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

    Source: ours, in place of Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on linear
    Thompson sampling, whose last step is assumed and not constructed.

    Args:
        family: whose observation is the features of the arms, in [-1, 1].
        prior_variance: v, of every coordinate of theta.
        noise_std: √r, which the learner assumes; the family's own if not given.
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
    drawn = half / largest + noise * (std / np.sqrt(largest))

    def times_root(vector: np.ndarray, to: np.ndarray) -> Layer:
        rows = zip(root, to, strict=True)
        return Layer([h for r, t in rows for h in product(stream, r, vector, t, bound)])

    scores = [
        head
        for arm, to in zip(shown, logits, strict=True)
        for head in product(stream, arm, theta, to, bound)
    ]
    return Construction(
        stream=stream,
        embed=[*shown.ravel(), *x, reward, *noise],
        constant=moments.first + first,
        layers=[
            moments.layer,
            *inside,
            times_root(moments.moment, half),
            times_root(drawn, theta),
            Layer(scores),
        ],
        logits=[*(logits / temperature)],
        max_tokens=2 * family.horizon + 1,
        limits=[
            *[(-1.0, 1.0)] * (arms * dim + dim),
            (-most_reward, most_reward),
            *[(-most_noise, most_noise)] * dim,
        ],
    )
