"""The residual stream of a constructed transformer: coordinates by name, linear forms.

A construction says what each layer adds to which coordinates. It writes linear forms
of the stream as sums of fields, `gram + ridge * one`, and never a matrix.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


class Form:
    """A linear form of the stream: a weight for each of some coordinates.

    A form of one coordinate with weight 1 is also that coordinate, and a form is also a
    direction, into which something is added.
    """

    def __init__(self, weights: Mapping[int, float]):
        self.weights = {at: float(w) for at, w in weights.items() if w != 0}

    def __add__(self, other: "Form") -> "Form":
        if not isinstance(other, Form):
            return NotImplemented
        return _sum([(self, 1.0), (other, 1.0)])

    def __mul__(self, factor: float | int) -> "Form":
        return Form({at: factor * weight for at, weight in self.weights.items()})

    __rmul__ = __mul__

    def __neg__(self) -> "Form":
        return self * -1.0

    def __sub__(self, other: "Form") -> "Form":
        return _sum([(self, 1.0), (other, -1.0)])

    def __truediv__(self, factor: float | int) -> "Form":
        return self * (1.0 / factor)

    def row(self, width: int) -> np.ndarray:
        """Its weights as a row of a matrix."""
        row = np.zeros(width)
        row[list(self.weights)] = list(self.weights.values())
        return row


NOTHING = Form({})


def dot(weights: np.ndarray, forms: Any) -> Form:
    """A weighted sum of forms."""
    return _sum(zip(forms, weights.tolist(), strict=True))


def _sum(terms: Iterable[tuple[Form, float]]) -> Form:
    """Forms times factors, added up in one pass: tables have 10^5 of them."""
    weights: dict[int, float] = {}
    for form, factor in terms:
        for at, weight in form.weights.items():
            weights[at] = weights.get(at, 0.0) + factor * weight
    return Form(weights)


class Stream:
    """The coordinates of a stream: a field is an array of forms, one coordinate each.

    Every token has `one`, which is 1; `place`, its number from 1 on; and its `square`.
    """

    def __init__(self) -> None:
        self.width = 0
        self.names: dict[str, Any] = {}
        self.one = self.add("one")
        self.place = self.add("place")
        self.square = self.add("square")

    def add(self, name: str, *shape: int) -> Any:
        """Adds a field of this shape, which is zero at first.

        Raises:
            ValueError: if there is one of this name.
        """
        if name in self.names:
            raise ValueError(f"a field must have a name of its own, got {name!r} twice")
        field = np.empty(shape, object)
        for index in np.ndindex(*shape):
            field[index] = Form({self.width: 1.0})
            self.width += 1
        self.names[name] = field if shape else field[()]
        return self.names[name]

    def read(self, name: str, stream: Any) -> Any:
        """The values of a field in streams of tokens [..., width]."""
        field = np.asarray(self.names[name])
        places = [next(iter(form.weights)) for form in field.ravel()]
        return stream[..., np.array(places)].reshape(*stream.shape[:-1], *field.shape)
