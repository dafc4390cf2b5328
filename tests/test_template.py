"""The test of `envs/template.py`. Copy it with the template and change it likewise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.check import check_env
from envs.template import FAMILY, CorridorState


def gaps_by_enumeration(task, state):
    """Gaps from walking every sequence of moves: slow, obvious, and independent."""

    def best_return(position, steps_left):
        if steps_left == 0:
            return 0
        return max(q_value(position, action, steps_left) for action in range(3))

    def q_value(position, action, steps_left):
        position = min(max(position + action - 1, 0), task.length - 1)
        pays = int(position == int(task.goal))
        return pays + best_return(position, steps_left - 1)

    position, steps_left = int(state.position), task.horizon - int(state.step)
    q_values = [q_value(position, action, steps_left) for action in range(3)]
    return max(q_values) - np.array(q_values)


def test_it_holds_to_the_contract():
    assert [answer for answer in check_env(FAMILY) if not answer.passed] == []


def test_gaps_are_those_of_enumerating_all_moves():
    family = FAMILY.replace(horizon=6, length=5)
    (answer,) = check_env(family, brute_force=gaps_by_enumeration, only=["brute force"])
    assert answer.passed, answer.message


def test_brute_force_finds_wrong_gaps():
    (answer,) = check_env(
        FAMILY.replace(horizon=4, length=5),
        brute_force=lambda task, state: gaps_by_enumeration(task, state) + 0.5,
        only=["brute force"],
    )
    assert not answer.passed
    assert answer.message.startswith("gaps must be [")


# Known answers: what a reader of the docstring expects.


def test_moving_away_from_the_goal_costs_two_steps():
    task = FAMILY.task(jnp.asarray(8))
    gaps = task.gaps(CorridorState(step=jnp.asarray(0), position=jnp.asarray(4)))
    np.testing.assert_array_equal(gaps, [2, 1, 0])


def test_a_wall_stops_and_the_goal_pays():
    task = FAMILY.replace(noise_std=0.0).task(jnp.asarray(8))
    state = CorridorState(step=jnp.asarray(0), position=jnp.asarray(8))
    state, timestep = task.step(jax.random.key(0), state, jnp.asarray(2))
    assert (int(state.position), float(timestep.reward)) == (8, 1.0)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="length must be at least 2, got 1"):
        FAMILY.replace(length=1)
    with pytest.raises(ValueError, match="noise_std must not be negative, got -1"):
        FAMILY.replace(noise_std=-1.0)
