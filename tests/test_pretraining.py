"""The three choices: behaviour policy, expert and tokenizer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.splits import split_prior
from icrl import algorithms, pretraining
from icrl.agents import Recipe
from icrl.config import PretrainingConfig, TrainingConfig
from icrl.pretraining import Example, Pretraining, imitation_loss, methods, sample
from icrl.pretraining.examples import cut
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.tokenizers.step import step
from icrl.training.imitation import plan

KEY = jax.random.key(0)  # of labels, which these experts do not draw


def choices(name="GaussianBandit-DPT-v0", horizon=6, **changes):
    family = envs.family(name, horizon=horizon)
    fields = {
        "tasks": split_prior(family).train,
        "context": lambda task: algorithms.uniform(family),
        "expert": pretraining.optimal_expert(),
        "tokenizer": step(family),
    }
    return Pretraining(**{**fields, **changes})


def test_dpt_labels_every_prefix_with_the_best_arm():
    task, example = None, None

    class Spy:
        def sample(self, key):
            nonlocal task
            task = envs.family("GaussianBandit-DPT-v0", horizon=6).sample(key)
            return task

    example = sample(choices(tasks=Spy()), jax.random.key(0))
    assert task is not None and example.labels.shape == (7, 5)
    assert np.all(example.labels.argmax(1) == task.means.argmax())
    assert np.all(example.weights == 1)


def test_the_label_of_fresh_arms_follows_the_arms():
    drawn = sample(choices("ContextualLinearBandit-v0", horizon=40), jax.random.key(1))
    best = drawn.labels.argmax(1)
    assert len(set(best.tolist())) > 3


def test_the_papers_code_leaves_the_empty_context_untrained():
    expert = pretraining.optimal_expert(empty_context=False)
    example = sample(choices(expert=expert), jax.random.key(2))
    assert example.weights.tolist() == [0.0] + [1.0] * 6


def test_distillation_labels_what_was_done_and_not_what_would_follow():
    example = sample(
        choices(expert=pretraining.taken_actions_expert), jax.random.key(3)
    )
    shown = example.tokens[1:, 1:6]  # each token shows the action before it
    assert np.array_equal(example.labels[:-1], shown)
    assert example.weights.tolist() == [1.0] * 6 + [0.0]


def played(algorithm, horizon=6):
    family = envs.family("BernoulliBandit-Lin2023-v0", horizon=horizon)
    task = family.sample(jax.random.key(5))
    return task, rollout(jax.random.key(6), jax.random.key(7), task, algorithm(family))


def test_soft_labels_of_a_deterministic_algorithm_are_its_actions():
    family = envs.family("BernoulliBandit-Lin2023-v0", horizon=6)
    task, trajectory = played(algorithms.ucb)
    hard, hard_weights = pretraining.taken_actions_expert(KEY, task, trajectory)
    soft, soft_weights = pretraining.probabilities_expert(algorithms.ucb(family))(
        KEY, task, trajectory
    )
    np.testing.assert_array_equal(soft[:-1], hard[:-1])
    assert hard_weights.tolist() == [1.0] * 6 + [0.0]
    assert soft_weights.tolist() == [1.0] * 7


def test_hindsight_labels_every_step_with_what_the_whole_trajectory_says():
    family = envs.family("BernoulliBandit-Lin2023-v0", horizon=40)
    task, trajectory = played(algorithms.uniform, horizon=40)
    exact = algorithms.exact_posterior_sampling(family)
    labels, weights = pretraining.hindsight_expert(exact)(KEY, task, trajectory)
    last = predictions(exact, trajectory)[-1]
    assert labels.shape == (41, 5) and weights.tolist() == [1.0] * 41
    np.testing.assert_allclose(labels, np.broadcast_to(last, (41, 5)), atol=1e-6)


def test_an_expert_without_probabilities_is_refused():
    family = envs.family("BernoulliBandit-Lin2023-v0")
    silent = algorithms.ucb(family)._replace(action_probabilities=None)
    for expert in (pretraining.probabilities_expert, pretraining.hindsight_expert):
        with pytest.raises(ValueError, match="no closed form of its action prob"):
            expert(silent)


def test_the_loss_is_the_cross_entropy_in_nats():
    tokenizer = choices().tokenizer
    example = Example(
        tokens=jnp.zeros((3, 8)),
        labels=jax.nn.one_hot(jnp.array([0, 1, 2]), 5),
        weights=jnp.array([0.0, 1.0, 1.0]),
    )
    total, weight = imitation_loss(jnp.zeros((3, 5)), example, tokenizer)
    assert np.isclose(total, 2 * np.log(5)) and weight == 2


def test_train_and_test_tasks_come_from_different_streams():
    split = split_prior(envs.family("GaussianBandit-DPT-v0"))
    means = [half.sample(jax.random.key(4)).means for half in (split.train, split.test)]
    assert not np.allclose(*means)


@pytest.mark.parametrize(
    ("num_episodes", "num_steps"), [(1, 3), (3, 12)], ids=["a part", "whole episodes"]
)
def test_a_cut_context_is_the_start_of_the_whole_one(num_episodes, num_steps):
    whole = choices(num_episodes=num_episodes)
    family = whole.tokenizer.family
    posterior = algorithms.exact_posterior_sampling(family)
    whole = whole._replace(expert=pretraining.probabilities_expert(posterior))
    short = sample(cut(whole, num_steps), jax.random.key(5))
    long = sample(whole, jax.random.key(5))
    assert short.tokens.shape[0] == num_steps + 1
    for one, other in zip(short, long, strict=True):
        np.testing.assert_allclose(one, other[: num_steps + 1], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "num_steps", "message"),
    [
        ({}, 6, "a shorter context must have 1 to 5 steps, got 6"),
        ({"num_episodes": 3}, 9, "must have whole episodes of 6 steps, got 9"),
        ({"hindsight": True}, 3, "need whole contexts, .* must be none, got 3"),
        ({"collect": lambda *keys: None}, 3, "must be played by an algorithm, got a"),
    ],
    ids=["too long", "broken episode", "hindsight", "collected"],
)
def test_a_context_that_cannot_be_cut_so_is_refused(changes, num_steps, message):
    with pytest.raises(ValueError, match=message):
        cut(choices(**changes), num_steps)


def test_shorter_contexts_of_a_made_set_are_the_beginnings_of_its_own():
    whole = choices(options=PretrainingConfig(num_examples=7))
    config = TrainingConfig(num_steps=40, steps_per_call=1, lengths=(2, 4))
    stages, data = plan(whole, config)
    assert [stage.num_tokens for stage in stages] == [3, 5, 7]
    assert data.tokens.shape[:2] == (7, 7)
    for stage in stages:
        example = stage.draw(data, jax.random.key(3))
        row = stages[-1].draw(data, jax.random.key(3))
        for one, other in zip(example, row, strict=True):
            np.testing.assert_array_equal(one, other[: stage.num_tokens])


def test_approximate_dpt_is_not_cut():
    recipe = Recipe(family="GaussianBandit-DPT-v0", changes={"horizon": 6})
    family = recipe.make_family()
    made = methods.approximate_decision_pretraining(
        recipe,
        algorithms.uniform(family),
        algorithms.exact_posterior_sampling(family),
        PretrainingConfig(),
        behaviour="uniform",
        labels="exact posterior",
    )
    with pytest.raises(ValueError, match="labels in hindsight need whole contexts"):
        cut(made, 3)
