"""A model in play: the same predictions as in training, one token at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import envs
from icrl.agents.in_context import in_context
from icrl.algorithms.uniform import uniform
from icrl.config import TransformerConfig
from icrl.models.transformer import Transformer
from icrl.replay import predictions, replay
from icrl.rollout import rollout
from icrl.tokenizers import TOKENIZERS
from icrl.tokenizers.encoding import decisions, encode

HORIZON = 7


def make(name, tokenizer_name, horizon=HORIZON, num_episodes=1):
    family = envs.family(name, horizon=horizon)
    tokenizer = TOKENIZERS[tokenizer_name](family)
    model = Transformer(
        TransformerConfig(width=16, num_layers=2, num_heads=2),
        token_size=tokenizer.token_size,
        num_actions=family.num_actions,
        max_tokens=tokenizer.num_tokens(horizon * num_episodes),
        rngs=nnx.Rngs(0),
    )
    return family, tokenizer, model


@pytest.mark.parametrize(
    ("name", "tokenizer_name"),
    [
        ("GaussianBandit-DPT-v0", "query_first"),
        ("GaussianBandit-DPT-v0", "step"),
        ("GaussianBandit-DPT-v0", "interleaved"),
        ("ContextualLinearBandit-v0", "step"),
        ("ContextualLinearBandit-v0", "interleaved"),
        ("ContextualLinearBandit-v0", "step_features"),
        ("ContextualLinearBandit-v0", "interleaved_features"),
        ("RandomMDP-Small-v0", "step_whole"),
        ("RandomMDP-Small-v0", "interleaved"),
    ],
)
def test_playing_and_training_see_the_same_predictions(name, tokenizer_name):
    """Two episodes, so that the end of one and the start of the next are covered."""
    family, tokenizer, model = make(name, tokenizer_name, num_episodes=2)
    key_task, key_noise, key_agent = jax.random.split(jax.random.key(1), 3)
    task = family.sample(key_task)
    trajectory = rollout(key_noise, key_agent, task, uniform(family), num_episodes=2)
    in_play = predictions(in_context(model, tokenizer), trajectory, num_episodes=2)
    logits = decisions(tokenizer, model(encode(tokenizer, trajectory)))
    assert np.allclose(in_play, jax.nn.softmax(logits), atol=1e-5)


def test_a_rollout_equals_the_same_model_rerun_on_its_own_prefix():
    family, tokenizer, model = make("GaussianBandit-DPT-v0", "query_first")
    key_task, key_noise, key_agent = jax.random.split(jax.random.key(2), 3)
    task = family.sample(key_task)
    played = rollout(
        key_noise, key_agent, task, in_context(model, tokenizer, greedy=True)
    )
    logits = model(encode(tokenizer, played))
    assert np.array_equal(played.action, np.argmax(logits[:-1], axis=1))


def test_sampled_actions_follow_the_softmax():
    _, tokenizer, model = make("GaussianBandit-DPT-v0", "query_first", horizon=1)
    algorithm = in_context(model, tokenizer)
    state = algorithm.init()
    obs = jnp.zeros((), jnp.int32)
    keys = jax.random.split(jax.random.key(3), 20_000)
    actions = jax.vmap(lambda key: algorithm.act(key, state, obs)[1])(keys)
    frequencies = np.bincount(actions, minlength=5) / 20_000
    expected = algorithm.action_probabilities(state, obs)
    assert np.allclose(frequencies, expected, atol=5 * 0.5 / 20_000**0.5)


def test_replaying_an_agents_own_trajectory_gives_its_own_actions():
    family, tokenizer, model = make("GaussianBandit-DPT-v0", "step")
    key_task, key_noise, key_agent, key_replay = jax.random.split(jax.random.key(4), 4)
    algorithm = in_context(model, tokenizer, greedy=True)
    played = rollout(key_noise, key_agent, family.sample(key_task), algorithm)
    again = replay(key_replay, algorithm, played)
    assert again.shape == (HORIZON + 1,)
    assert np.array_equal(again[:-1], played.action)
