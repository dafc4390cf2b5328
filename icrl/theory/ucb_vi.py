"""Soft UCB-VI as a transformer."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.base import Family, require_discrete
from icrl.models import Transformer
from icrl.theory.compiler import Construction
from icrl.theory.depth import at_every_depth
from icrl.theory.gadgets import (
    Head,
    Layer,
    Unit,
    clear,
    clipped,
    gate,
    product,
    table,
    tournament,
)
from icrl.theory.stream import NOTHING, Stream
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.encoding import decisions

SCALE = 0.025  # of the bonus; with the theorem's, 1, it would play uniformly


def ucb_vi(
    family: Family,
    *,
    num_episodes: int,
    scale: float = SCALE,
    max_reward: float = 1.0,
) -> Construction:
    """Returns the transformer that plays soft `ucb_vi(counts_per_step=True)`.

    Its bonus is lin2023's, delta 1 / (H K), temperature 1 / K, not monotone. Tokens are
    `interleaved_ended`. At the state after a step, and at the token that ends an
    episode, the transition is gathered; counts of the episodes before; averages and
    bonuses by tables; then one backup for each step, from the last one on.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on soft UCB-VI. Ours: the
    maximum is a tournament (their gadget adds up what rises: (1, 0, 1) gives 2), tables
    are of one count and not of two, and places tell i times the episode, too.

    Args:
        family: an MDP with rewards in [0, max_reward].
        num_episodes: K.
        scale: of the bonus 2 C √(ln(S A H K / delta) / n).
        max_reward: of a step.

    Raises:
        ValueError: if observations are not integers.
    """
    states, actions = require_discrete("ucb_vi", family).n, family.num_actions
    horizon, cap = family.horizon, family.horizon * max_reward
    stream = Stream()
    here = stream.add("state", states)
    done, reward = stream.add("action", actions), stream.add("reward")
    places = _places(stream, horizon, num_episodes)
    one, place = stream.one, stream.place
    step, episode = stream.names["step"], stream.names["episode"]
    has_state = stream.names["has_state"]

    # what the two tokens before said, and at which step this is
    left, did = stream.add("left", states), stream.add("did", actions)
    earned, now = stream.add("earned"), stream.add("now", horizon + 1)
    said, to = [*here, *done, reward], [*left, *did, earned]
    distance = (place, place * 3.0 - stream.square), (place, one)
    gathered = [
        _shifted(stream, distance, shift, np.array(said) * sign, to)
        for shift, sign in ((0, 1.0), (1, -1.0), (2, -1.0))
    ]
    bumps = [
        Unit(step - h * one + bend * one, weight * now[h])
        for h in range(horizon + 1)
        for bend, weight in ((1.0, 1.0), (0.0, -2.0), (-1.0, 1.0))
    ]
    layers = [Layer(gathered, bumps)]

    # which cell the last step was in, its reward, and where it led
    cells = [
        (h, s, a) for h in range(horizon) for s in range(states) for a in range(actions)
    ]
    shape = horizon, states, actions
    cell, gain = stream.add("cell", *shape), stream.add("gain", *shape)
    move = stream.add("move", horizon - 1, states, actions, states)
    units: list[Unit] = []
    for h, s, a in cells:
        holds = now[h + 1] + left[s] + did[a] + has_state - 4.0 * one
        units.append(Unit(holds + one, cell[h, s, a]))
        units.append(Unit(earned + holds * max_reward, gain[h, s, a]))
        if h < horizon - 1:
            units += [Unit(holds + here[n], move[h, s, a, n]) for n in range(states)]
    layers.append(Layer((), units))

    # sums over earlier episodes, then tables of 1 / n and of the bonus
    count, total = stream.add("count", *shape), stream.add("total", *shape)
    moves = stream.add("moves", *move.shape)
    stored = [*cell.ravel(), *gain.ravel(), *move.ravel()]
    summed = [*count.ravel(), *total.ravel(), *moves.ravel()]
    by_place = stream.names["place_times_episode"]
    sums = [
        Head([by_place - place * gap, place], [one, -episode], values, summed, False)
        for gap, values in ((0.0, stored), (1.0, [-form for form in stored]))
    ]
    share, bonus = stream.add("share", *shape), stream.add("bonus", *shape)
    counts = np.arange(num_episodes + 1.0)
    known = np.maximum(counts, 1.0)
    level = math.log(states * actions * horizon * num_episodes * horizon * num_episodes)
    widths = scale * 2 * cap * np.sqrt(level / known)
    units = []
    for index in cells:
        both = np.array([1 / known, widths])
        to = [share[index], bonus[index]]
        units += table(stream, count[index], counts, both, to)
    layers.append(Layer(sums, units))

    # averages; the last step's values
    mean, chance = stream.add("mean", *shape), stream.add("chance", *move.shape)
    bound = num_episodes + 1.0
    heads: list[Head] = []
    for index in cells:
        heads += product(stream, total[index], share[index], mean[index], bound, +1)
    for index in np.ndindex(*move.shape):
        heads += product(
            stream, moves[index], share[index[:3]], chance[index], bound, +1
        )
    value, values = stream.add("value", states), stream.add("values", *shape)
    backed = stream.add("backed", states, actions)

    def clip(h: int) -> list[Unit]:
        known = mean[h] + bonus[h] + backed
        units = [
            unit
            for s, a in np.ndindex(states, actions)
            for unit in clipped(stream, known[s, a], cap, values[h, s, a])
        ]
        return [*units, *clear(backed)]

    layers.append(Layer(heads, clip(horizon - 1)))
    for h in reversed(range(horizon - 1)):
        layers += tournament(stream, values[h + 1], value)
        heads = [
            head
            for s, a in np.ndindex(states, actions)
            for head in product(
                stream, chance[h, s, a], value, backed[s, a], cap + 1.0, +1
            )
        ]
        layers.append(Layer(heads, [*clip(h), *clear(value)]))

    # the row of this state, then of this step
    rows, row = stream.add("rows", horizon, actions), stream.add("row", actions)
    heads = [
        head
        for h, a in np.ndindex(horizon, actions)
        for head in product(stream, values[h, :, a], here, rows[h, a], cap + 1.0, +1)
    ]
    units = [
        unit
        for h, a in np.ndindex(horizon, actions)
        for unit in gate(stream, rows[h, a], now[h], cap, row[a])
    ]
    layers.append(Layer(heads, units))
    return Construction(
        stream=stream,
        embed=[*here, *done, reward],
        constant=NOTHING,
        layers=layers,
        logits=[*(row * float(num_episodes))],
        max_tokens=len(places["step"]),
        limits=[*[(0.0, 1.0)] * (states + actions), (0.0, max_reward)],
        places=places,
    )


def share_below_clip(
    construction: Construction,
    model: Transformer,
    tokenizer: Tokenizer,
    tokens: Float[Array, "time token"],
    cap: float,
) -> Float[Array, ""]:
    """The share of all values, at all decisions of a context, that were not clipped.

    Were all clipped, UCB-VI would play uniformly, and a match with it say nothing.

    Args:
        construction: of `ucb_vi`.
        model: built from it.
        tokenizer: whose tokens it reads.
        tokens: a context.
        cap: at which values are clipped: the most that an episode can pay.
    """

    def share(stream: Float[Array, "time width"]) -> Float[Array, ""]:
        values = construction.stream.read("values", stream)
        at_decisions = decisions(tokenizer, values.reshape(len(stream), -1))[:-1]
        return jnp.mean(at_decisions < cap - 1e-9)

    return at_every_depth(model, tokens, share, tail=0)[1][-1]


def _places(stream: Stream, horizon: int, episodes: int) -> dict[str, np.ndarray]:
    """What is known of each place: 2 H + 1 an episode, and one behind the last.

    step counts from 0; the token that ends an episode is at step H.
    """
    number = np.arange((2 * horizon + 1) * episodes + 1)
    within, episode = number % (2 * horizon + 1), number // (2 * horizon + 1) + 1.0
    known = {
        "step": (within // 2).astype(float),
        "episode": episode,
        "has_state": 1.0 - within % 2,
        "place_times_episode": (number + 1) * episode,
    }
    for name in known:
        stream.add(name)
    return known


def _shifted(stream: Stream, distance: Any, shift: int, values: Any, to: Any) -> Head:
    """Adds (3 - shift - distance)₊ values of each token: two before have weight 1."""
    query, key = distance
    query = query[0], query[1] - stream.place * float(shift)
    return Head(query, key, values, to, own=False)
