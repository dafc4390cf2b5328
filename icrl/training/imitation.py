"""Training by imitation: the models of a run's seeds, from a pretraining's examples."""

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from envs.base import Key, require
from icrl.agents import save_recipe
from icrl.config import PretrainingConfig, TrainingConfig
from icrl.devices import num_parts, sum_over_devices
from icrl.pretraining import Example, Pretraining, imitation_loss
from icrl.pretraining.dataset import Draw, beginnings, source
from icrl.pretraining.examples import cut
from icrl.runs import Run
from icrl.tokenizers.base import Tokenizer
from icrl.training.accumulation import value_and_grad_accumulated
from icrl.training.fit import Learner, Look, Step, Trained, fit
from icrl.training.optimizer import make_optimizer


class ImitationState(NamedTuple):
    """What a step hands to the next."""

    model: Any
    opt_state: Any


class Stage(NamedTuple):
    """A part of a training, all of whose contexts are of one length."""

    draw: Draw
    num_steps: int  # of training
    num_tokens: int  # of a context


def train_models(
    run: Run,
    pretraining: Pretraining,
    config: TrainingConfig,
    *,
    name: str = "",
    look: Look | None = None,
    seeds: Collection[int] | None = None,
) -> Trained:
    """Trains the models of a run's seeds, or loads those that are trained.

    Args:
        run: whose folder holds them.
        pretraining: behaviour policy, expert, and how many examples there are; its
            recipe (family, tokenizer and model) is saved beside the weights.
        config: how they are fitted.
        name: tells models apart where a run trains several.
        look: what is asked of the models at every checkpoint, as in `fit`.
        seeds: those of the run's that have this model; None: all.

    Raises:
        ValueError: if the pretraining has no recipe, or as in `plan`.
    """
    recipe = pretraining.recipe
    if recipe is None:
        raise ValueError("a pretraining needs a recipe to train its models, got None")
    asked = run.config.seeds if seeds is None else tuple(seeds)
    if run.is_trained(asked, name):
        # what is there is only loaded: no need to make its data again
        pretraining = pretraining._replace(options=PretrainingConfig())
    stages, data = plan(pretraining, config)
    save_recipe(run.folder, recipe, name)
    learner = imitation_learner(
        recipe.make_model, stages, pretraining.tokenizer, config
    )
    return fit(
        run,
        learner,
        num_steps=config.num_steps,
        steps_per_call=config.steps_per_call,
        checkpoint_every=config.checkpoint_every,
        data=data,
        name=name,
        look=look,
        seeds=asked,
    )


def plan(pretraining: Pretraining, config: TrainingConfig) -> tuple[list[Stage], Any]:
    """The stages of a training, and the data that their draws read.

    Each reads about as many tokens as another: steps are shared out by one over length.
    What is learnt on short contexts costs little and is not to be learnt again, since
    the label of a history does not depend on what follows it.

    Source: Li et al. 2022, arXiv 2108.06084 (shorter sequences first; they lengthen
    them in steps of 8 tokens).

    Raises:
        ValueError: if contexts cannot be cut so, or a stage would have no steps.
    """
    shorter = [cut(pretraining, length) for length in config.lengths]
    draw, data = source(pretraining)
    draws = [
        source(one)[0] if data is None else beginnings(draw, one.tokenizer, length)
        for one, length in zip(shorter, config.lengths, strict=True)
    ]
    draws.append(draw)
    sizes = [
        jax.eval_shape(draw, data, jax.random.key(0)).tokens.shape[0] for draw in draws
    ]
    calls = config.num_steps // config.steps_per_call
    done = np.cumsum(1 / np.array(sizes))
    ends = np.rint(calls * done / done[-1]).astype(int)
    steps = np.diff(ends, prepend=0) * config.steps_per_call
    rule = "num_steps must be enough for steps_per_call steps of each of the lengths"
    require(bool(steps.min() > 0), rule, config.num_steps)
    return [Stage(*x) for x in zip(draws, steps.tolist(), sizes, strict=True)], data


def imitation_learner(
    make_model: Callable[[Key], Any],
    stages: Sequence[Stage],
    tokenizer: Tokenizer,
    config: TrainingConfig,
) -> Learner:
    """Maximum likelihood of the expert's labels, on a fresh batch at every step.

    A step logs the loss (nats a label) and the gradient's norm, both before the step
    and the norm before clipping.

    Args:
        make_model: `key -> model`.
        stages: where examples come from, stage after stage.
        tokenizer: of the examples.
        config: batch size and optimiser.
    """
    ends = list(itertools.accumulate(stage.num_steps for stage in stages))
    optimizer = make_optimizer(config, ends)

    def init(key: Key) -> ImitationState:
        model = make_model(key)
        return ImitationState(model, optimizer.init(model))

    def step_of(stage: Stage) -> Step:
        longest = stages[-1].num_tokens
        micro_batch = _micro_batch(config, longest / stage.num_tokens)
        sums = _sums(stage.draw, tokenizer, micro_batch)

        def step(
            state: ImitationState, key: Key, data: Any
        ) -> tuple[ImitationState, dict[str, Float[Array, ""]]]:
            keys = jax.random.split(key, config.batch_size)
            *found, weight = sum_over_devices(sums, (state.model, data), keys)
            value, grads = jax.tree.map(lambda total: total / weight, found)
            updates, opt_state = optimizer.update(grads, state.opt_state, state.model)
            model = optax.apply_updates(state.model, updates)
            logged = {"loss": value, "gradient_norm": optax.tree.norm(grads)}
            return ImitationState(model, opt_state), logged

        return step

    *earlier, (_, last) = zip(ends, map(step_of, stages), strict=True)
    return Learner(
        init,
        last,
        model=lambda state: state.model,
        num_tokens=sum(config.batch_size * s.num_steps * s.num_tokens for s in stages),
        earlier=tuple(earlier),
    )


def _sums(
    draw: Draw, tokenizer: Tokenizer, micro_batch: int | None
) -> Callable[[tuple[Any, Any], Key], tuple[Array, Any, Array]]:
    """`((model, data), keys)` -> loss, its gradient and weights, summed over examples.

    Args:
        draw: makes an example of each key.
        tokenizer: of the examples.
        micro_batch: examples of a backward pass; None: all.
    """

    def sums(given: tuple[Any, Any], keys: Key) -> tuple[Array, Any, Array]:
        model, data = given
        batch = jax.vmap(draw, (None, 0))(data, keys)

        def loss(model: Any, examples: Example) -> Float[Array, ""]:
            def of_one(example: Example) -> Float[Array, ""]:
                return imitation_loss(model(example.tokens), example, tokenizer)[0]

            return jnp.sum(jax.vmap(of_one)(examples))

        value, grads = value_and_grad_accumulated(loss, model, batch, micro_batch)
        return value, grads, jnp.sum(batch.weights)

    return sums


def _micro_batch(config: TrainingConfig, times: float) -> int | None:
    """Examples of a backward pass on each device, of contexts so many times shorter."""
    if config.micro_batch is None:
        return None
    parts = num_parts(config.batch_size)
    share = config.batch_size // parts
    most = min(max(1, int(config.micro_batch * times / parts)), share)
    return max(n for n in range(1, most + 1) if share % n == 0)
