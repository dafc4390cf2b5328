"""The construction kit: every gadget by brute force, in parallel and token by token."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl.theory import gadgets
from icrl.theory.compiler import Construction, build, highest_other_score
from icrl.theory.gadgets import Head, Layer
from icrl.theory.stream import Form, Stream

TOKENS = 9


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def after(make, values, heads=True):
    """What a layer adds to the field `to` of tokens with these fields."""
    stream, embed = Stream(), []
    fields = {name: stream.add(name, *x.shape[1:]) for name, x in values.items()}
    for field in fields.values():
        embed += [*np.ravel(field)]
    to = stream.add("to")
    parts = make(stream, to=to, **fields)
    layer = Layer(parts, ()) if heads else Layer((), parts)
    construction = Construction(
        stream=stream,
        embed=embed,
        constant=Form({}),
        layers=[layer],
        logits=[to],
        max_tokens=TOKENS,
        limits=[(-9.0, 9.0)] * len(embed),
    )
    tokens = np.concatenate([x.reshape(TOKENS, -1) for x in values.values()], axis=1)
    model = build(construction)
    assert highest_other_score(model, jnp.asarray(tokens)) <= 0
    cache, found = model.init_cache(), []
    for token in jnp.asarray(tokens):
        cache, logits = model.step(cache, token)
        found.append(logits[0])
    together = model(jnp.asarray(tokens))[:, 0]
    np.testing.assert_allclose(found, together, atol=1e-9)
    return np.asarray(together)


def drawn(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(0).uniform(low, high, (TOKENS, *shape))


PLACE = np.arange(1.0, TOKENS + 1)


def of_one(name, expected, heads=True, low=-2.0, **options):
    """A gadget of one number a token: its name, options, and what it should add."""
    make = functools.partial(getattr(gadgets, name), **options)
    return (
        lambda stream, to, value: make(stream, value=value, to=to),
        {"value": drawn(low=low)},
        lambda value: expected(value),
        heads,
    )


KNOTS = np.array([-1.0, 0.5, 1.5])
GADGETS = {
    "over place": of_one("times_one_over_place", lambda x: x / PLACE),
    "times place": of_one("times_place", lambda x: x * PLACE, tokens=TOKENS),
    "table": of_one(
        "table",
        lambda x: np.interp(x, KNOTS, [2.0, -1.0, 0.5]),
        heads=False,
        knots=KNOTS,
        heights=np.array([2.0, -1.0, 0.5]),
    ),
    "clipped": of_one("clipped", lambda x: np.clip(x, 0, 1.5), heads=False, most=1.5),
    "product": (
        lambda stream, to, left, right: gadgets.product(stream, left, right, to, 20.0),
        {"left": drawn(3), "right": drawn(3)[::-1]},
        lambda left, right: (left * right).sum(-1),
        True,
    ),
    "total": (
        lambda stream, to, factor, values: gadgets.total(
            stream, factor, [values], [to]
        ),
        {"factor": drawn(), "values": drawn()[::-1]},
        lambda factor, values: np.cumsum(factor * values),
        True,
    ),
    "larger": (
        lambda stream, to, left, right: gadgets.larger(left, right, to),
        {"left": drawn(), "right": drawn()[::-1]},
        lambda left, right: np.maximum(left, right),
        False,
    ),
    "gate": (
        lambda stream, to, value, flag: gadgets.gate(stream, value, flag, 2.0, to),
        {"value": drawn(low=0.0), "flag": (drawn() > 0).astype(float)},
        lambda value, flag: value * flag,
        False,
    ),
    "add": (
        lambda stream, to, value: gadgets.add(value * 3.0, to),
        {"value": drawn()},
        lambda value: 3.0 * value,
        False,
    ),
}


@pytest.mark.parametrize("name", GADGETS)
def test_a_gadget_adds_what_it_says(name):
    make, values, expected, heads = GADGETS[name]
    np.testing.assert_allclose(
        after(make, values, heads), expected(**values), atol=1e-9
    )


def test_a_bound_that_is_too_small_is_noticed():
    left, right = drawn(3, low=5.0, high=9.0), drawn(3, low=5.0, high=9.0)

    def make(stream, to, left, right):
        return gadgets.product(stream, left, right, to, 1.0)

    with pytest.raises(AssertionError):
        after(make, {"left": left, "right": right})


def test_a_tournament_finds_the_largest_where_the_papers_gadget_does_not():
    values = np.array([[1.0, 0.0, 1.0], [0.2, 0.1, 0.7], [0.1, 0.7, 0.2]])
    found = {}
    for gadget in (gadgets.tournament, gadgets.rises):
        stream = Stream()
        field, to = stream.add("values", 3), stream.add("to")
        layers = gadget(stream, field[None], np.array([to]))
        construction = Construction(
            stream=stream,
            embed=[*field],
            constant=Form({}),
            layers=layers,
            logits=[to],
            max_tokens=3,
            limits=[(0.0, 1.0)] * 3,
        )
        answers = build(construction)(jnp.asarray(values))[:, 0]
        found[gadget] = len(layers), answers
    layers, answers = found[gadgets.tournament]
    assert layers == 2
    np.testing.assert_allclose(answers, values.max(1), atol=1e-12)
    layers, answers = found[gadgets.rises]
    assert layers == 1
    np.testing.assert_allclose(answers, [2.0, 0.8, 0.7], atol=1e-12)


def test_a_layer_of_both_kinds_of_heads_reads_as_each():
    """A head that sees its own token alone may stand beside one that sees all."""

    def make(stream, to, value):
        everything = Head([stream.place], [stream.one], [value], [to], own=False)
        own = gadgets.times_one_over_place(stream, value, to)
        return [everything, *own]

    value = drawn(low=0.0)
    expected = np.cumsum(value) + value / PLACE
    np.testing.assert_allclose(after(make, {"value": value}), expected, atol=1e-9)
