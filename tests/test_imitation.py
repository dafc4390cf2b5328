"""The literature's pretrainings as settings of the three choices."""

import jax
import numpy as np
import pytest

from icrl import algorithms
from icrl.agents import Recipe
from icrl.config import DecisionPretrainingConfig, DistillationConfig
from icrl.pretraining import methods, sample

RECIPE = Recipe(
    family="BernoulliBandit-Lin2023-v0", changes={"horizon": 8}, tokenizer="step"
)
FAMILY = RECIPE.make_family()
PLAIN = DecisionPretrainingConfig()
PROBABILITIES = DistillationConfig(labels="probabilities")
UCB = algorithms.ucb(FAMILY, form="shrunken")
EXACT = algorithms.exact_posterior_sampling(FAMILY)


def drawn(pretraining, number=4):
    keys = jax.random.split(jax.random.key(0), number)
    return jax.jit(jax.vmap(lambda key: sample(pretraining, key)))(keys)


def test_distillation_labels_with_actions_or_with_their_probabilities():
    hard = drawn(
        methods.algorithm_distillation(
            RECIPE, UCB, DistillationConfig(), behaviour="ucb"
        )
    )
    soft = drawn(
        methods.algorithm_distillation(RECIPE, UCB, PROBABILITIES, behaviour="ucb")
    )
    np.testing.assert_array_equal(hard.tokens, soft.tokens)
    np.testing.assert_array_equal(hard.labels[:, :-1], soft.labels[:, :-1])


def test_approximate_decision_pretraining_infers_its_label_in_hindsight():
    guess = methods.approximate_decision_pretraining(
        RECIPE,
        lambda task: UCB,
        algorithms.most_likely(EXACT),
        PLAIN,
        behaviour="ucb",
        labels="mode",
    )
    labels = drawn(guess).labels
    assert (labels == labels[:, :1]).all()  # one label a trajectory
    assert set(np.unique(labels)) == {0.0, 1.0}


@pytest.mark.parametrize("inference", [UCB._replace(action_probabilities=None)])
def test_an_inference_without_probabilities_is_refused(inference):
    with pytest.raises(ValueError, match="no closed form"):
        methods.approximate_decision_pretraining(
            RECIPE, lambda task: UCB, inference, PLAIN, behaviour="ucb", labels="ucb"
        )
