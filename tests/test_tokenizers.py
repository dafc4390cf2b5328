"""Tokenizers: every registered one keeps the contract; what stands in the tokens."""

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
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.tokenizers import TOKENIZERS
from icrl.tokenizers.base import LastStep, Tokenizer, first_episode
from icrl.tokenizers.encoding import decisions, encode

HORIZON, EPISODES = 4, 2
STEPS = HORIZON * EPISODES
FAMILIES = ("FrozenLake-4x4-v0", "ContextualLinearBandit-v0")  # one of them is written


def with_ends(family):
    """Two tokens of what is seen, one of what is done, one where an episode ends."""
    shown, actions = family.observation.size, family.num_actions
    size = shown + actions + 2

    def observe(memory, obs):
        seen = family.observation.encode(obs)
        tokens = jnp.stack([seen, 2 * seen])
        return memory, jnp.pad(tokens, ((0, 0), (0, size - shown)))

    def record(memory, obs, action, timestep):
        done = jnp.append(jax.nn.one_hot(action, actions), timestep.reward)
        done = jnp.where(memory.episode.alive, done, 0.0)
        end = jax.nn.one_hot(size - 1, size)
        after = memory._replace(episode=memory.episode.after(timestep))
        return after, jnp.stack([jnp.pad(done, (shown, 1)), end])

    return Tokenizer(
        family=family,
        token_size=size,
        tokens_per_step=3,
        init=lambda: LastStep(episode=first_episode(), shown=jnp.zeros(0)),
        observe=observe,
        record=record,
        end_tokens=1,
        last_step_only=True,
    )


def play(name, num_episodes=EPISODES, **changes):
    family = envs.family(name, **changes)

    @jax.jit
    def play_once():
        key_task, key_noise, key_agent = jax.random.split(jax.random.key(0), 3)
        task, agent = family.sample(key_task), uniform(family)
        return rollout(key_noise, key_agent, task, agent, num_episodes=num_episodes)

    return family, play_once()


@pytest.fixture(scope="module")
def histories():
    return [play(name, horizon=HORIZON) for name in FAMILIES]


@pytest.fixture(params=[*TOKENIZERS.names(), "with_ends"])
def written(request, histories):
    """A tokenizer, and a history of the first family that it writes."""
    make = with_ends if request.param == "with_ends" else TOKENIZERS[request.param]
    for family, trajectory in histories:
        try:
            return make(family), trajectory
        except ValueError:
            continue
    raise AssertionError(f"{request.param} writes none of {FAMILIES}")


def test_training_writes_what_play_writes_token_by_token(written):
    tokenizer, trajectory = written
    memory, tokens, last = tokenizer.init(), [], []
    steps = trajectory.obs, trajectory.action, trajectory.timestep
    for t in range(STEPS):
        now = jax.tree.map(lambda x, t=t: x[t], steps)
        memory, observed = tokenizer.observe(memory, now[0])
        last.append(sum(map(len, tokens)) + len(observed) - 1)
        memory, recorded = tokenizer.record(memory, *now)
        ends = (t + 1) % HORIZON == 0
        told = len(recorded) - (0 if ends else tokenizer.end_tokens)
        assert len(observed) + told == tokenizer.tokens_per_step + (
            tokenizer.end_tokens if ends else 0
        )
        tokens += [observed, recorded[:told]]
    tokens.append(tokenizer.observe(memory, trajectory.final_obs)[1])
    whole = encode(tokenizer, trajectory)
    assert whole.shape == (tokenizer.num_tokens(STEPS), tokenizer.token_size)
    assert np.array_equal(whole, jnp.concatenate(tokens))
    positions = [*last, len(whole) - 1]
    assert tokenizer.decision_positions(STEPS).tolist() == positions
    assert np.array_equal(decisions(tokenizer, whole), whole[np.array(positions)])


def test_in_turn_and_in_parallel_are_the_same(written):
    tokenizer, trajectory = written
    in_turn = encode(tokenizer._replace(last_step_only=False), trajectory)
    assert np.array_equal(encode(tokenizer, trajectory), in_turn)


