"""A family that cannot give gaps: played, distilled, scored by return and drawn."""

import jax
import jaxtyping
import numpy as np
import pytest
from recall import BARE, FAMILY
from test_train import train_throwaway

import envs
from envs import check
from envs.registry import FAMILIES
from icrl import algorithms, evaluation
from icrl.agents import Recipe
from icrl.config import (
    POSTERIOR_OF_REWARDS,
    DecisionPretrainingConfig,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
)
from icrl.diagnostics import diagnosis
from icrl.drawing import figures
from icrl.evaluation.numbers import of_curves
from icrl.pretraining import collection, methods, sample
from icrl.rollout import rollout

RECIPE = Recipe(
    family=FAMILY.name,
    num_episodes=2,
    tokenizer="step",
    model=TransformerConfig(width=8, num_layers=1, num_heads=2),
)
TRAINING = TrainingConfig(
    num_steps=2, batch_size=4, steps_per_call=2, checkpoint_every=2
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(FAMILIES._entries, FAMILY.name, FAMILY)


def test_it_keeps_the_contract_without_the_claims_about_gaps():
    answers = check.check_env(FAMILY)
    assert all(answer.passed for answer in answers), answers
    unchecked = [a.name for a in answers if "scored by return" in a.message]
    assert "gaps" in unchecked and "brute force" in unchecked


def test_it_is_scored_by_return_from_training_to_the_figure(tmp_path):
    uniform = algorithms.uniform(FAMILY)
    pretraining = methods.algorithm_distillation(
        RECIPE, uniform, PretrainingConfig(), behaviour="uniform"
    )
    trained, _ = train_throwaway(tmp_path, pretraining, TRAINING)
    scores = evaluation.online(
        jax.random.key(0),
        FAMILY.split().test,
        {
            "ad": evaluation.trained(trained.models, pretraining.tokenizer),
            "uniform": evaluation.fixed(uniform),
        },
        num_tasks=64,
        num_episodes=2,
    )
    for returns in scores.values():
        assert returns.shape == (1, 64, 2 * FAMILY.horizon)
        assert np.isin(returns, [0, 1, 2]).all() and (np.diff(returns) >= 0).all()
        assert 0.6 < returns[..., -1].mean() < 1.4  # half of the episodes pay 1
    assert evaluation.metric_of(FAMILY) == "return"
    assert evaluation.metric_of(envs.family("DarkRoom-DPT-v0")) == "final_regret"
    numbers = of_curves(
        "online", scores, metric=evaluation.metric_of(FAMILY), reference="uniform"
    )
    assert {row["metric"] for row in numbers.rows} == {"return", "return_minus_uniform"}
    with pytest.raises(ValueError, match="'online' must be a return, as its scores"):
        of_curves("online", scores, metric="final_regret")
    drawn, axes = figures.new_figure(1, 1)
    figures.draw_curves(
        axes[0, 0], numbers.arrays, "online", title="", xlabel="", ylabel=""
    )
    assert len(axes[0, 0].lines) >= 2
    del drawn


@pytest.fixture
def as_users(monkeypatch):
    """Without run-time checks of annotations, by which `Bare` is no `Task`."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_a_task_may_leave_out_what_it_cannot_give(as_users):
    answers = check.check_env(BARE)
    assert all(answer.passed for answer in answers), answers
    assert [a.name for a in answers if "scored by return" in a.message]
    uniform = algorithms.uniform(BARE)
    agents = {"uniform": evaluation.fixed(uniform)}
    scores = evaluation.online(
        jax.random.key(0), BARE.split().test, agents, num_tasks=64, num_episodes=2
    )
    assert scores["uniform"].shape == (1, 64, 2 * BARE.horizon)
    labelled = methods.decision_pretraining(
        RECIPE,
        lambda task: uniform,
        POSTERIOR_OF_REWARDS,
        behaviour="uniform",
        posterior=uniform,  # a teacher
    )._replace(tasks=BARE.split().train)
    example = jax.jit(lambda key: sample(labelled, key))(jax.random.key(0))
    assert np.allclose(example.labels, 0.5) and example.weights.sum() == 2 * 3


@pytest.mark.parametrize("family", [FAMILY, BARE], ids=["says so", "left out"])
def test_what_needs_to_see_the_state_refuses_in_one_line(family, as_users):
    def play(collect):
        task = family.sample(jax.random.key(0))
        jax.eval_shape(collect, jax.random.key(1), jax.random.key(2), task)

    with pytest.raises(ValueError, match="optimal needs tasks whose observations det"):
        play(lambda *keys: rollout(*keys, algorithms.optimal(keys[-1])))
    pairs = collection.independent_pairs(family, 3)
    with pytest.raises(ValueError, match="independent_pairs needs tasks whose observ"):
        play(pairs)


def test_it_is_diagnosed_as_far_as_that_goes(tmp_path):
    pretraining = methods.algorithm_distillation(
        RECIPE, algorithms.uniform(FAMILY), PretrainingConfig(), behaviour="uniform"
    )
    _, run = train_throwaway(tmp_path, pretraining, TRAINING)
    rows = diagnosis.diagnose(str(run.folder), target="uniform", num_tasks=4)
    assert {row["metric"] for row in rows} >= {"tv_mean", "kl_mean"}
    assert "calibration" not in {row["panel"] for row in rows}


def test_what_needs_gaps_refuses_in_one_line():
    uniform = algorithms.uniform(FAMILY)
    labelled = methods.decision_pretraining(
        RECIPE,
        lambda task: uniform,
        DecisionPretrainingConfig(),
        behaviour="uniform",
    )
    with pytest.raises(ValueError, match="labelling by the optimal action needs tasks"):
        jax.eval_shape(lambda key: sample(labelled, key), jax.random.key(0))
    with pytest.raises(ValueError, match="offline suboptimality needs tasks that give"):
        evaluation.offline(
            jax.random.key(0),
            FAMILY.split().test,
            lambda task: uniform,
            {"uniform": evaluation.fixed(uniform)},
            num_tasks=2,
        )
