"""Fitting a learner: seeds side by side, resumed bit for bit, whatever its loss is.

Every training seed is a model of its own; seeds are vmapped in one job. Step t of seed
s draws from `fold_in(fold(training_key(s), DATA), t)` alone (`icrl.keys`), so that a
resumed run is bit for bit the uninterrupted one (same seeds, devices and versions).
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import Key
from icrl.devices import on_every_device
from icrl.errors import DivergedError, RunError
from icrl.keys import Purpose, fold, training_key
from icrl.runs.metrics import Preemption, Progress, read_metrics
from icrl.runs.run import Run
from icrl.runs.weights import load_weights, save_weights

Logged = dict[str, Float[Array, ""]]
Step = Callable[[Any, Key, Any], tuple[Any, Logged]]  # (state, key, data)
Look = Callable[[Any], Mapping[str, Any]]  # models, stacked over seeds -> numbers


class Learner(NamedTuple):
    """What is trained, as pure functions of one training seed.

    Its state is any pytree of fixed shapes: parameters, optimiser, and whatever else a
    step hands to the next (environments that are being played, say).

    Attributes:
        init: `key -> state`; `(key, model) -> state` to start from a given model.
        step: `(state, key, data) -> (state, logged)`: one step, and numbers of it.
            `logged["loss"]` must be there; a seed whose loss is not finite is lost.
        model: `state -> model`: the part that is played and whose weights are saved.
        best: name of the logged number whose lowest value marks the best checkpoint.
        highest: whether its highest value does.
        num_tokens: tokens of the training of a seed.
        earlier: `(until, step)`, in order: what is done instead of `step` before the
            step of that number, a multiple of `steps_per_call`. Each is a program of
            its own, so that its data may have other shapes.
    """

    init: Callable[..., Any]
    step: Step
    model: Callable[[Any], Any]
    best: str = "loss"
    highest: bool = False
    num_tokens: int = 0
    earlier: tuple[tuple[int, Step], ...] = ()


class Trained(NamedTuple):
    """Models of the seeds that did not diverge, stacked along a leading axis."""

    models: Any
    seeds: tuple[int, ...]
    train_tokens: int  # over all seeds


@runtime_checkable
class Models(Protocol):
    """Models of some seeds, stacked along a leading axis."""

    @property
    def models(self) -> Any:
        """The stack."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of each."""
        ...


class FitState(NamedTuple):
    """What a checkpoint holds; every leaf has a leading axis of seeds."""

    learner: Any
    diverged_at: Int[Array, "*seeds"]  # first step of a non-finite loss; -1: none


def fit(
    run: Run,
    learner: Learner,
    *,
    num_steps: int,
    steps_per_call: int,
    checkpoint_every: int,
    data: Any = None,
    name: str = "",
    look: Look | None = None,
    seeds: Collection[int] | None = None,
    start_from: Models | None = None,
) -> Trained:
    """Trains the models of a run's seeds, or loads those that are trained.

    Saves checkpoints on the way and resumes from the newest; the weights of each seed
    come last.

    Args:
        run: whose folder holds checkpoints, metrics and weights.
        learner: what is trained.
        num_steps: of each seed.
        steps_per_call: steps between two looks at the loss; divides the two others.
        checkpoint_every: steps.
        data: what `learner.step` reads; an argument of the jitted step, not a constant.
        name: tells models apart where a run trains several.
        look: what is asked of the models at every checkpoint, for each seed; the log
            has it, and `train_seconds`: what all steps took so far, with compiling
            (again after a resume) and without looks.
        seeds: those of the run's that have this model; None: all.
        start_from: models to start from, one for each seed; None: fresh ones.

    Raises:
        DivergedError: if every seed of a group diverged.
        RunError: if a checkpoint or weight file is unreadable, or a seed has no model
            to start from.
        SystemExit: after SIGTERM or SIGINT, once a checkpoint is saved.
    """
    fitter = _Fitter(
        run,
        learner,
        num_steps,
        steps_per_call,
        checkpoint_every,
        data,
        name,
        look,
        start_from,
    )
    asked = run.config.seeds if seeds is None else seeds
    for group in run.groups:
        chosen = tuple(seed for seed in group if seed in asked)
        if not run.is_trained(chosen, name):
            fitter.fit(group, chosen)
    seeds = tuple(
        seed
        for seed in run.config.seeds
        if seed in asked and run.weights(seed, name).exists()
    )
    like = jax.eval_shape(
        lambda key: learner.model(learner.init(key)), jax.random.key(0)
    )
    loaded = [load_weights(run.weights(seed, name), like) for seed in seeds]
    return Trained(
        models=jax.tree.map(lambda *leaves: jnp.stack(leaves), *loaded),
        seeds=seeds,
        train_tokens=len(seeds) * learner.num_tokens,
    )


