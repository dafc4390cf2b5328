"""Proximal policy optimisation of an agent that remembers a whole trial."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from envs.base import Key
from icrl.agents import Recipe, save_recipe
from icrl.online_config import PpoConfig
from icrl.runs import Run
from icrl.training.experience import Player, Segment, Trial, advantages, make_player
from icrl.training.fit import Learner, Trained, fit
from icrl.training.optimizer import make_optimizer


class PpoState(NamedTuple):
    """What a step hands to the next."""

    model: Any
    opt_state: Any
    trials: Trial | None  # that are being played; None: each step plays whole ones
    step: Array  # of training


class Batch(NamedTuple):
    """Segments, and what is learnt from them."""

    segment: Segment
    advantage: Float[Array, "*batch time"]


def train_online(
    run: Run, recipe: Recipe, config: PpoConfig, *, name: str = ""
) -> Trained:
    """Trains the models of all of a run's seeds by reward, or loads those trained.

    Args:
        run: whose folder holds them.
        recipe: family, trials, tokenizer and model, which is saved beside the weights.
        config: how they are trained.
        name: tells models apart where a run trains several.

    Raises:
        ValueError: as `make_player`.
    """
    save_recipe(run.folder, recipe, name)
    learner = ppo_learner(recipe, config)
    return fit(
        run,
        learner,
        num_steps=config.num_steps,
        steps_per_call=config.steps_per_call,
        checkpoint_every=config.checkpoint_every,
        name=name,
    )


def ppo_learner(recipe: Recipe, config: PpoConfig) -> Learner:
    """PPO with clipped ratios, on segments of trials with the memory before them.

    A step plays one segment of every trial and learns from all of them. It logs the
    return of a trial, the loss and its parts, the entropy (nats), the divergence of the
    new from the old policy (nats), and `ratio_error`: how far from 1 the ratios are
    before anything is learnt, when segments are read again from stored memory.

    Source: Schulman et al. 2017, arXiv 1707.06347, Section 3 and Algorithm 1.

    Args:
        recipe: family, trials, tokenizer and model.
        config: of the training.
    """
    player = make_player(recipe, config.segment_steps)
    optimizer = make_optimizer(config.optimizer_config())
    size = config.batch_size

    def init(key: Key) -> PpoState:
        key_model, key_trials = jax.random.split(key)
        model = recipe.make_model(key_model)
        trials = None
        if player.num_segments > 1:
            keys = jax.random.split(key_trials, size)
            trials = jax.vmap(player.start, (None, 0))(model, keys)
        step = jnp.zeros((), jnp.int32)
        return PpoState(model, optimizer.init(model), trials, step)

    def step(
        state: PpoState, key: Key, data: Any
    ) -> tuple[PpoState, dict[str, Float[Array, ""]]]:
        del data
        key_start, key_order = jax.random.split(key)
        trials = _begun(player, state, jax.random.split(key_start, size))
        trials, segments = jax.vmap(player.collect, (None, 0))(state.model, trials)
        gae = {"discount": config.discount, "gae_lambda": config.gae_lambda}
        advantage = jax.vmap(lambda one: advantages(one, **gae))(segments)
        batch = Batch(segments, advantage)

        def update(carry: tuple[Any, Any], chosen: Array):
            model, opt_state = carry
            part = jax.tree.map(lambda x: x[chosen], batch)
            grads, logged = jax.grad(_loss, has_aux=True)(model, player, part, config)
            updates, opt_state = optimizer.update(grads, opt_state, model)
            logged["gradient_norm"] = optax.tree.norm(grads)
            return (optax.apply_updates(model, updates), opt_state), logged

        orders = [
            jax.random.permutation(key, size).reshape(config.num_minibatches, -1)
            for key in jax.random.split(key_order, config.num_epochs)
        ]
        (model, opt_state), logged = jax.lax.scan(
            update, (state.model, state.opt_state), jnp.concatenate(orders)
        )
        first = logged.pop("ratio_error")[0]
        logged = {name: values.mean() for name, values in logged.items()}
        earned = segments.reward.sum(axis=1).mean() * player.num_segments
        logged |= {"ratio_error": first, "return": earned}
        kept = trials if player.num_segments > 1 else None
        return PpoState(model, opt_state, kept, state.step + 1), logged

    return Learner(
        init,
        step,
        model=lambda state: state.model,
        best="return",
        highest=True,
        num_tokens=config.num_steps * size * player.trial_steps // player.num_segments,
    )


def _begun(player: Player, state: PpoState, keys: Key) -> Trial:
    """The trials to play on: new ones where the last have ended.

    At any time as many trials are in one segment as in another, so that a step learns
    from all parts of a trial.
    """
    fresh = jax.vmap(player.start, (None, 0))(state.model, keys)
    if state.trials is None:
        return fresh
    phase = jnp.arange(keys.shape[0]) % player.num_segments
    new = (state.step + phase) % player.num_segments == 0

    def choose(fresh: Array, old: Array) -> Array:
        return jnp.where(new.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)

    return jax.tree.map(choose, fresh, state.trials)


def _loss(
    model: Any, player: Player, batch: Batch, config: PpoConfig
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The loss of a minibatch, and what the log says of it."""
    segment, valid = batch.segment, batch.segment.valid
    played = jax.vmap(player.read, (None, 0))(model, segment)
    every = jax.nn.log_softmax(played.logits)
    log_probs = jnp.take_along_axis(every, segment.action[..., None], -1)[..., 0]
    change = log_probs - segment.log_probs
    ratio = jnp.exp(change)

    def mean(x: Float[Array, "batch time"]) -> Float[Array, ""]:
        return jnp.sum(x * valid) / jnp.maximum(valid.sum(), 1)

    advantage = batch.advantage - mean(batch.advantage)
    advantage = advantage / (jnp.sqrt(mean(advantage**2)) + 1e-8)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    policy = -mean(jnp.minimum(ratio * advantage, clipped * advantage))
    target = segment.values + batch.advantage
    value = 0.5 * mean((played.values - target) ** 2)
    entropy = mean(-jnp.sum(jnp.exp(every) * every, axis=-1))
    loss = policy + config.value_coefficient * value
    loss = loss - config.entropy_coefficient * entropy
    return loss, {
        "loss": loss,
        "policy_loss": policy,
        "value_loss": value,
        "entropy": entropy,
        "kl": mean(ratio - 1 - change),  # Schulman's estimate, never negative
        "clipped": mean((jnp.abs(ratio - 1) > config.clip).astype(jnp.float32)),
        "ratio_error": jnp.max(jnp.abs(ratio - 1) * valid),
    }
