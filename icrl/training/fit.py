"""Supervised pretraining: one jitted call makes data, losses, gradients and steps.

Every training seed is a model of its own; seeds are vmapped in one job. All randomness
of step t of seed s is `fold_in(fold_in(key(s), DATA), t)`, so that a resumed run is bit
for bit the uninterrupted one (same seeds, devices and versions).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from envs.base import Key
from icrl.config import TrainingConfig
from icrl.errors import RunError
from icrl.pretraining import Example, imitation_loss
from icrl.pretraining.dataset import Draw
from icrl.runs.checkpoint import load_weights, save_weights
from icrl.runs.metrics import Preemption, Progress
from icrl.runs.run import Run
from icrl.tokenizers.base import Tokenizer
from icrl.training.accumulation import value_and_grad_accumulated

INIT, DATA = 0, 1  # key purposes


class TrainState(NamedTuple):
    """What a checkpoint holds; every leaf has a leading axis of seeds."""

    model: Any
    opt_state: Any
    diverged_at: Int[Array, "*seeds"]  # first step of a non-finite loss; -1: none


class Trained(NamedTuple):
    """Models of the seeds that did not diverge, stacked along a leading axis."""

    models: Any
    seeds: tuple[int, ...]
    train_tokens: int  # over all seeds


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with warm-up, a schedule and gradient clipping."""
    peak, end = config.learning_rate, config.learning_rate * config.final_fraction
    decay_steps = max(1, config.num_steps - config.warmup_steps)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, end, decay_steps),
        "cosine": optax.cosine_decay_schedule(peak, decay_steps, config.final_fraction),
    }[config.schedule]
    warmup = optax.linear_schedule(0.0, peak, max(1, config.warmup_steps))
    schedule = optax.join_schedules([warmup, after], [config.warmup_steps])
    adamw = optax.adamw(
        schedule, b1=config.beta1, b2=config.beta2, weight_decay=config.weight_decay
    )
    if config.clip_norm is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)


