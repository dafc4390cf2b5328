"""A model with query states: a table for each episode, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import envs
from icrl.agents.query_table import query_table
from icrl.algorithms.uniform import uniform
from icrl.config import TransformerConfig
from icrl.evaluation.returns import informed
from icrl.models.transformer import Transformer
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.tokenizers.encoding import encode
from icrl.tokenizers.query_each import query_each
from icrl.tokenizers.query_first import query_first

ROOM = 2  # episodes that the model has room for
FAMILY = envs.family("RandomMDP-Small-v0")


def make_model(tokenizer):
    return Transformer(
        TransformerConfig(width=16, num_layers=2, num_heads=2),
        token_size=tokenizer.token_size,
        num_actions=FAMILY.num_actions,
        max_tokens=tokenizer.num_tokens(ROOM * FAMILY.horizon),
        rngs=nnx.Rngs(0),
    )


@pytest.fixture(scope="module")
def model():
    return make_model(query_first(FAMILY))


def play(algorithm, num_episodes):
    key_task, key_noise, key_agent = jax.random.split(jax.random.key(1), 3)
    task = FAMILY.sample(key_task)
    return rollout(key_noise, key_agent, task, algorithm, num_episodes=num_episodes)


def part(trajectory, start, stop):
    """Some steps of a trajectory."""
    inner = trajectory._replace(final_state=None, final_obs=None)
    cut = jax.tree.map(lambda x: x[start:stop], inner)
    return cut._replace(final_obs=trajectory.final_obs)


@pytest.mark.parametrize("kept", [1, 2])
def test_every_state_is_answered_from_the_last_whole_episodes(model, kept):
    tokenizer, horizon, episodes = query_first(FAMILY), FAMILY.horizon, 4
    history = play(uniform(FAMILY), episodes)
    algorithm = query_table(model, tokenizer, num_episodes=kept)
    found = predictions(algorithm, history, num_episodes=episodes)
    for episode in range(episodes):
        start = max(0, episode - kept) * horizon
        for step in range(horizon):
            now = episode * horizon + step
            known = part(history, start, episode * horizon)
            query = encode(tokenizer, known, history.obs[now])
            probabilities = jax.nn.softmax(model(query)[-1])
            np.testing.assert_allclose(found[now], probabilities, atol=1e-5)


def test_data_given_beforehand_is_the_context_of_the_first_episode(model):
    tokenizer = query_first(FAMILY)
    data = play(uniform(FAMILY), 1)
    algorithm = informed(query_table(model, tokenizer), data)
    state = algorithm.begin_episode(jax.random.key(0), algorithm.init())
    assert algorithm.action_probabilities is not None
    for obs in range(FAMILY.observation.n):
        probabilities = jax.nn.softmax(model(encode(tokenizer, data, obs))[-1])
        answer = algorithm.action_probabilities(state, jnp.asarray(obs))
        np.testing.assert_allclose(answer, probabilities, atol=1e-5)


def test_it_plays_what_the_table_says(model):
    tokenizer = query_first(FAMILY)
    played = play(query_table(model, tokenizer, greedy=True), 3)
    probabilities = predictions(query_table(model, tokenizer), played, num_episodes=3)
    assert np.array_equal(played.action, probabilities[:-1].argmax(-1))


@pytest.mark.parametrize("kept", [1, 2])
def test_one_cache_answers_about_every_state_as_a_pass_for_each_would(kept):
    tokenizer, horizon, episodes = query_each(FAMILY), FAMILY.horizon, 4
    model = make_model(tokenizer)
    history = play(uniform(FAMILY), episodes)
    algorithm = query_table(model, tokenizer, num_episodes=kept)
    found = predictions(algorithm, history, num_episodes=episodes)
    others = np.arange(ROOM * FAMILY.horizon) % FAMILY.observation.n
    for now in range(episodes * horizon):
        episode = now // horizon
        known = part(history, max(0, episode - kept) * horizon, episode * horizon)
        queries = jnp.append(others[: len(known.action)], history.obs[now])
        probabilities = jax.nn.softmax(model(encode(tokenizer, known, queries))[-1])
        np.testing.assert_allclose(found[now], probabilities, atol=1e-5)


@pytest.mark.parametrize("kept", [0, 3])
def test_more_episodes_than_the_model_has_room_for_are_refused(model, kept):
    tokenizer = query_first(FAMILY)
    with pytest.raises(ValueError, match=rf"must lie in \[1, 2\].*got {kept}"):
        query_table(model, tokenizer, num_episodes=kept)
