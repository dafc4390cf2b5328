"""The loss that is evaluated is the loss that is trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl import algorithms, evaluation
from icrl.agents import Recipe
from icrl.config import DecisionPretrainingConfig, TransformerConfig
from icrl.evaluation.playing import CONTEXTS
from icrl.pretraining import imitation_loss, methods, sample


@pytest.mark.parametrize("tokenizer", ["step", "query_first", "query_each"])
def test_it_is_the_training_loss_of_the_same_examples(tokenizer):
    recipe = Recipe(
        family="RandomMDP-Small-v0",
        changes={"horizon": 4},
        tokenizer=tokenizer,
        agent="in_context" if tokenizer == "step" else "query_table",
        model=TransformerConfig(width=16, num_layers=1, num_heads=2),
    )
    family, options = recipe.make_family(), DecisionPretrainingConfig()
    if tokenizer == "step":
        pretraining = methods.decision_pretraining(
            recipe,
            lambda task: algorithms.uniform(family),
            options,
            behaviour="uniform",
        )
    else:
        pretraining = methods.state_query_pretraining(recipe, options)
    model = recipe.make_model(jax.random.key(3))
    found = evaluation.losses(
        jax.random.key(5),
        pretraining,
        jax.tree.map(lambda leaf: leaf[None], model),
        algorithms.uniform(family),
        num_tasks=6,
    )

    @jax.jit
    @jax.vmap
    def training_loss(index):
        key = evaluation.key_for(jax.random.key(5), CONTEXTS, index)
        example = sample(pretraining, key)
        return imitation_loss(model(example.tokens), example, pretraining.tokenizer)

    losses, weights = training_loss(jnp.arange(6))
    np.testing.assert_allclose(found["loss"][0].sum(-1), losses, rtol=1e-4)
    chance = np.log(family.num_actions) * weights
    np.testing.assert_allclose(found["loss_floor"][0].sum(-1), chance, rtol=1e-4)
