"""How exactly a model plays its target, beside distances by hand."""

import jax
import numpy as np
import pytest

import envs
from icrl import algorithms
from icrl.agents import as_agent
from icrl.diagnostics.fidelity import fidelity
from icrl.evaluation import online
from icrl.tokenizers.interleaved import interleaved

FAMILY = envs.family("BernoulliBandit-DPT-v0", num_arms=3, horizon=6)


def test_the_same_algorithm_matches_and_another_does_not():
    target = algorithms.thompson_sampling(FAMILY)
    other = as_agent(algorithms.uniform(FAMILY))
    found, scores, seen = fidelity(
        jax.random.key(0),
        FAMILY.split().test,
        "panel",
        {"same": as_agent(target), "uniform": other},
        target,
        interleaved(FAMILY),
        num_tasks=40,
    )
    played = online(jax.random.key(0), FAMILY.split().test, {"a": target}, num_tasks=40)
    np.testing.assert_array_equal(scores["same"], played["a"])
    assert scores.tasks_hash == played.tasks_hash
    # an observation of one number, an action of three, a reward
    np.testing.assert_array_equal(seen["same"][0], np.zeros(5))
    np.testing.assert_array_equal(seen["same"][1], np.ones(5))
    mean = {(row["agent"], row["metric"]): row["mean"] for row in found.rows}
    assert mean["same", "action_match"] == 1
    assert mean["same", "tv_max"] == mean["same", "log_prob_error_max"] == 0
    assert 0.2 < mean["uniform", "action_match"] < 0.6
    # at the first decision both are uniform; after that at least one arm is likelier
    assert 0 < mean["uniform", "tv_mean"] < mean["uniform", "tv_max"]
    most = mean["uniform", "spread_max"]
    assert mean["uniform", "tv_max"] == pytest.approx(most / 2, rel=0.35)
    values = found.finals["panel/uniform/tv_mean"]
    np.testing.assert_allclose(values.mean(), mean["uniform", "tv_mean"], rtol=1e-5)
