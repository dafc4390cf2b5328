"""What one layer of ReLU attention and one MLP can do: the construction kit.

A head adds, to token i,  1/i Σ_{j ≤ i} relu(⟨q_i, k_j⟩) v_j.  Most gadgets are heads of
which no earlier token scores above 0: they calculate within a token, and the model has
a fast way for them (`mixer` relu_own). What makes them so is a term B (j - i), which
must outweigh the scores of earlier tokens: `compiler.highest_other_score` measures it.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Appendices; sums without 1/i from their
unfinished appendix on Bernoulli Thompson sampling. Names G1 to G10 are ours.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from icrl.theory.stream import Form, Stream, dot

Forms: TypeAlias = Sequence[Form] | np.ndarray


class Head(NamedTuple):
    """One attention head, of low rank."""

    query: Forms
    key: Forms
    value: Forms
    to: Forms  # where each of the values is added
    own: bool  # whether no other token scores above 0


class Unit(NamedTuple):
    """One hidden unit of an MLP: relu(of), added into a direction."""

    of: Form
    to: Form


class Layer(NamedTuple):
    """Attention, then an MLP."""

    heads: Sequence[Head] = ()
    units: Sequence[Unit] = ()


class Repeated(NamedTuple):
    """Layers of one shape, one after another, which compile as one.

    A head that sees other tokens must read no key or value that a layer changes.
    """

    layers: Sequence[Layer]


def times_one_over_place(stream: Stream, value: Form, to: Form) -> list[Head]:
    """Adds value / i (G2)."""
    query = (stream.one - stream.place, stream.one)
    key = (stream.one, stream.place)
    return [Head(query, key, [value], [to], own=True)]


def times_place(stream: Stream, value: Form, to: Form, tokens: int) -> list[Head]:
    """Adds i · value (G4), in a context of at most `tokens`."""
    query = (stream.square * (1.0 - tokens), stream.one)
    key = (stream.one, stream.square * tokens)
    return [Head(query, key, [value], [to], own=True)]


def product(
    stream: Stream, left: Any, right: Any, to: Form, bound: float, sign: int = 0
) -> list[Head]:
    """Adds ⟨left, right⟩ of one token (G5).

    Args:
        stream: of the construction.
        left: forms.
        right: as many.
        to: where the product is added.
        bound: times the distance of two tokens, at least |⟨left_i, right_j⟩|.
        sign: +1: the product is known not to be negative, and one head does.
    """
    left, right = np.ravel(left), np.ravel(right)

    def head(sign: float) -> Head:
        # the terms that cancel at the own token stand first, for want of digits
        query = (stream.place * -bound, stream.one * bound, *(left * sign))
        key = (stream.one, stream.place, *right)
        return Head(query, key, [stream.place * sign], [to], own=True)

    return [head(1.0)] if sign > 0 else [head(1.0), head(-1.0)]


def total(stream: Stream, factor: Form, values: Any, to: Any) -> list[Head]:
    """Adds Σ_{j ≤ i} factor_j · values_j, without 1/i (G6)."""
    values, to = np.ravel(values), np.ravel(to)

    def head(sign: float) -> Head:
        return Head([stream.place * sign], [factor], values * sign, to, own=False)

    return [head(1.0), head(-1.0)]


def add(value: Form, to: Form) -> list[Unit]:
    """Adds a linear form (G1)."""
    return [Unit(value, to), Unit(-value, -to)]


def clear(field: Any) -> list[Unit]:
    """Makes every coordinate of a field 0."""
    return [unit for form in np.ravel(field) for unit in add(form, -form)]


def table(
    stream: Stream, value: Form, knots: np.ndarray, heights: np.ndarray, to: Any
) -> list[Unit]:
    """Adds a piecewise linear function of a form, or several of the same knots (G9).

    Constant before the first knot and behind the last.

    Args:
        stream: of the construction.
        value: the argument.
        knots: where it bends, increasing.
        heights: its values there [knots]; of several [functions, knots].
        to: where it is added; of several, where each of them is.
    """
    heights, to = np.atleast_2d(heights), np.ravel(to)
    slopes = np.diff(heights, axis=1) / np.diff(knots)
    edge = np.zeros((len(heights), 1))
    bends = np.diff(np.concatenate([edge, slopes, edge], axis=1), axis=1)
    bent = [
        Unit(value - knot * stream.one, dot(bend, to))
        for knot, bend in zip(knots, bends.T, strict=True)
        if np.any(bend != 0)
    ]
    return [*add(stream.one, dot(heights[:, 0], to)), *bent]


def larger(left: Form, right: Form, to: Form) -> list[Unit]:
    """Adds max(left, right) (G10)."""
    return [*add(right, to), Unit(left - right, to)]


def gate(stream: Stream, value: Form, flag: Form, most: float, to: Form) -> list[Unit]:
    """Adds a value of [0, most] where a flag is 1, and nothing where it is 0."""
    return [Unit(value + (flag - stream.one) * most, to)]


def clipped(stream: Stream, value: Form, most: float, to: Form) -> list[Unit]:
    """Adds min(max(value, 0), most) (G10)."""
    return [Unit(value, to), Unit(value - most * stream.one, -to)]


def rises(stream: Stream, values: np.ndarray, to: np.ndarray) -> list[Layer]:
    """Adds relu(q_1) + Σ relu(q_j - q_{j-1}) of each row: what the paper says is max.

    It is where no value is below 0 and they rise, then fall; of (1, 0, 1) it makes 2.
    No construction has it. Arguments are as for `tournament`, which is right.
    """
    units = []
    for row, target in zip(values, to, strict=True):
        before = [row[0] * 0.0, *row[:-1]]
        units += [
            Unit(now - then, target) for now, then in zip(row, before, strict=True)
        ]
    del stream
    return [Layer((), units)]


def tournament(stream: Stream, values: np.ndarray, to: np.ndarray) -> list[Layer]:
    """Adds the largest of each row, in ⌈log2 columns⌉ layers.

    Source: ours, in place of the paper's gadget, which adds up what rises.

    Args:
        stream: of the construction.
        values: forms [rows, columns].
        to: where the largest of each row is added.
    """
    rows, columns = values.shape
    if columns == 1:
        alone = zip(values[:, 0], to, strict=True)
        return [Layer((), [unit for pair in alone for unit in add(*pair)])]
    name = f"winners_{stream.width}"
    kept: Any = stream.add(name, rows, -(-columns // 2))
    current: Any = values
    layers = []
    while current.shape[1] > 1:
        pairs = -(-current.shape[1] // 2)
        units: list[Unit] = []
        for row, pair in np.ndindex(rows, pairs):
            target: Any = to[row] if pairs == 1 else kept[row, pair]
            first, *second = current[row, 2 * pair : 2 * pair + 2]
            units += larger(first, second[0], target) if second else add(first, target)
        if current is not values:
            units += clear(current)
        layers.append(Layer((), units))
        current = kept[:, :pairs]
    return layers