def test_decision_n_sees_n_transitions_and_no_more(written):
    tokenizer, trajectory = written
    never = jnp.zeros(STEPS, bool)  # else nothing may be shown of step n
    timestep = trajectory.timestep._replace(terminated=never)
    trajectory, n = trajectory._replace(timestep=timestep), 2
    another = (trajectory.action[n] + 1) % tokenizer.family.num_actions
    other = trajectory._replace(action=trajectory.action.at[n].set(another))
    one, two = encode(tokenizer, trajectory), encode(tokenizer, other)
    same = np.all(one == two, axis=1)
    before, after = tokenizer.decision_positions(STEPS)[[n, n + 1]]
    assert same[: before + 1].all() and not same[: after + 1].all()


def test_nothing_is_shown_of_what_follows_a_termination(written):
    tokenizer, trajectory = written
    ended = trajectory.timestep.terminated.at[1].set(True)
    timestep = trajectory.timestep._replace(terminated=ended)
    changed = np.zeros(STEPS, bool)
    changed[2:HORIZON] = True  # up to the end of the episode
    one = trajectory._replace(timestep=timestep)
    two = one._replace(
        action=jnp.where(changed, 0, one.action),
        timestep=timestep._replace(reward=jnp.where(changed, 7.0, timestep.reward)),
    )
    assert np.array_equal(encode(tokenizer, one), encode(tokenizer, two))
    changed = ~changed & (np.arange(STEPS) >= HORIZON)  # the next one is shown
    two = one._replace(
        timestep=timestep._replace(reward=jnp.where(changed, 7.0, timestep.reward))
    )
    assert not np.array_equal(encode(tokenizer, one), encode(tokenizer, two))


def test_an_episodes_end_may_add_tokens_in_play_too(histories):
    family, trajectory = histories[1]
    tokenizer = with_ends(family)
    model = Transformer(
        TransformerConfig(width=8, num_layers=1, num_heads=2),
        token_size=tokenizer.token_size,
        num_actions=family.num_actions,
        max_tokens=tokenizer.num_tokens(STEPS),
        rngs=nnx.Rngs(0),
    )

    @jax.jit
    def both(model):
        played = predictions(
            in_context(model, tokenizer), trajectory, num_episodes=EPISODES
        )
        logits = decisions(tokenizer, model(encode(tokenizer, trajectory)))
        return played, jax.nn.softmax(logits)

    played, trained = both(model)
    assert np.allclose(played, trained, atol=1e-5)


def test_a_name_that_nothing_has_is_answered_with_those_that_exist():
    with pytest.raises(ValueError, match="no tokenizer 'steps'; did you mean step"):
        TOKENIZERS.require("steps")


def test_query_first_is_the_dpt_papers():
    family, trajectory = play("GaussianBandit-DPT-v0", 1, horizon=4)
    tokenizer = TOKENIZERS["query_first"](family)
    written = encode(tokenizer, trajectory)
    assert tokenizer.token_size == 8  # 1 + 5 + 1 + 1, as in the DPT code
    assert written.shape == (5, 8)
    assert np.array_equal(written[0], [1, 0, 0, 0, 0, 0, 0, 0])
    for t in range(4):
        arm = np.eye(5)[trajectory.action[t]]
        expected = [1.0, *arm, 1.0, trajectory.timestep.reward[t]]
        assert np.allclose(written[t + 1], expected)


def test_a_query_stands_in_the_first_token_or_in_each(histories):
    family, trajectory = histories[0]
    shown = family.observation.size
    first = encode(TOKENIZERS["query_first"](family), trajectory, jnp.asarray(3))
    assert first[0, :shown].argmax() == 3 and first[0].sum() == 1
    plain = encode(TOKENIZERS["query_first"](family), trajectory)
    assert np.array_equal(first[1:], plain[1:])
    queries = jnp.arange(STEPS + 1)
    each = encode(TOKENIZERS["query_each"](family), trajectory, queries)
    assert np.array_equal(each[:, :shown], jax.nn.one_hot(queries, shown))
    assert np.array_equal(each[1:, shown:], plain[1:])


