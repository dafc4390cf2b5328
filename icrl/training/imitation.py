"""Training by imitation: the models of a run's seeds, from a pretraining's examples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from envs.base import Key
from icrl.agents import save_recipe
from icrl.config import PretrainingConfig, TrainingConfig
from icrl.pretraining import Example, Pretraining, imitation_loss
from icrl.pretraining.dataset import Draw, source
from icrl.runs import Run
from icrl.tokenizers.base import Tokenizer
from icrl.training.accumulation import value_and_grad_accumulated
from icrl.training.devices import over_devices
from icrl.training.fit import Learner, Look, Trained, fit
from icrl.training.optimizer import make_optimizer


class ImitationState(NamedTuple):
    """What a step hands to the next."""

    model: Any
    opt_state: Any


def train_models(
    run: Run,
    pretraining: Pretraining,
    config: TrainingConfig,
    *,
    name: str = "",
    look: Look | None = None,
) -> Trained:
    """Trains the models of all of a run's seeds, or loads those that are trained.

    Args:
        run: whose folder holds them.
        pretraining: behaviour policy, expert, and how many examples there are; its
            recipe (family, tokenizer and model) is saved beside the weights.
        config: how they are fitted.
        name: tells models apart where a run trains several.
        look: what is asked of the models at every checkpoint, as in `fit`.

    Raises:
        ValueError: if the pretraining has no recipe.
    """
    recipe = pretraining.recipe
    if recipe is None:
        raise ValueError("a pretraining needs a recipe to train its models, got None")
    if all(run.is_trained(group, name) for group in run.groups):
        # what is there is only loaded: no need to make its data again
        pretraining = pretraining._replace(options=PretrainingConfig())
    draw, data = source(pretraining)
    save_recipe(run.folder, recipe, name)
    example = jax.eval_shape(draw, data, jax.random.key(0))
    learner = imitation_learner(
        recipe.make_model, draw, pretraining.tokenizer, config
    )._replace(tokens_per_step=config.batch_size * example.tokens.shape[0])
    return fit(
        run,
        learner,
        num_steps=config.num_steps,
        steps_per_call=config.steps_per_call,
        checkpoint_every=config.checkpoint_every,
        data=data,
        name=name,
        look=look,
    )


def imitation_learner(
    make_model: Callable[[Key], Any],
    draw: Draw,
    tokenizer: Tokenizer,
    config: TrainingConfig,
) -> Learner:
    """Maximum likelihood of the expert's labels, on a fresh batch at every step.

    A step logs the loss (nats a label) and the gradient's norm, both before the step
    and the norm before clipping.

    Args:
        make_model: `key -> model`.
        draw: `(data, key) -> Example`: fresh ones, or rows of a frozen data set.
        tokenizer: of the examples.
        config: batch size and optimiser.
    """
    optimizer = make_optimizer(config)

    def init(key: Key) -> ImitationState:
        model = make_model(key)
        return ImitationState(model, optimizer.init(model))

    def step(
        state: ImitationState, key: Key, data: Any
    ) -> tuple[ImitationState, dict[str, Float[Array, ""]]]:
        keys = over_devices(jax.random.split(key, config.batch_size))
        batch = jax.vmap(draw, (None, 0))(data, keys)
        total_weight = jnp.sum(batch.weights)

        def loss(model: Any, examples: Example) -> Float[Array, ""]:
            def of_one(example: Example) -> Float[Array, ""]:
                return imitation_loss(model(example.tokens), example, tokenizer)[0]

            return jnp.sum(jax.vmap(of_one)(examples)) / total_weight

        value, grads = value_and_grad_accumulated(
            loss, state.model, batch, config.micro_batch
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.model)
        model = optax.apply_updates(state.model, updates)
        logged = {"loss": value, "gradient_norm": optax.tree.norm(grads)}
        return ImitationState(model, opt_state), logged

    return Learner(init, step, lambda state: state.model)