class _Fitter(NamedTuple):
    """The arguments of `fit`, shared by its parts."""

    run: Run
    learner: Learner
    num_steps: int
    steps_per_call: int
    checkpoint_every: int
    data: Any
    name: str
    look: Look | None
    start_from: Models | None

    def fit(self, group: tuple[int, ...], seeds: tuple[int, ...]) -> None:
        """Trains seeds of one group side by side and writes their weights."""
        roots = jnp.stack([training_key(seed) for seed in seeds])
        programs = [
            (until, self._program(step))
            for until, step in (
                *self.learner.earlier,
                (self.num_steps, self.learner.step),
            )
        ]
        checkpoints = self.run.checkpoints(group, self.name)
        first = checkpoints.latest() or 0
        log = self.run.metrics(group, first, self.name)
        label = self.name or "training"
        with (
            checkpoints,
            log,
            Preemption() as preemption,
            Progress(self.num_steps, start=first, label=label) as progress,
        ):
            progress.say("compiling")
            # as the steps give it back: of another place, it would compile them twice
            initial = jax.jit(jax.vmap(self._initial), out_shardings=on_every_device())
            given = ()
            if self.start_from is not None:
                given = (_of_seeds(self.start_from, seeds),)
            earlier = (line.get("train_seconds", 0) for line in read_metrics(log.path))
            train_seconds, started = max(earlier, default=0.0), time.perf_counter()
            state = jax.block_until_ready(initial(roots, *given))
            train_seconds += time.perf_counter() - started
            if first:
                state = checkpoints.restore(first, state)
            for step in range(first, self.num_steps, self.steps_per_call):
                steps = next(program for until, program in programs if step < until)
                started = time.perf_counter()
                state, logged = steps(state, roots, step, self.data)
                step += self.steps_per_call
                alive = np.asarray(state.diverged_at) < 0
                train_seconds += time.perf_counter() - started
                means = {k: np.asarray(v).mean(axis=1) for k, v in logged.items()}
                _require_alive(alive, state, seeds, checkpoints)
                if self.look is not None:
                    means["train_seconds"] = round(train_seconds, 3)
                    if step % self.checkpoint_every == 0:
                        means |= self.look(self.learner.model(state.learner))
                log.log(step, **means)
                progress.update(step, loss=float(means["loss"][alive].mean()))
                stop = preemption.requested
                if stop or step % self.checkpoint_every == 0:
                    best = float(means[self.learner.best][alive].mean())
                    checkpoints.save(
                        step, state, -best if self.learner.highest else best
                    )
                if stop:
                    checkpoints.wait()
                    preemption.exit()
        for index, seed in enumerate(seeds):
            diverged_at = int(state.diverged_at[index])
            if diverged_at >= 0:
                print(f"seed {seed} diverged at step {diverged_at}: left out")
                continue
            model = jax.tree.map(
                lambda leaf, index=index: leaf[index],
                self.learner.model(state.learner),
            )
            save_weights(self.run.weights(seed, self.name), model)

    def _initial(self, root: Key, *given: Any) -> FitState:
        state = FitState(
            learner=self.learner.init(fold(root, Purpose.INIT), *given),
            diverged_at=jnp.full((), -1),
        )
        leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, state))
        # of the types that the steps give back: a weak one would compile them twice
        return structure.unflatten([leaf.astype(leaf.dtype) for leaf in leaves])

    def _program(self, step: Step) -> Callable[..., Any]:
        """`steps_per_call` steps of all seeds, with what the log says of each."""

        def steps(
            state: FitState, root: Key, first: Int[Array, ""], data: Any
        ) -> tuple[FitState, dict[str, Float[Array, " steps"]]]:
            def one(state: FitState, number: Int[Array, ""]):
                key = jax.random.fold_in(fold(root, Purpose.DATA), number)
                inner, logged = step(state.learner, key, data)
                fresh = (state.diverged_at < 0) & ~jnp.isfinite(logged["loss"])
                diverged_at = jnp.where(fresh, number, state.diverged_at)
                return FitState(inner, diverged_at), logged

            return jax.lax.scan(one, state, first + jnp.arange(self.steps_per_call))

        return jax.jit(
            jax.vmap(steps, in_axes=(0, 0, None, None)),
            donate_argnums=0,
            out_shardings=(on_every_device(), None),
        )


def _of_seeds(given: Models, seeds: tuple[int, ...]) -> Any:
    """The models of these seeds, to start from."""
    lost = sorted(set(seeds) - set(given.seeds))
    if lost:
        raise RunError(f"there is no model to start from for the seeds {lost}")
    rows = np.array([given.seeds.index(seed) for seed in seeds])
    return jax.tree.map(lambda leaf: leaf[rows], given.models)


def _require_alive(
    alive: np.ndarray, state: FitState, seeds: tuple[int, ...], checkpoints: Any
) -> None:
    """Stops where no seed is left; the checkpoints before are the last good ones."""
    if alive.any():
        return
    at = ", ".join(
        f"seed {seed} at step {int(step)}"
        for seed, step in zip(seeds, np.asarray(state.diverged_at), strict=True)
    )
    good = checkpoints.latest()
    kept = "no checkpoint was saved" if good is None else f"checkpoint {good} is kept"
    raise DivergedError(f"the loss is no longer finite: {at}; {kept}")
