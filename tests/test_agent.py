"""A trained agent in other hands: loaded, played, evaluated elsewhere."""

import jax
import numpy as np
import pytest
from test_train import TRAINING, fit

import icrl
from envs.splits import split_prior
from icrl import evaluation
from icrl.algorithms.base import require_probabilities
from icrl.algorithms.uniform import uniform
from icrl.diagnostics import diagnosis
from icrl.errors import RunError
from icrl.evaluation import transfer
from icrl.rollout import rollout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    _, run = fit(tmp_path_factory.mktemp("agent"), seeds=(0, 1), training=TRAINING)
    (run.folder / "DONE").write_text('{"seeds": [0, 1]}')
    return run.folder


def test_a_notebook_plays_a_trained_agent(folder):
    agent = icrl.load_agent(folder)
    assert agent.seeds == (0, 1) and agent.family.horizon == 8
    key_task, key_noise, key_agent = jax.random.split(jax.random.key(0), 3)
    task = agent.family.sample(key_task)
    played = rollout(key_noise, key_agent, task, agent.algorithm(seed=1))
    assert played.action.shape == (8,)


def test_an_agent_samples_its_actions_unless_it_is_told_otherwise(folder):
    agent = icrl.load_agent(folder)

    @jax.jit
    def likeliest(key, model):
        """Probabilities of the likeliest actions, by default and of greedy play."""
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = agent.family.sample(key_task)
        played = rollout(key_noise, key_agent, task, uniform(agent.family))
        found = []
        for options in ({}, {"greedy": True}):
            first = agent.algorithm(**options)
            probabilities = require_probabilities(first)
            found.append(probabilities(first.init(), played.obs[0]).max())
            all_seeds = agent.agent(**options)
            probabilities = all_seeds.action_probabilities(model, task, played)
            found.append(probabilities.max(-1).mean())
        return found

    sampled, all_sampled, *greedy = likeliest(jax.random.key(0), agent.model(0))
    assert sampled < 0.9 and all_sampled < 0.9 and greedy == [1, 1]


def test_an_agent_is_evaluated_on_another_family_and_horizon(folder):
    rows = transfer.evaluate_run(
        str(folder), family="BernoulliBandit-DPT-v0", horizon=5, num_tasks=20
    )
    found = {row["agent"]: row for row in rows if row["metric"] == "final_regret"}
    assert found["agent"]["seeds"] == 2 and found["agent"]["tasks"] == 20
    assert "exact_posterior_sampling" in found


def test_a_horizon_beyond_the_training_is_asked_for_by_name(folder):
    name = "GaussianBandit-DPT-v0"
    with pytest.raises(ValueError, match=r"horizon 12 is beyond the 8 steps"):
        transfer.evaluate_run(str(folder), family=name, horizon=12)
    rows = transfer.evaluate_run(
        str(folder), family=name, horizon=12, num_tasks=5, extrapolate=True
    )
    assert np.isfinite(rows[0]["mean"])


def test_an_agent_is_diagnosed(folder):
    rows = diagnosis.diagnose(str(folder), num_tasks=10)
    found = {(row["panel"], row["metric"]) for row in rows}
    for histories in ("own_histories", "uniform_histories"):
        panel = f"{histories}: from exact_posterior_sampling"
        assert {(panel, m) for m in ("kl_mean", "tv_mean", "tv_max")} < found
    assert ("calibration", "expected_calibration_error") in found
    assert ("reordering", "tv_mean") in found
    fits = [row for row in rows if row["panel"] == "which algorithm is it?"]
    assert len({row["agent"] for row in fits}) == diagnosis.NUM_FITS
    with pytest.raises(ValueError, match="linucb needs a LinearBanditFamily"):
        diagnosis.diagnose(str(folder), target="linucb")


def test_a_family_of_other_actions_is_refused(folder):
    with pytest.raises(ValueError, match="has num_actions 10, the model was trained"):
        transfer.evaluate_run(str(folder), family="LinearBandit-DPT-v0", horizon=8)


def test_a_run_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match="holds no trained weights"):
        icrl.load_agent(tmp_path)
    with pytest.raises(RunError, match="no trained run of 'nothing'"):
        icrl.load_agent("nothing")


def test_exact_numbers_of_the_same_tasks_do_not_depend_on_the_batch(folder):
    agent = icrl.load_agent(folder)
    agents = {"dpt": agent.agent()}
    scores = [
        evaluation.online(
            jax.random.key(3),
            split_prior(agent.family).test,
            agents,
            num_tasks=12,
            tasks_at_once=size,
        )["dpt"]
        for size in (4, 24)
    ]
    assert scores[0].shape == (2, 12, 8)
    assert np.allclose(*scores, atol=1e-5)


def test_training_seeds_choose_by_the_same_draws(folder):
    """Two seeds whose models are equal play alike, as does one of them alone."""
    agent = icrl.load_agent(folder)
    alone = jax.tree.map(lambda leaf: leaf[:1], agent.models)
    twice = jax.tree.map(lambda leaf: leaf.repeat(2, axis=0), alone)
    agents = {
        name: evaluation.trained(models, agent.tokenizer)
        for name, models in (("alone", alone), ("twice", twice))
    }
    tasks = split_prior(agent.family).test
    scores = evaluation.online(jax.random.key(3), tasks, agents, num_tasks=20)
    np.testing.assert_array_equal(scores["twice"], scores["alone"].repeat(2, axis=0))
