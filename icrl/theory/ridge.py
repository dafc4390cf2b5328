"""Ridge regression in context: four iterations that layers of ReLU attention can run.

With the features x_j and rewards r_j of earlier steps, A = ridge I + Σ x xᵀ:

    gradient      gradient descent on every system A w = b at once, one layer a step:
                  e^{-depth / κ} at least
    accelerated   the same with momentum: e^{-depth / √κ}           (as in the paper)
    chebyshev     the same with a momentum of its own for each layer: e^{-2 depth / √κ}
    newton_schulz X ← X (2 I - A X), two layers a step: the digits double   (ours)

κ is the largest condition number of A. The paper's theorem is about the second;
matrices can be multiplied within a token, so that the last needs O(log T) layers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from envs.base import Family, require
from envs.linear_bandit import LinearBanditFamily
from icrl.theory.gadgets import Head, Layer, Repeated, Unit, add, clear, product, total
from icrl.theory.stream import NOTHING, Form, Stream


def arms_on_show(family: Family) -> LinearBanditFamily:
    """Returns the family, a linear bandit whose observations are its arms' features.

    Raises:
        ValueError: if it is not.
    """
    shown = isinstance(family, LinearBanditFamily) and family.arms != "fixed"
    rule = "the family must be a linear bandit that shows its arms' features"
    require(shown, rule, family.name)
    assert isinstance(family, LinearBanditFamily)  # for type checkers
    return family


class Moments(NamedTuple):
    """What ridge regression knows: sums over the steps so far, as fields."""

    gram: np.ndarray  # [dim, dim]: ridge I + Σ x xᵀ, over `scale`
    moment: np.ndarray  # [dim]: Σ r x
    first: Form  # value of the Gram matrix before any step
    layer: Layer


def gather(
    stream: Stream, x: np.ndarray, reward: Form, ridge: float, scale: float = 1.0
) -> Moments:
    """Returns the sums, in one layer of 2 dim heads.

    Args:
        stream: of the construction.
        x: forms of the features that an action had; 0 in tokens without one.
        reward: likewise.
        ridge: on the diagonal.
        scale: by which the Gram matrix is divided.
    """
    dim = len(x)
    gram, moment = stream.add("gram", dim, dim), stream.add("moment", dim)
    heads = [
        head
        for p in range(dim)
        for head in total(stream, x[p], [*(x / scale), reward], [*gram[p], moment[p]])
    ]
    return Moments(gram, moment, trace(gram) * (ridge / scale), Layer(heads))


def newton_schulz(
    stream: Stream, gram: np.ndarray, iterations: int, largest: float, bound: float
) -> tuple[np.ndarray, Form, list[Layer]]:
    """The inverse of the Gram matrix: 2 layers an iteration, 2 dim² heads each.

    Args:
        stream: of the construction.
        gram: the matrix, a field.
        iterations: how many.
        largest: at least the sum of its largest and its least eigenvalue.
        bound: as in `product`.

    Returns:
        The field of the inverse; its first value, as a constant; and the layers.
    """
    dim = len(gram)
    inverse, error = stream.add("inverse", dim, dim), stream.add("error", dim, dim)
    less = [
        head
        for p in range(dim)
        for q in range(dim)
        for head in product(stream, -gram[p], inverse[:, q], error[p, q], bound)
    ]
    residual = identity(stream, dim) + error
    more = [
        head
        for p in range(dim)
        for q in range(dim)
        for head in product(stream, inverse[p], residual[:, q], inverse[p, q], bound)
    ]
    layers = [Layer(less), Layer(more, clear(error))] * iterations
    return inverse, trace(inverse) * (2 / largest), layers


def inverse_root(
    stream: Stream, gram: np.ndarray, iterations: int, bound: float
) -> tuple[np.ndarray, Form, list[Layer]]:
    """The inverse of the symmetric root: 2 layers an iteration, 4 dim² heads at most.

        W = (3 I - Z Y) / 2,  Y ← Y W,  Z ← W Z;  Y begins as the matrix, Z as I.

    Source: Higham 2008, "Functions of Matrices", equation 6.35.

    Args:
        stream: of the construction.
        gram: a field, of eigenvalues in (0, 1]; its root takes its place.
        iterations: how many.
        bound: as in `product`.

    Returns:
        The field of the inverse root; its first value, as a constant; and the layers.
    """
    dim = len(gram)
    root, error = stream.add("inverse_root", dim, dim), stream.add("error", dim, dim)
    pairs = [(p, q) for p in range(dim) for q in range(dim)]
    less = [
        head
        for p, q in pairs
        for head in product(stream, root[p] * -0.5, gram[:, q], error[p, q], bound)
    ]
    change = identity(stream, dim) * 0.5 + error  # W - I
    more = [
        head
        for p, q in pairs
        for head in (
            *product(stream, gram[p], change[:, q], gram[p, q], bound),
            *product(stream, change[p], root[:, q], root[p, q], bound),
        )
    ]
    layers = [Layer(less), Layer(more, clear(error))] * iterations
    return root, trace(root), layers


def trace(matrix: np.ndarray) -> Form:
    """The sum of the diagonal; as a direction, the identity."""
    return sum(np.diag(matrix), NOTHING)


def identity(stream: Stream, dim: int) -> np.ndarray:
    """The identity matrix, as forms."""
    return np.array(
        [[stream.one * float(p == q) for q in range(dim)] for p in range(dim)]
    )


class Descent(NamedTuple):
    """Step size and momentum of each layer.

    With gradients g at v:  `nesterov`  w' = v - rate g,  v' = w' + momentum (w' - w);
    else w' = v - rate g + momentum (v - w), where w is the v before and v' is w'.
    """

    rates: np.ndarray
    momenta: np.ndarray
    nesterov: bool


def curvatures(
    ridge: float, largest: float, steps: int, *, tight: bool
) -> tuple[float, float]:
    """The least and the largest curvature of the regression over its tokens, at T.

    At step t there are i = 2 t - 1 tokens, and the function is that of A / i. Its
    largest curvature, ((t - 1) largest + ridge) / i, is that of t = T or of t = 1.

    Args:
        ridge: of the regression.
        largest: squared norm of a feature vector, at most.
        steps: T.
        tight: whether the largest is that of the worst step; else the paper's, largest
            + ridge.
    """
    tokens = 2 * steps - 1
    last = ((steps - 1) * largest + ridge) / tokens
    return ridge / tokens, max(last, ridge) if tight else largest + ridge


def gradient(depth: int, least: float, most: float) -> Descent:
    """Gradient descent for curvatures from `least` to `most`."""
    del least
    return Descent(np.full(depth, 1 / most), np.zeros(depth), nesterov=False)


def accelerated(depth: int, least: float, most: float) -> Descent:
    """Nesterov's gradient descent for curvatures from `least` to `most`.

    Source: Nesterov 2018, "Lectures on Convex Optimization", scheme 2.2.22.
    """
    root = np.sqrt(most / least)
    momentum = (root - 1) / (root + 1)
    return Descent(np.full(depth, 1 / most), np.full(depth, momentum), nesterov=True)


def chebyshev(depth: int, least: float, most: float) -> Descent:
    """Chebyshev's semi-iteration for curvatures from `least` to `most`.

    Source: Saad 2003, "Iterative Methods for Sparse Linear Systems", Algorithm 12.1.
    """
    centre, half = (most + least) / 2, (most - least) / 2
    rates, momenta, ratio = [1 / centre], [0.0], half / centre
    for _ in range(depth - 1):
        after = 1 / (2 * centre / half - ratio)
        rates.append(2 * after / half)
        momenta.append(after * ratio)
        ratio = after
    return Descent(np.array(rates), np.array(momenta), nesterov=False)


class System(NamedTuple):
    """(weight Σ x xᵀ + ridge I) w = right, in every token that decides."""

    # forms [dim], 0 where nothing is decided; None: weight Σ r x
    right: np.ndarray | None
    ridge: float
    weight: float = 1.0


def descend(
    stream: Stream,
    x: np.ndarray,
    reward: Form,
    systems: Sequence[System],
    decides: Form,
    descent: Descent,
    *,
    prefix: str = "",
) -> tuple[np.ndarray, Repeated]:
    """Solves all systems side by side, one layer a step.

    Args:
        stream: of the construction.
        x: forms of the features that an action had; 0 in tokens without one.
        reward: likewise.
        systems: to be solved.
        decides: 1 in tokens that decide, 0 in others: all solutions stay 0 there, as
            step sizes are not made for them.
        descent: how.
        prefix: of the names of fields.

    Returns:
        The field of the solutions [systems, dim]; and the layers.
    """
    number, dim = len(systems), len(x)
    solution = stream.add(f"{prefix}solution", number, dim)
    point = stream.add(f"{prefix}point", number, dim)  # where the gradient is taken
    change = stream.add(f"{prefix}change", number, dim)
    answer = solution if descent.nesterov else point
    own = (stream.one - stream.place, stream.one), (stream.one, stream.place)

    def layer(rate: float, momentum: float) -> Layer:
        heads: list[Head] = []
        for s, (right, ridge, weight) in enumerate(systems):
            query, key, pull = [*point[s]], [*x], point[s] * -ridge
            if right is None:
                query, key = [*query, -decides], [*key, reward]
            else:
                pull = pull + right
            for sign in (1.0, -1.0):  # change -= rate / i Σ x (⟨x, point⟩ - r)
                signed = [form * (rate * weight * sign) for form in query]
                heads.append(Head(signed, key, x * -sign, change[s], own=False))
            heads.append(Head(*own, pull * rate, change[s], own=True))
        units: list[Unit] = []
        for now, old, step in zip(
            point.ravel(), solution.ravel(), change.ravel(), strict=True
        ):
            after = now + step
            if descent.nesterov:
                units += add(after - old, old)
                units += add(after + (after - old) * momentum - now, now)
            else:
                units += add(now - old, old)
                units += add(step + (now - old) * momentum, now)
            units += clear(step)
        return Layer(heads, units)

    found: dict[tuple[float, float], Layer] = {}
    layers = []
    for pair in zip(descent.rates.tolist(), descent.momenta.tolist(), strict=True):
        if pair not in found:
            found[pair] = layer(*pair)
        layers.append(found[pair])
    return answer, Repeated(layers)