def test_step_carries_what_the_last_step_brought():
    family, trajectory = play("GaussianBandit-DPT-v0", 1, horizon=3)
    written = encode(TOKENIZERS["step"](family), trajectory)
    assert np.array_equal(written[0], [1, 0, 0, 0, 0, 0, 0, 0])
    for t in range(3):
        arm = np.eye(5)[trajectory.action[t]]
        done = float(t == 2)  # the horizon ended the episode
        expected = [1.0, *arm, trajectory.timestep.reward[t], done]
        assert np.allclose(written[t + 1], expected)


def test_step_whole_shows_where_and_when_too(histories):
    family, trajectory = histories[0]
    shown, actions = family.observation.size, family.num_actions
    written = encode(TOKENIZERS["step_whole"](family), trajectory)
    clock = np.arange(STEPS + 1) % HORIZON
    assert np.array_equal(written[:, -HORIZON:].argmax(1), clock)
    where = written[1:, shown + actions :][:, :shown]
    alive = np.asarray(trajectory.valid)
    assert np.array_equal(where.argmax(1)[alive], trajectory.obs[alive])


def test_interleaved_alternates_observation_and_action():
    family, trajectory = play("LinearBandit-Lin2023-v0", 1, horizon=3)
    written = encode(TOKENIZERS["interleaved"](family), trajectory)
    assert written.shape == (7, 50 + 10 + 1)
    assert np.allclose(written[::2, :50], trajectory.obs[0].reshape(-1))
    assert np.all(written[::2, 50:] == 0) and np.all(written[1::2, :50] == 0)
    assert np.allclose(written[1::2, -1], trajectory.timestep.reward)
    assert np.array_equal(written[1::2, 50:60].argmax(1), trajectory.action)


def test_an_action_may_be_shown_by_its_features(histories):
    family, trajectory = histories[1]
    taken = trajectory.obs[np.arange(STEPS), trajectory.action]
    written = encode(TOKENIZERS["interleaved_features"](family), trajectory)
    assert written.shape == (2 * STEPS + 1, 50 + 5 + 1)
    assert np.allclose(written[1::2, 50:55], taken)
    written = encode(TOKENIZERS["step_features"](family), trajectory)
    assert written.shape == (STEPS + 1, 50 + 5 + 2) and np.all(written[0, 50:] == 0)
    assert np.allclose(written[1:, 50:55], taken)
    for name in ("GaussianBandit-DPT-v0", "LinearBandit-DPT-v0"):  # shows no features
        with pytest.raises(ValueError, match=f"is the arms' features, got {name}"):
            TOKENIZERS["step_features"](envs.family(name))


def test_what_follows_a_termination_is_zeros():
    family, trajectory = play("GaussianBandit-DPT-v0", 1, horizon=4)
    ended = trajectory.timestep._replace(
        terminated=jnp.array([False, True, True, True])
    )
    trajectory = trajectory._replace(timestep=ended)
    after = encode(TOKENIZERS["query_first"](family), trajectory)[1:]
    assert np.any(after[:2] != 0, axis=1).all() and np.all(after[2:] == 0)
    after = encode(TOKENIZERS["interleaved"](family), trajectory)[1::2]
    assert np.any(after[:2] != 0, axis=1).all() and np.all(after[2:] == 0)
    written = encode(TOKENIZERS["step"](family), trajectory)
    assert np.all(written[3:, 1:] == 0) and written[2, 1:6].sum() == 1


@pytest.mark.parametrize("name", ["query_first", "query_each"])
def test_real_numbers_cannot_all_be_asked_about(name):
    with pytest.raises(ValueError, match=r"integer observations.*LinearBandit-Lin"):
        TOKENIZERS[name](envs.family("LinearBandit-Lin2023-v0"))
