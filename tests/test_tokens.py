"""Layouts: what stands in a token, and that both ways of writing agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl.algorithms.uniform import uniform
from icrl.rollout import rollout
from icrl.tokenizers import layouts, tokens


def play(name, **changes):
    family = envs.family(name, **changes)
    key_task, key_noise, key_agent = jax.random.split(jax.random.key(0), 3)
    task = family.sample(key_task)
    return family, rollout(key_noise, key_agent, task, uniform(family))


def test_query_first_is_the_dpt_papers_layout():
    family, trajectory = play("GaussianBandit-DPT-v0", horizon=4)
    layout = layouts.query_first(family)
    written = tokens.encode(layout, trajectory)
    assert layout.token_size == 8  # 1 + 5 + 1 + 1, as in the DPT code
    assert written.shape == (layout.num_tokens(4), 8) == (5, 8)
    assert np.array_equal(written[0], [1, 0, 0, 0, 0, 0, 0, 0])
    for t in range(4):
        arm = np.eye(5)[trajectory.action[t]]
        expected = [1.0, *arm, 1.0, trajectory.timestep.reward[t]]
        assert np.allclose(written[t + 1], expected)


def test_step_carries_what_the_last_step_brought():
    family, trajectory = play("GaussianBandit-DPT-v0", horizon=3)
    written = tokens.encode(layouts.step(family), trajectory)
    assert np.array_equal(written[0], [1, 0, 0, 0, 0, 0, 0, 0])
    for t in range(3):
        arm = np.eye(5)[trajectory.action[t]]
        done = float(t == 2)  # the horizon ended the episode
        expected = [1.0, *arm, trajectory.timestep.reward[t], done]
        assert np.allclose(written[t + 1], expected)


def test_interleaved_alternates_observation_and_action():
    family, trajectory = play("LinearBandit-Lin2023-v0", horizon=3)
    layout = layouts.interleaved(family)
    written = tokens.encode(layout, trajectory)
    assert written.shape == (7, 50 + 10 + 1)
    assert np.allclose(written[::2, :50], trajectory.obs[0].reshape(-1))
    assert np.all(written[::2, 50:] == 0) and np.all(written[1::2, :50] == 0)
    assert np.allclose(written[1::2, -1], trajectory.timestep.reward)
    assert np.array_equal(written[1::2, 50:60].argmax(1), trajectory.action)


def test_an_action_may_be_shown_by_its_features():
    family, trajectory = play("ContextualLinearBandit-v0", horizon=3)
    taken = [trajectory.obs[t, trajectory.action[t]] for t in range(3)]
    layout = layouts.interleaved(family, by_features=True)
    written = tokens.encode(layout, trajectory)
    assert written.shape == (7, 50 + 5 + 1)
    assert np.allclose(written[1::2, 50:55], np.stack(taken))
    written = tokens.encode(layouts.step(family, by_features=True), trajectory)
    assert written.shape == (4, 50 + 5 + 2) and np.all(written[0, 50:] == 0)
    assert np.allclose(written[1:, 50:55], np.stack(taken))
    for name in ("GaussianBandit-DPT-v0", "LinearBandit-DPT-v0"):  # shows no features
        with pytest.raises(ValueError, match=f"is the arms' features, got {name}"):
            layouts.step(envs.family(name), by_features=True)


LAYOUTS = {  # by name, with a family that it can write
    name: "ContextualLinearBandit-v0"
    if name.endswith("features")
    else "GaussianBandit-DPT-v0"
    for name in sorted(layouts.LAYOUTS)
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_decision_n_sees_n_transitions_and_no_more(name):
    family, trajectory = play(LAYOUTS[name], horizon=6)
    layout = layouts.LAYOUTS[name](family)
    another = (trajectory.action[3] + 1) % family.num_actions
    other = trajectory._replace(action=trajectory.action.at[3].set(another))
    same = jnp.all(
        tokens.encode(layout, trajectory) == tokens.encode(layout, other), axis=1
    )
    last_unchanged = layout.tokens_per_step * 3  # the token of decision 3
    assert same[: last_unchanged + 1].all()
    assert not same[: layout.tokens_per_step * 4 + 1].all()


def test_what_follows_a_termination_is_not_shown():
    family, trajectory = play("GaussianBandit-DPT-v0", horizon=4)
    trajectory = trajectory._replace(valid=jnp.array([True, True, False, False]))
    after = tokens.encode(layouts.query_first(family), trajectory)[1:]
    assert np.any(after[:2] != 0, axis=1).all() and np.all(after[2:] == 0)
    after = tokens.encode(layouts.interleaved(family), trajectory)[1::2]
    assert np.any(after[:2] != 0, axis=1).all() and np.all(after[2:] == 0)
    written = tokens.encode(layouts.step(family), trajectory)
    assert np.all(written[3:, 1:] == 0) and written[2, 1:6].sum() == 1


def test_query_first_refuses_families_whose_observations_are_real_numbers():
    with pytest.raises(ValueError, match=r"finitely many.*LinearBandit-Lin"):
        layouts.query_first(envs.family("LinearBandit-Lin2023-v0"))
