"""The Gymnasium adapters, as users of Gymnasium meet them.

Over 300 lines: single and vector environments meet the same demands.
"""

import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs
import icrl  # noqa: F401 (registers the ids)
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.gaussian_bandit import GaussianBanditFamily
from envs.gymnasium_adapter import Env, VectorEnv
from envs.splits import stack_tasks
from envs.template import FAMILY as CORRIDOR

NAME = "icrl/GaussianBandit-DPT-v0"


def python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def test_every_family_can_be_made():
    for name in envs.names():  # each one's contract test runs Gymnasium's own check
        spec = gymnasium.spec(f"icrl/{name}")
        assert gymnasium.make(spec).unwrapped.family is envs.family(name)


def test_an_environment_passes_gymnasiums_own_check():
    check_env(gymnasium.make("icrl/LinearBandit-Lin2023-v0", horizon=4).unwrapped)


def test_ids_do_not_need_icrl_to_be_imported_first():
    program = """
import sys, gymnasium
gymnasium.make("icrl:icrl/GaussianBandit-DPT-v0", horizon=5).reset(seed=0)
print(sum(id.startswith("icrl/") for id in gymnasium.registry))
"""
    assert int(python(program)) == len(envs.names())


def test_importing_icrl_imports_neither_jax_nor_gymnasium():
    program = """
import sys, icrl
print("jax" in sys.modules, "gymnasium" in sys.modules)
import importlib.util
importlib.util.find_spec("gymnasium")  # to ask whether it is there registers nothing
print("jax" in sys.modules)
import gymnasium
print(gymnasium.make("icrl/LinearBandit-DPT-v0").unwrapped.family.name)
"""
    assert python(program).split() == ["False", "False", "False", "LinearBandit-DPT-v0"]


def test_a_spec_is_text():
    spec = gymnasium.make(NAME, horizon=50).spec
    again = gymnasium.make(
        gymnasium.envs.registration.EnvSpec.from_json(spec.to_json())
    )
    assert again.unwrapped.family == envs.family("GaussianBandit-DPT-v0", horizon=50)


def test_an_episode_is_python_numbers_with_exact_regret():
    env = gymnasium.make(NAME, horizon=5, num_arms=3)
    obs, info = env.reset(seed=3)
    assert (obs, info) == (0, {})
    gaps = np.asarray(env.unwrapped.task.gaps(jnp.asarray(0)))
    for step in range(5):
        obs, reward, terminated, truncated, info = env.step(step % 3)
        assert [type(x) for x in (obs, reward, terminated, truncated)] == [
            int,
            float,
            bool,
            bool,
        ]
        assert info == {"regret": gaps[step % 3], "optimal_action": gaps.argmin()}
        assert (terminated, truncated) == (False, step == 4)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


def test_shown_features_are_the_observation():
    env = gymnasium.make("icrl/LinearBandit-Lin2023-v0", horizon=3)
    obs, _ = env.reset(seed=0)
    assert isinstance(obs, np.ndarray)
    assert (obs.shape, obs.dtype) == ((10, 5), np.float32)
    np.testing.assert_array_equal(obs, env.unwrapped.task.features)


def play(env, actions, **reset):
    """Rewards of the actions, the means of the task played, and its regrets."""
    env.reset(**reset)
    steps = [env.step(action) for action in actions]
    rewards, regrets = (
        [step[1] for step in steps],
        [step[4]["regret"] for step in steps],
    )
    return np.array(rewards), np.array(env.unwrapped.task.means), np.array(regrets)


def test_a_seed_reproduces_task_and_noise():
    env = gymnasium.make(NAME, horizon=4)
    actions = [0, 1, 2, 0]
    one = play(env, actions, seed=7)
    second = play(env, actions)
    for again, expected in (
        (play(gymnasium.make(NAME, horizon=4), actions, seed=7), one),
        (play(env, actions, seed=7), one),
        (play(env, actions), second),
    ):
        np.testing.assert_array_equal(again[0], expected[0])
        np.testing.assert_array_equal(again[1], expected[1])
    other = play(env, actions, seed=8)
    assert not np.isin(other[1], one[1]).any()
    assert not np.isin(second[1], one[1]).any()
    assert one[0][0] != one[0][3]  # the same arm again, with fresh noise