def training_step(
    state: TrainState,
    batch: Example,
    *,
    tokenizer: Tokenizer,
    optimizer: optax.GradientTransformation,
    micro_batch: int | None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One step of one seed; returns the new state and what the log says of the step.

    That is the loss (nats a label) and the gradient's norm, both before the step and
    the norm before clipping.
    """
    total_weight = jnp.sum(batch.weights)

    def loss(model: Any, examples: Example) -> Float[Array, ""]:
        def of_one(example: Example) -> Float[Array, ""]:
            return imitation_loss(model(example.tokens), example, tokenizer)[0]

        return jnp.sum(jax.vmap(of_one)(examples)) / total_weight

    value, grads = value_and_grad_accumulated(loss, state.model, batch, micro_batch)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.model)
    model = optax.apply_updates(state.model, updates)
    logged = {"loss": value, "gradient_norm": optax.tree.norm(grads)}
    return state._replace(model=model, opt_state=opt_state), logged


def train(
    run: Run,
    *,
    make_model: Callable[[Key], Any],
    draw: Draw,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    data: Any = None,
    name: str = "",
) -> Trained:
    """Trains the models of all of a run's seeds, or loads those that are trained.

    Saves checkpoints on the way and resumes from the newest; the weights of each seed
    come last.

    Args:
        run: whose folder holds checkpoints, metrics and weights.
        make_model: `key -> model`.
        draw: `(data, key) -> Example`: fresh ones, or rows of a frozen data set.
        tokenizer: of the examples.
        config: how the models are fitted.
        data: what `draw` reads; an argument of the jitted step, not a constant of it.
        name: tells models apart where a run trains several.

    Raises:
        RunError: if every seed diverged, or a checkpoint or weight file is unreadable.
        SystemExit: after SIGTERM or SIGINT, once a checkpoint is saved.
    """
    trainer = _Trainer(run, make_model, draw, tokenizer, config, data, name)
    for cohort in run.cohorts:
        if not run.is_trained(cohort, name):
            trainer.fit(cohort)
    seeds = tuple(s for s in run.config.seeds if run.weights(s, name).exists())
    like = jax.eval_shape(make_model, jax.random.key(0))
    loaded = [load_weights(run.weights(seed, name), like) for seed in seeds]
    tokens = jax.eval_shape(draw, data, jax.random.key(0)).tokens.shape[0]
    return Trained(
        models=jax.tree.map(lambda *leaves: jnp.stack(leaves), *loaded),
        seeds=seeds,
        train_tokens=len(seeds) * config.num_steps * config.batch_size * tokens,
    )


class _Trainer(NamedTuple):
    """The arguments of `train`, shared by its parts."""

    run: Run
    make_model: Callable[[Key], Any]
    draw: Draw
    tokenizer: Tokenizer
    config: TrainingConfig
    data: Any
    name: str

    def fit(self, cohort: tuple[int, ...]) -> None:
        """Trains the seeds of one cohort side by side and writes their weights."""
        config = self.config
        roots = jnp.stack([jax.random.key(seed) for seed in cohort])
        optimizer = make_optimizer(config)
        state = jax.jit(jax.vmap(lambda root: self._initial(root, optimizer)))(roots)
        steps = jax.jit(
            jax.vmap(
                lambda state, root, first, data: self._steps(
                    state, root, first, data, optimizer
                ),
                in_axes=(0, 0, None, None),
            ),
            donate_argnums=0,
        )
        checkpoints = self.run.checkpoints(cohort, self.name)
        first = checkpoints.latest() or 0
        if first:
            state = checkpoints.restore(first, state)
        log = self.run.metrics(cohort, first, self.name)
        label = self.name or "training"
        with (
            checkpoints,
            log,
            Preemption() as preemption,
            Progress(config.num_steps, start=first, label=label) as progress,
        ):
            for step in range(first, config.num_steps, config.steps_per_call):
                state, logged = steps(state, roots, step, self.data)
                step += config.steps_per_call
                alive = np.asarray(state.diverged_at) < 0
                means = {k: np.asarray(v).mean(axis=1) for k, v in logged.items()}
                _require_alive(alive, state, cohort, checkpoints)
                loss = float(means["loss"][alive].mean())
                log.log(step, **means)
                progress.update(step, loss=loss)
                stop = preemption.requested
                if stop or step % config.checkpoint_every == 0:
                    checkpoints.save(step, state, loss)
                if stop:
                    checkpoints.wait()
                    preemption.exit()
        for index, seed in enumerate(cohort):
            diverged_at = int(state.diverged_at[index])
            if diverged_at >= 0:
                print(f"seed {seed} diverged at step {diverged_at}: left out")
                continue
            model = jax.tree.map(lambda leaf, index=index: leaf[index], state.model)
            save_weights(self.run.weights(seed, self.name), model)

    def _initial(self, root: Key, optimizer: optax.GradientTransformation):
        model = self.make_model(jax.random.fold_in(root, INIT))
        return TrainState(
            model=model,
            opt_state=optimizer.init(model),
            diverged_at=jnp.full((), -1),
        )

    def _steps(
        self,
        state: TrainState,
        root: Key,
        first: Int[Array, ""],
        data: Any,
        optimizer: optax.GradientTransformation,
    ) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
        """`steps_per_call` steps of one seed, with what the log says of each."""

        def one(state: TrainState, step: Int[Array, ""]):
            key = jax.random.fold_in(jax.random.fold_in(root, DATA), step)
            keys = _over_devices(jax.random.split(key, self.config.batch_size))
            batch = jax.vmap(self.draw, (None, 0))(data, keys)
            state, logged = training_step(
                state,
                batch,
                tokenizer=self.tokenizer,
                optimizer=optimizer,
                micro_batch=self.config.micro_batch,
            )
            fresh = (state.diverged_at < 0) & ~jnp.isfinite(logged["loss"])
            diverged_at = jnp.where(fresh, step, state.diverged_at)
            return state._replace(diverged_at=diverged_at), logged

        return jax.lax.scan(one, state, first + jnp.arange(self.config.steps_per_call))


def _over_devices(keys: Key) -> Key:
    """Shards a batch of keys, and so all that is made from them, over the devices.

    Models stay replicated; XLA sums the gradients.

    Raises:
        ValueError: if the devices do not divide the batch.
    """
    devices = jax.device_count()
    if devices == 1:
        return keys
    if keys.shape[0] % devices:
        raise ValueError(
            f"batch_size ({keys.shape[0]}) must be a multiple of the number of "
            f"devices ({devices})"
        )
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(AxisType.Auto,))
    return jax.lax.with_sharding_constraint(keys, NamedSharding(mesh, P("data")))


def _require_alive(
    alive: np.ndarray, state: TrainState, cohort: tuple[int, ...], checkpoints: Any
) -> None:
    """Stops where no seed is left; the checkpoints before are the last good ones."""
    if alive.any():
        return
    at = ", ".join(
        f"seed {seed} at step {int(step)}"
        for seed, step in zip(cohort, np.asarray(state.diverged_at), strict=True)
    )
    good = checkpoints.latest()
    kept = "no checkpoint was saved" if good is None else f"checkpoint {good} is kept"
    raise RunError(f"the loss is no longer finite: {at}; {kept}")
