"""Kinds of labels: the same minimum where they say so, and a refusal where not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl import algorithms
from icrl.agents import Recipe
from icrl.config import DecisionPretrainingConfig, TransformerConfig
from icrl.keys import training_key
from icrl.pretraining import methods, sample
from icrl.pretraining.examples import gather, imitation_loss
from icrl.replay import predictions

HORIZON = 8
BANDITS = {
    "bernoulli": "BernoulliBandit-Lin2023-v0",
    "gaussian": "GaussianBandit-DPT-v0",
    "linear": "LinearBandit-DPT-v0",
}
TINY = TransformerConfig(width=8, num_layers=1, num_heads=1)


def is_real(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def recipe_of(name):
    changes = {"horizon": HORIZON}
    return Recipe(family=name, changes=changes, tokenizer="step", model=TINY)


def pretraining_of(recipe, labels, context=None, **options):
    return methods.decision_pretraining(
        recipe,
        context or algorithms.uniform(recipe.make_family()),
        DecisionPretrainingConfig(labels=labels, **options),
        behaviour="uniform",
    )


def drawn(pretraining, number):
    keys = jax.random.split(jax.random.key(0), number)
    return jax.jit(jax.vmap(lambda key: sample(pretraining, key)))(keys)


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("name", BANDITS.values(), ids=BANDITS)
def test_draws_have_the_mean_and_the_variance_of_the_exact_probabilities(name):
    """Fresh draws at one and the same history, of 40 contexts."""
    recipe = recipe_of(name)
    num_draws, repeats = 4, 100
    drawing = pretraining_of(recipe, "posterior_draws", num_draws=num_draws)
    exact = algorithms.exact_posterior_sampling(recipe.make_family())

    def context(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = drawing.tasks.sample(key_task)
        return task, gather(drawing, key_noise, key_agent, task)

    def label(key, task, history):
        return drawing.expert(key, task, history, None)[0]

    keys = jax.random.split(jax.random.key(1), 40)
    tasks, histories = jax.jit(jax.vmap(context))(keys)
    keys = jax.random.split(jax.random.key(2), (40, repeats))
    every = jax.vmap(jax.vmap(label, (0, None, None)))
    labels = jax.jit(every)(keys, tasks, histories)
    exactly = jax.vmap(lambda history: predictions(exact, history))
    probabilities = jax.jit(exactly)(histories)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    assert np.allclose(labels.sum(-1), 1)
    shares = np.round(labels * num_draws, 5)
    assert np.array_equal(shares, shares.round())  # of so many draws
    variance = probabilities * (1 - probabilities) / num_draws
    error = np.sqrt(variance / repeats) + 1e-4
    z = (labels.mean(1) - probabilities) / error
    assert abs(z[variance > 1e-3]).max() < 5 and z[variance > 1e-3].std() < 1.1
    assert abs(labels.mean(1) - probabilities)[variance <= 1e-3].max() < 0.02
    ratio = labels.var(1)[variance > 0.01] / variance[variance > 0.01]
    assert abs(ratio.mean() - 1) < 0.05
    # decisions are drawn on their own: neighbours are uncorrelated
    noise = labels - probabilities[:, None]
    both = (noise[:, :, 1:] * noise[:, :, :-1]).mean() / (noise**2).mean()
    assert abs(both) < 0.05


def test_the_optimal_action_is_one_draw_that_all_prefixes_share():
    recipe = recipe_of(BANDITS["bernoulli"])
    hard, soft = (
        drawn(pretraining_of(recipe, labels), 3000)
        for labels in ("optimal", "posterior")
    )
    np.testing.assert_array_equal(hard.tokens, soft.tokens)
    np.testing.assert_array_equal(hard.labels, hard.labels[:, :1].repeat(9, 1))
    np.testing.assert_allclose(soft.labels[:, 0], 0.2, atol=1e-5)
    noise = np.asarray(hard.labels - soft.labels)
    error = noise.std(0) / np.sqrt(len(noise))
    assert (abs(noise.mean(0)) < 4.5 * error + 1e-6).all()
    # also where the label is likely: calibration, in ten classes of probability
    for low in np.arange(0, 1, 0.1):
        here = (soft.labels >= low) & (soft.labels < low + 0.1)
        contexts = here.any((1, 2)).sum()  # errors within a context are dependent
        if contexts > 300:
            assert abs(noise[here].mean()) < 2.5 / np.sqrt(contexts)


def test_gradients_of_all_kinds_agree_in_expectation():
    recipe = recipe_of(BANDITS["gaussian"])
    model = recipe.make_model(training_key(0))
    flat = {}
    for labels in ("optimal", "posterior_draws", "posterior"):
        pretraining = pretraining_of(recipe, labels)

        def loss(model, key, pretraining=pretraining):
            example = sample(pretraining, key)
            total, weight = imitation_loss(
                model(example.tokens), example, pretraining.tokenizer
            )
            return total / weight

        def gradient(key, loss=loss):
            tree = jax.grad(loss, allow_int=True)(model, key)
            leaves = [x.ravel() for x in jax.tree.leaves(tree) if is_real(x)]
            return jnp.concatenate(leaves)

        keys = jax.random.split(jax.random.key(2), 2000)
        flat[labels] = np.asarray(jax.jit(jax.vmap(gradient))(keys))
    exact = flat["posterior"]
    for labels in ("optimal", "posterior_draws"):
        difference = flat[labels] - exact  # on the same contexts
        error = difference.std(0) / np.sqrt(len(exact)) + 1e-7
        z = difference.mean(0) / error
        assert abs(z).max() < 5, labels
    spread = {labels: (g - exact).var(0).sum() for labels, g in flat.items()}
    assert spread["posterior_draws"] < 0.05 * spread["optimal"]


@pytest.mark.parametrize("labels", ["posterior", "posterior_draws"])
def test_labels_that_would_move_the_minimum_are_refused(labels):
    recipe = recipe_of(BANDITS["gaussian"])
    family = recipe.make_family()

    def expert_biased(task):
        return algorithms.dirichlet_point_mass(family, task, expert_biased=True)

    said = r"or posterior_of_rewards, another target, as the behaviour policy sees"
    with pytest.raises(ValueError, match=f"{said}.*got {labels}"):
        pretraining_of(recipe, labels, expert_biased)
    rooms = Recipe(family="DarkRoom-AD-v0", tokenizer="step")
    with pytest.raises(ValueError, match="prior is wider than the training half of a"):
        pretraining_of(rooms, labels)


@pytest.mark.parametrize(
    "labels", ["posterior", "posterior_draws", "posterior_of_rewards"]
)
def test_a_family_without_a_closed_posterior_is_refused(labels):
    uniform = recipe_of("LinearBandit-Lin2023-v0")
    said = (
        "labels must be optimal, or posterior_of_rewards of a posterior that is given"
    )
    with pytest.raises(ValueError, match=f"{said}, as .*theta_prior 'normal'"):
        pretraining_of(uniform, labels)


def test_another_target_is_allowed_by_its_name():
    recipe = recipe_of(BANDITS["gaussian"])
    family = recipe.make_family()

    def expert_biased(task):
        return algorithms.dirichlet_point_mass(family, task, expert_biased=True)

    said = pretraining_of(recipe, "posterior_of_rewards", expert_biased)
    assert said.description["expert"] == "posterior of the rewards"
    hard = drawn(pretraining_of(recipe, "optimal", expert_biased), 1000)
    soft = drawn(said, 1000)
    # it is another one: the frequent arm is the best one more often than it says
    pulled = np.asarray(hard.tokens)[:, 1:, 1:6].sum(1)
    frequent = np.eye(5, dtype=bool)[pulled.argmax(-1)]
    share, believed = hard.labels[:, -1][frequent].mean(), soft.labels[:, -1][frequent]
    assert share - believed.mean() > 0.1


def test_a_number_of_draws_is_positive():
    with pytest.raises(ValueError, match="num_draws must be at least 1, got 0"):
        DecisionPretrainingConfig(num_draws=0)


@pytest.mark.parametrize("labels", ["optimal", "posterior_draws", "posterior"])
def test_decision_0_is_left_out_on_demand_whatever_the_labels(labels):
    recipe = recipe_of(BANDITS["bernoulli"])
    choices = pretraining_of(recipe, labels, empty_context=False)
    assert drawn(choices, 4).weights[:, 0].tolist() == [0.0] * 4
