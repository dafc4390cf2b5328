"""Where the rule of an option begins and ends: what `test_options.py` and others try.

A rule that is off by one, or that says `<` for `<=`, differs from the right one at its
edge alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

NEAR = 1e-6  # the distance of a number that is next to another


class Edge(NamedTuple):
    """A rule, with the first values that it refuses and the last that it accepts."""

    rule: str  # as the error states it; "{}" is the name of the option
    refused: tuple[Any, ...]
    accepted: tuple[Any, ...]


def at_least(least: int) -> Edge:
    return Edge(f"{{}} must be at least {least}", (least - 1,), (least,))


def one_of(*names: str) -> Edge:
    return Edge(f"{{}} must be one of {', '.join(names)}", ("other",), names)


NOT_NEGATIVE = Edge("{} must not be negative", (-NEAR,), (0.0,))
POSITIVE = Edge("{} must be positive", (0.0,), (NEAR,))
INSIDE = Edge("{} must lie in (0, 1)", (0.0, 1.0), (NEAR, 1 - NEAR))
PROBABILITY = Edge("{} must lie in [0, 1]", (-NEAR, 1 + NEAR), (0.0, 1.0))
ANYTHING = Edge("", (), ())  # no rule, or none that has an edge


def hold(edge: Edge, option: str, make: Callable[[Any], Any]) -> None:
    """Fails unless `make(value)` refuses and accepts what the rule does."""
    for value in edge.refused:
        with pytest.raises(ValueError) as error:
            make(value)
        message = str(error.value)
        assert message.startswith(f"{edge.rule.format(option)}, got "), message
        assert "\n" not in message
    for value in edge.accepted:
        make(value)
