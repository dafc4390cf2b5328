"""Training by reward: trials are played a segment at a time, and learnt from.

What is minimised is one function a file: `icrl.training.ppo`, `icrl.training.vmpo`.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from envs.base import Key
from icrl.agents import Recipe, save_recipe
from icrl.devices import over_devices
from icrl.online_config import OnlineConfig, PpoConfig, VmpoConfig
from icrl.runs import Run
from icrl.training.experience import Batch, Player, Trial, advantages, make_player
from icrl.training.fit import Learner, Logged, Models, Trained, fit
from icrl.training.optimizer import make_optimizer
from icrl.training.ppo import ppo_loss
from icrl.training.vmpo import first_multipliers, vmpo_loss

# Of the divergence that holds the policy while values alone are learnt; with a weight
# of 1, as theirs, Adam's first steps are long enough to move it
HOLD = 10.0


class Learned(NamedTuple):
    """What the optimiser changes."""

    model: Any
    multipliers: Any  # beside it, of constraints; None: there are none


class Setting(NamedTuple):
    """What a seed has of its own in a random search, beside the config."""

    rate: Float[Array, ""]  # factor of the learning rate
    entropy: Float[Array, ""]  # factor of the entropy coefficient


class OnlineState(NamedTuple):
    """What a step hands to the next."""

    learned: Learned
    setting: Setting
    opt_state: Any
    trials: Trial | None  # that are being played; None: each step plays whole ones
    step: Array  # of training


# (model, multipliers, player, batch, config) -> loss, and what the log says of it
Loss: TypeAlias = Callable[..., tuple[Float[Array, ""], Logged]]


class Method(NamedTuple):
    """A way to learn from a batch of segments."""

    loss: Loss
    first_multipliers: Callable[[Any], Any]


METHODS: dict[type[OnlineConfig], Method] = {
    PpoConfig: Method(ppo_loss, lambda config: None),
    VmpoConfig: Method(vmpo_loss, first_multipliers),
}


def train_online(
    run: Run,
    recipe: Recipe,
    config: OnlineConfig,
    *,
    name: str = "",
    seeds: Collection[int] | None = None,
    start_from: Models | None = None,
) -> Trained:
    """Trains the models of a run's seeds by reward, or loads those that are trained.

    Args:
        run: whose folder holds them.
        recipe: family, trials, tokenizer and model, which is saved beside the weights.
        config: how they are trained; its class says by which method.
        name: tells models apart where a run trains several.
        seeds: those of the run's that have this model; None: all.
        start_from: models to start from, one for each seed; None: fresh ones.

    Raises:
        ValueError: as `make_player`.
        RunError: as `fit`.
    """
    learner = online_learner(recipe, config)
    save_recipe(run.folder, recipe, name)
    return fit(
        run,
        learner,
        num_steps=config.num_steps,
        steps_per_call=config.steps_per_call,
        checkpoint_every=config.checkpoint_every,
        name=name,
        seeds=seeds,
        start_from=start_from,
    )


def online_learner(recipe: Recipe, config: OnlineConfig) -> Learner:
    """Learning by reward, on segments of trials with the memory before them.

    A step plays one segment of every trial and learns from all of them. It logs the
    return of a trial, the loss and its parts, the entropy (nats), the divergence of the
    new from the old policy (nats), and `ratio_error`: how far from 1 the ratios of new
    to old probabilities are before anything is learnt, when segments are read again
    from stored memory. The best checkpoint is that of the highest return. A random
    search (`sweep`) logs each seed's peak learning rate and entropy coefficient.

    Args:
        recipe: family, trials, tokenizer and model.
        config: of the training.

    Raises:
        ValueError: as `make_player`.
    """
    method = METHODS[type(config)]
    player = make_player(recipe, config.segment_steps)
    optimizer = make_optimizer(config.optimizer_config())
    size = config.batch_size

    def init(key: Key, model: Any = None) -> OnlineState:
        key_model, key_trials, key_setting = jax.random.split(key, 3)
        if model is None:
            model = recipe.make_model(key_model)
        learned = Learned(model, method.first_multipliers(config))
        trials = None
        if player.num_segments > 1:
            keys = jax.random.split(key_trials, size)
            trials = jax.vmap(player.start, (None, 0))(model, keys)
        step = jnp.zeros((), jnp.int32)
        factors = config.sweep ** jax.random.uniform(key_setting, (2,), minval=-1.0)
        setting = Setting(*factors)
        return OnlineState(learned, setting, optimizer.init(learned), trials, step)

    def entropy_factor(state: OnlineState) -> Float[Array, ""]:
        fallen = (1 - config.final_entropy) * state.step / config.num_steps
        return state.setting.entropy * (1 - fallen)

    def step(state: OnlineState, key: Key, data: Any) -> tuple[OnlineState, Logged]:
        del data
        key_start, key_order = jax.random.split(key)
        trials = _begun(player, state, jax.random.split(key_start, size))
        collect = jax.vmap(player.collect, (None, 0))
        trials, segments = over_devices(collect, state.learned.model, trials)
        named = ("discount", "gae_lambda", "reward_scale", "reward_offset")
        gae = {name: getattr(config, name) for name in named}
        advantage = jax.vmap(lambda one: advantages(one, **gae))(segments)
        batch = Batch(segments, advantage)

        def loss(learned: Learned, part: Batch) -> tuple[Float[Array, ""], Logged]:
            total, logged = method.loss(*learned, player, part, config)
            more = (entropy_factor(state) - 1) * config.entropy_coefficient
            total = total - more * logged["entropy"]
            if config.value_steps:  # values, and nothing that moves the policy
                held = config.value_coefficient * logged["value_loss"]
                held = held + HOLD * logged["kl"]
                total = jnp.where(state.step < config.value_steps, held, total)
            return total, logged | {"loss": total}

        def update(carry: tuple[Learned, Any], chosen: Array):
            learned, opt_state = carry
            part = jax.tree.map(lambda x: x[chosen], batch)
            grads, logged = jax.grad(loss, has_aux=True)(learned, part)
            after: Any
            updates, after = optimizer.update(grads, opt_state, learned)
            logged["gradient_norm"] = optax.tree.norm(grads)
            updates = jax.tree.map(lambda x: state.setting.rate * x, updates)
            changed: Any = optax.apply_updates(learned, updates)
            return (changed, after), logged

        orders = [
            jax.random.permutation(key, size).reshape(config.num_minibatches, -1)
            for key in jax.random.split(key_order, config.num_epochs)
        ]
        (learned, opt_state), logged = jax.lax.scan(
            update, (state.learned, state.opt_state), jnp.concatenate(orders)
        )
        first = logged.pop("ratio_error")[0]
        logged = {name: values.mean() for name, values in logged.items()}
        earned = segments.reward.sum(axis=1).mean() * player.num_segments
        logged |= {"ratio_error": first, "return": earned}
        logged["learning_rate"] = state.setting.rate * config.learning_rate
        coefficient = entropy_factor(state) * config.entropy_coefficient
        logged["entropy_coefficient"] = coefficient
        kept = trials if player.num_segments > 1 else None
        after = OnlineState(learned, state.setting, opt_state, kept, state.step + 1)
        return after, logged

    return Learner(
        init,
        step,
        model=lambda state: state.learned.model,
        best="return",
        highest=True,
        num_tokens=config.num_steps * size * player.trial_steps // player.num_segments,
    )


def _begun(player: Player, state: OnlineState, keys: Key) -> Trial:
    """The trials to play on: new ones where the last have ended.

    At any time as many trials are in one segment as in another, so that a step learns
    from all parts of a trial.
    """
    fresh = jax.vmap(player.start, (None, 0))(state.learned.model, keys)
    if state.trials is None:
        return fresh
    phase = jnp.arange(keys.shape[0]) % player.num_segments
    new = (state.step + phase) % player.num_segments == 0

    def choose(fresh: Array, old: Array) -> Array:
        return jnp.where(new.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)

    return jax.tree.map(choose, fresh, state.trials)
