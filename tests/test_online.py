"""Training by reward: stored segments are read again as played, and it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl.agents import Recipe
from icrl.config import TransformerConfig
from icrl.online_config import PpoConfig, VmpoConfig
from icrl.training.experience import Segment, advantages, make_player
from icrl.training.online import online_learner

GTRXL = TransformerConfig(
    width=8,
    num_layers=1,
    num_heads=2,
    mixer=("relative",),
    memory=3,
    join="gru",
    activation="relu",
    rectify=True,
    value_head=True,
)
BANDIT = Recipe(
    family="BernoulliBandit-DPT-v0",
    changes={"num_arms": 3, "horizon": 6},
    tokenizer="rl2",
    model=GTRXL,
)
MDP = dataclasses.replace(
    BANDIT, family="RandomMDP-Small-v0", changes={"horizon": 4}, num_episodes=3
)
SIZES = {
    "num_steps": 4,
    "batch_size": 8,
    "num_epochs": 2,
    "num_minibatches": 2,
    "learning_rate": 1e-2,
    "steps_per_call": 2,
    "checkpoint_every": 2,
}
TINY = PpoConfig(**SIZES)
VMPO = VmpoConfig(**SIZES, segment_steps=3)


def other(recipe, **changes):
    """The recipe with another model."""
    model = TransformerConfig(
        **{"width": 8, "num_layers": 1, "num_heads": 2, "value_head": True, **changes}
    )
    return dataclasses.replace(recipe, model=model)


def config(**changes):
    return dataclasses.replace(TINY, **changes)


def train(recipe, config, seed=0, num_steps=3):
    """States after each step, and what they logged."""
    learner, key = online_learner(recipe, config), jax.random.key(seed)
    step = jax.jit(lambda state, key: learner.step(state, key, None))
    states, logged = [jax.jit(learner.init)(key)], []
    for number in range(num_steps):
        state, line = step(states[-1], jax.random.fold_in(key, number))
        states.append(state)
        logged.append(jax.tree.map(float, line))
    return states, logged


CASES = {
    "whole trials": (BANDIT, TINY),
    "segments shorter than the memory": (BANDIT, config(segment_steps=2)),
    "segments of an MDP's episodes": (MDP, config(segment_steps=4)),
    "segments within episodes": (MDP, config(segment_steps=2)),
    "tokens with a clock": (
        dataclasses.replace(MDP, tokenizer="step_whole"),
        config(segment_steps=2),
    ),
    "a memory of one token": (
        other(BANDIT, mixer=("relative",), memory=1),
        config(segment_steps=3),
    ),
    "gru": (other(MDP, mixer=("gru",)), config(segment_steps=4)),
    "lstm": (other(BANDIT, mixer=("lstm",)), config(segment_steps=3)),
    "attention": (other(MDP), TINY),
    "V-MPO": (BANDIT, VMPO),
    "one trial": (BANDIT, config(batch_size=1, num_minibatches=1, segment_steps=2)),
}


@pytest.mark.parametrize("name", CASES)
def test_ratios_are_one_before_anything_is_learnt(name):
    """In each step: the memory that acted is made anew after every update."""
    _, logged = train(*CASES[name])
    for line in logged:
        assert line["ratio_error"] < 1e-5
        assert line["kl"] > 1e-7, "nothing was learnt"
        assert all(np.isfinite(value) for value in line.values())


def test_seeds_side_by_side_are_each_alone():
    # of a small rate: Adam's first steps have the sign of what may be rounding
    learner = online_learner(BANDIT, config(segment_steps=2, learning_rate=1e-5))
    keys = jax.random.split(jax.random.key(3), 2)

    def two_steps(key):
        def step(state, number):
            return learner.step(state, jax.random.fold_in(key, number), None)

        state, logged = jax.lax.scan(step, learner.init(key), jnp.arange(2))
        return learner.model(state), logged

    together = jax.jit(jax.vmap(two_steps))(keys)
    alone = list(map(jax.jit(two_steps), keys))
    for side in range(2):
        for one, both in zip(
            jax.tree.leaves(alone[side]), jax.tree.leaves(together), strict=True
        ):
            np.testing.assert_allclose(both[side], one, atol=2e-4)


def test_each_seed_of_a_random_search_has_a_setting_of_its_own():
    """It is that of a config with these numbers."""
    searched = config(sweep=10.0)
    _, logged = train(BANDIT, searched, num_steps=1)
    _, other_seed = train(BANDIT, searched, seed=1, num_steps=1)
    own = {n: logged[0][n] for n in ("learning_rate", "entropy_coefficient")}
    assert own["learning_rate"] != other_seed[0]["learning_rate"]
    for name, value in own.items():
        assert 0.1 < value / getattr(searched, name) < 10
        assert abs(value / getattr(searched, name) - 1) > 0.01
    _, same = train(BANDIT, config(**own), num_steps=1)
    for name, value in same[0].items():
        np.testing.assert_allclose(logged[0][name], value, rtol=1e-4, atol=1e-6)


def test_the_reward_of_entropy_falls_along_the_training():
    changed = config(entropy_coefficient=0.1, final_entropy=0.5)
    _, logged = train(BANDIT, changed, num_steps=3)
    coefficients = [line["entropy_coefficient"] for line in logged]
    np.testing.assert_allclose(coefficients, [0.1, 0.0875, 0.075], rtol=1e-6)
    for line, coefficient in zip(logged, coefficients, strict=True):
        loss = line["policy_loss"] + changed.value_coefficient * line["value_loss"]
        expected = loss - coefficient * line["entropy"]
        np.testing.assert_allclose(line["loss"], expected, rtol=1e-5, atol=1e-6)


def test_new_trials_begin_where_the_last_ended_and_not_all_at_once():
    states, _ = train(BANDIT, config(segment_steps=2), num_steps=4)
    played = [np.asarray(state.trials.step) for state in states]
    assert (played[0] == 0).all()
    for steps in played[3:]:  # once the first trials, of which most are cut, are over
        assert set(steps) == {2, 4, 6}
    tasks = [np.asarray(state.trials.task.means) for state in states]
    for number in range(2, 5):
        new = (tasks[number] != tasks[number - 1]).any(axis=1)
        np.testing.assert_array_equal(new, played[number] == 2)


def test_a_segment_is_what_was_played():
    """Rewards and actions stand in the tokens that follow them."""
    player = make_player(BANDIT, None)
    model = BANDIT.make_model(jax.random.key(0))

    @jax.jit
    def collect(key):
        return player.collect(model, player.start(model, key))[1]

    segment = collect(jax.random.key(1))
    tokens = np.asarray(segment.tokens)
    assert tokens.shape[0] == 6
    np.testing.assert_array_equal(tokens[0, -5:], [1, 0, 0, 0, 1])  # as RL² begins
    shown = np.concatenate(
        [np.eye(3)[np.asarray(segment.action)], np.asarray(segment.reward)[:, None]], 1
    )
    np.testing.assert_array_equal(tokens[1:, -5:-1], shown[:-1])
    assert (segment.next_value == 0) and (segment.log_probs < 0).all()


def test_advantages_are_the_weighted_sums_of_errors():
    random = np.random.default_rng(0)
    reward, values = random.normal(size=(2, 9))
    valid = np.array([1, 1, 1, 0, 0, 1, 1, 0, 1], bool)  # two episodes end early
    segment = Segment(
        tokens=jnp.zeros((9, 1)),
        memory=None,
        action=jnp.zeros(9, jnp.int32),
        reward=jnp.asarray(np.where(valid, reward, 0), jnp.float32),
        valid=jnp.asarray(valid),
        log_probs=jnp.zeros(9),
        logits=jnp.zeros((9, 2)),
        values=jnp.asarray(values, jnp.float32),
        next_value=jnp.float32(0.7),
    )
    found = advantages(segment, discount=0.9, gae_lambda=0.6)
    kept = np.flatnonzero(valid)
    following = np.append(values[kept][1:], 0.7)
    errors = reward[kept] + 0.9 * following - values[kept]
    expected = [
        sum(errors[j] * 0.54 ** (j - i) for j in range(i, len(kept)))
        for i in range(len(kept))
    ]
    np.testing.assert_allclose(np.asarray(found)[kept], expected, rtol=1e-5)
    assert (np.asarray(found)[~valid] == 0).all()
    changes = {"reward_scale": 3.0, "reward_offset": 0.5}
    changed = advantages(segment, discount=0.9, gae_lambda=0.6, **changes)
    same = segment._replace(reward=3 * (segment.reward - 0.5))
    assert (changed == advantages(same, discount=0.9, gae_lambda=0.6)).all()


@pytest.mark.parametrize("kind", [PpoConfig, VmpoConfig])
def test_it_learns_which_arm_pays(kind):
    """Uniform play earns 3 of 6 pulls, the Bayes-optimal agent 3.676 (by recursion)."""
    recipe = other(BANDIT, mixer=("gru",), width=16)
    learning = kind(num_steps=60, batch_size=256, learning_rate=3e-3, gae_lambda=0.3)
    _, logged = train(recipe, learning, num_steps=60)
    returns = [line["return"] for line in logged]
    assert np.mean(returns[:3]) < 3.2
    assert np.mean(returns[-10:]) > 3.45
    assert logged[-1]["entropy"] < logged[0]["entropy"]


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        (BANDIT, {"segment_steps": 4}, "segment_steps must divide the 6 steps"),
        (other(BANDIT, value_head=False), {}, "needs a value_head, got none"),
    ],
)
def test_what_cannot_be_trained_online_is_refused(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        online_learner(recipe, config(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 0.0}, "clip must be positive, got 0.0"),
        ({"gae_lambda": 1.5}, r"gae_lambda must lie in \[0, 1\], got 1.5"),
        ({"num_minibatches": 3}, r"batch_size \(8\) must be a multiple of"),
        ({"lengths": (2,)}, r"lengths is of training by imitation, got \(2,\)"),
        ({"segment_steps": 0}, "segment_steps must be at least 1, got 0"),
        ({"reward_scale": 0.0}, "reward_scale must be positive, got 0.0"),
        ({"sweep": 0.5}, "sweep must be at least 1, got 0.5"),
        ({"final_entropy": 2.0}, r"final_entropy must lie in \[0, 1\], got 2.0"),
        ({"entropy_coefficient": -1.0}, "entropy_coefficient must be at least 0"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_at_first_values_are_learnt_and_the_policy_stands():
    sizes = {"num_steps": 20, "batch_size": 32, "num_epochs": 4, "learning_rate": 3e-3}
    logged, moved = {}, {}
    for value_steps in (0, 20):
        changed = config(value_steps=value_steps, **sizes)
        states, logged[value_steps] = train(BANDIT, changed, num_steps=20)
        before, after = (
            state.learned.model.blocks for state in (states[0], states[-1])
        )
        moved[value_steps] = _moved(before, after)
    learnt, held = (sum(line["kl"] for line in logged[n]) for n in (0, 20))
    assert 0 < held < learnt / 10
    assert moved[20] > moved[0] / 2  # what both read is learnt for the values
    errors = [line["value_loss"] for line in logged[20]]
    assert np.mean(errors[-3:]) < errors[0]
    own = train(BANDIT, config(value_steps=2, **sizes), num_steps=4)[1]
    assert own[1]["kl"] < own[2]["kl"] / 3  # then it is learnt


def _moved(before, after):
    moved = jax.tree.map(lambda old, new: jnp.abs(new - old).ravel(), before, after)
    return jnp.concatenate(jax.tree.leaves(moved)).mean()