def test_a_task_may_stay_for_several_episodes():
    env = gymnasium.make(NAME, horizon=2, new_task_each_episode=False)
    rewards, means, _ = play(env, [0, 0], seed=1)
    rewards_2, means_2, _ = play(env, [0, 0])
    np.testing.assert_array_equal(means, means_2)
    assert not np.isin(rewards, rewards_2).any()
    assert not np.isin(play(env, [0, 0], seed=2)[1], means).any()


def test_a_task_may_be_given():
    family = GaussianBanditFamily(num_arms=2, horizon=2, noise_std=0.0)
    one, two = family.task([0.1, 0.9]), family.task([0.6, 0.2])
    env = Env(family, task=one)
    for reset in ({"seed": 0}, {}, {"seed": 1}):
        rewards, _, regrets = play(env, [0, 1], **reset)
        np.testing.assert_allclose(rewards, [0.1, 0.9])
        np.testing.assert_allclose(regrets, [0.8, 0.0])
    rewards, _, regrets = play(env, [0, 1], options={"task": two})
    np.testing.assert_allclose(rewards, [0.6, 0.2])
    np.testing.assert_allclose(regrets, [0.0, 0.4])
    np.testing.assert_allclose(play(env, [0, 1])[0], [0.1, 0.9])


def test_bad_input_is_refused_in_one_line():
    env = gymnasium.make(NAME, horizon=4).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (5, -1, 0.5):
        with pytest.raises(ValueError, match=f"must lie in Discrete.5., got {action}"):
            env.step(action)
    with pytest.raises(ValueError, match="options may hold 'task' only, got goal"):
        env.reset(options={"goal": 1})
    with pytest.raises(ValueError, match="noise_std must not be negative, got -1"):
        gymnasium.make(NAME, noise_std=-1.0)
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        VectorEnv("GaussianBandit-DPT-v0", 0)


@pytest.mark.parametrize(
    "one", [jnp.argmax, np.argmax, lambda x: np.uint8(np.argmax(x)), lambda x: [2][0]]
)
def test_an_action_may_be_of_any_kind_of_whole_number(one):
    env = gymnasium.make(NAME, horizon=4)
    env.reset(seed=0)
    scores = jnp.array([0.0, 1.0, 2.0, 0.5, 0.5])
    gaps = env.unwrapped.task.gaps(jnp.asarray(0))
    assert env.step(one(scores))[4]["regret"] == gaps[2]
    vector = gymnasium.make_vec(NAME, 2, horizon=4)
    vector.reset(seed=0)
    regret = vector.step(jnp.stack([jnp.asarray(one(scores))] * 2))[4]["regret"]
    assert np.allclose(regret, [g[2] for g in map(np.asarray, _gaps(vector.task))])


def _gaps(tasks):
    return [
        jax.tree.map(lambda leaf, i=i: leaf[i], tasks).gaps(jnp.asarray(0))
        for i in range(2)
    ]


@pytest.mark.parametrize("dtype", [bool, float, jnp.bfloat16, object])
def test_an_action_that_is_no_whole_number_is_refused(dtype):
    env, vector = gymnasium.make(NAME).unwrapped, gymnasium.make_vec(NAME, 2)
    env.reset(seed=0)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"an action must lie in Discrete\(5\), got"):
        env.step(np.ones((), dtype))
    with pytest.raises(ValueError, match=r"an action must lie in MultiDiscrete"):
        vector.step(np.ones(2, dtype))
    with pytest.raises(ValueError, match=r"must lie in Discrete\(5\), got True"):
        env.step(True)
    with pytest.raises(ValueError, match="must lie in MultiDiscrete"):
        vector.step([[0], [1, 2]])


def test_a_task_without_gaps_has_no_regret_in_its_info():
    class Silent:
        num_actions, horizon = 2, 3

        def reset(self, key):
            return np.int32(0), np.int32(0)

        def step(self, key, state, action):
            return task.step(key, state, action)

        def gaps(self, state):
            raise NotImplementedError

        def state_from_obs(self, step, obs):
            raise NotImplementedError

    jax.tree_util.register_static(Silent)
    family = BernoulliBanditFamily(num_arms=2, horizon=3)
    task = family.task([0.5, 0.5])
    env = Env(family, task=Silent())
    env.reset(seed=0)
    assert env.step(1)[4] == {}


# Environments side by side.


