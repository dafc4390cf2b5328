"""The three choices: who acts, who labels, how it is written."""

import jax
import jax.numpy as jnp
import numpy as np

import envs
from envs.splits import split_prior
from icrl import algorithms, pretraining, tokens
from icrl.pretraining import Example, Pretraining, imitation_loss, sample


def choices(name="GaussianBandit-DPT-v0", horizon=6, **changes):
    family = envs.family(name, horizon=horizon)
    fields = {
        "tasks": split_prior(family).train,
        "context": lambda task: algorithms.uniform(family),
        "expert": pretraining.optimal_expert(),
        "layout": tokens.step(family),
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


def test_the_loss_is_the_cross_entropy_in_nats():
    layout = choices().layout
    example = Example(
        tokens=jnp.zeros((3, 8)),
        labels=jax.nn.one_hot(jnp.array([0, 1, 2]), 5),
        weights=jnp.array([0.0, 1.0, 1.0]),
    )
    total, weight = imitation_loss(jnp.zeros((3, 5)), example, layout)
    assert np.isclose(total, 2 * np.log(5)) and weight == 2


def test_train_and_test_tasks_come_from_different_streams():
    split = split_prior(envs.family("GaussianBandit-DPT-v0"))
    means = [half.sample(jax.random.key(4)).means for half in (split.train, split.test)]
    assert not np.allclose(*means)
