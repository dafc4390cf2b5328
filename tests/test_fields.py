"""Sizes that make no family are refused in one line, whatever the family."""

import dataclasses
import typing

import jaxtyping
import pytest

import envs


def numbers():
    """Every numeric field of every registered family, once a class."""
    seen = set()
    for name in envs.names():
        family = envs.family(name)
        kinds = typing.get_type_hints(type(family))
        for field in (f.name for f in dataclasses.fields(family)):
            place = type(family), field
            if kinds[field] in (int, float) and place not in seen:
                seen.add(place)
                yield name, field, kinds[field]


NUMBERS = list(numbers())


@pytest.mark.parametrize(("name", "field", "kind"), NUMBERS)
def test_what_is_no_finite_number_is_refused(name, field, kind, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    bad = [float("nan"), float("inf"), -float("inf"), "5", True]
    for value in [*bad, *([2.5, -1] if kind is int and "seed" not in field else [])]:
        with pytest.raises(ValueError, match=r"got|must"):
            envs.family(name, **{field: value})
    if field.endswith(("_std", "probability", "scale", "concentration")):
        with pytest.raises(ValueError, match=r"got|must"):
            envs.family(name, **{field: -1.0})