def test_make_vec_gives_each_environment_its_own_task():
    vector = gymnasium.make_vec(NAME, num_envs=8, horizon=3)
    assert isinstance(vector, VectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    obs, info = vector.reset(seed=0)
    assert obs in vector.observation_space
    assert info == {}
    assert len(np.unique(vector.task.means)) == 8 * 5


@pytest.mark.parametrize("new_task", [True, False])
def test_a_vector_is_its_environments_side_by_side(new_task):
    settings = {"horizon": 3, "new_task_each_episode": new_task}
    vector = gymnasium.make_vec("icrl/ContextualLinearBandit-v0", 2, **settings)
    singles = [
        gymnasium.make("icrl/ContextualLinearBandit-v0", **settings) for _ in range(2)
    ]
    obs, _ = vector.reset(seed=5)
    expected = [single.reset(seed=5 + i)[0] for i, single in enumerate(singles)]
    np.testing.assert_allclose(obs, expected, rtol=1e-6)
    for step in range(9):
        actions = np.array([step % 4, (step + 1) % 4])
        obs, reward, terminated, truncated, info = vector.step(actions)
        resetting = step % 4 == 3  # after the three steps of an episode
        for i, single in enumerate(singles):
            if resetting:
                one = (single.reset()[0], 0.0, False, False, {})
            else:
                one = single.step(actions[i])
            np.testing.assert_allclose(obs[i], one[0], rtol=1e-6)
            np.testing.assert_allclose(reward[i], one[1], rtol=1e-5)
            assert (terminated[i], truncated[i]) == one[2:4]
            assert info["_regret"][i] == (not resetting)
            np.testing.assert_allclose(
                info["regret"][i], one[4].get("regret", 0.0), rtol=1e-5, atol=1e-6
            )


def test_only_environments_that_ended_are_reset():
    family = BernoulliBanditFamily(num_arms=2, horizon=4)
    task = stack_tasks([family.task([0, 1]), family.task([1, 0])])

    class EndsByReward(type(family.task([0, 1]))):
        def step(self, key, state, action):
            state, timestep = super().step(key, state, action)
            return state, timestep._replace(terminated=timestep.reward > 0)

    jax.tree_util.register_dataclass(EndsByReward, ["means"], ["horizon"])
    vector = VectorEnv(family, 2, task=EndsByReward(means=task.means, horizon=4))
    vector.reset(seed=0)
    history = [vector.step(np.array([0, 0])) for _ in range(5)]
    terminated = np.array([step[2] for step in history])
    truncated = np.array([step[3] for step in history])
    assert terminated[:, 0].tolist() == [False] * 5
    assert truncated[:, 0].tolist() == [False, False, False, True, False]
    assert terminated[:, 1].tolist() == [True, False, True, False, True]
    assert [step[1][1] for step in history] == [1, 0, 1, 0, 1]
    assert history[1][4]["_regret"].tolist() == [True, False]


def test_tasks_of_a_vector_may_be_given():
    family = GaussianBanditFamily(num_arms=2, horizon=2, noise_std=0.0)
    tasks = stack_tasks([family.task([0.1, 0.9]), family.task([0.6, 0.2])])
    vector = VectorEnv(family, 2, task=tasks)
    vector.reset(seed=[4, None])
    for reward in ([0.1, 0.6], [0.1, 0.6], [0, 0], [0.1, 0.6]):
        np.testing.assert_allclose(vector.step(np.array([0, 0]))[1], reward)
    with pytest.raises(ValueError, match="task must be 3 tasks stacked"):
        VectorEnv(family, 3, task=tasks)
    with pytest.raises(ValueError, match="seed must hold 2 seeds, got 3"):
        vector.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="an action must lie in MultiDiscrete"):
        vector.step(np.array([0, 2]))


def test_gymnasiums_own_vector_works_too():
    vector = gymnasium.make_vec(NAME, 2, vectorization_mode="sync", horizon=2)
    vector.reset(seed=0)
    assert vector.step(np.array([0, 0]))[4]["_regret"].all()


def test_an_mdp_shows_its_state():
    vector = VectorEnv(CORRIDOR, 3, noise_std=0.0)
    obs, _ = vector.reset(seed=0)
    assert (obs.tolist(), obs.dtype) == ([4, 4, 4], np.int64)
    assert vector.step(np.array([0, 1, 2]))[0].tolist() == [3, 4, 5]
