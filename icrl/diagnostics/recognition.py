"""Which algorithm is it? The likelihood of an agent's own actions says.

Every candidate gives its action probabilities after every prefix of the agent's
histories. The best fit is the one that gave the actions taken the highest probability,
and its parameter is read off like any maximum-likelihood estimate. An agent that is
none of the candidates still has a nearest one: `lapse` and `match` say how near.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import Key, require
from envs.splits import TaskSet
from icrl.agents import Agent
from icrl.algorithms.base import Algorithm, require_probabilities
from icrl.diagnostics.candidates import Candidate, candidates
from icrl.diagnostics.likelihood import fit_lapse, interval, middle_of_best
from icrl.evaluation import over_seeds_and_tasks, play
from icrl.rollout import Trajectory

__all__ = ["Candidate", "Fit", "candidates", "recognise"]

HALVINGS = 6  # of the distance between values, a factor of 2: to a factor of 1.011

Steps = Int[np.ndarray, " steps"]


class Fit(NamedTuple):
    """How well a candidate explains what an agent did.

    Attributes:
        name: of the candidate.
        parameter: its likeliest value, to 1 %; None where there is none. At an end of
            the grid the truth may lie beyond.
        low: lower end of its 95 % interval; never nearer than the next value tried.
        high: upper end.
        by_seed: the same for every training seed, from its own actions.
        log_likelihood: of the actions taken, nats an action.
        score: the same less what free parameters cost; fits are ranked by it.
        lapse: fitted probability that an action is drawn uniformly instead.
        match: share of actions that are the candidate's likeliest; where several are
            equally likely, each counts for its part.
    """

    name: str
    parameter: float | None
    low: float | None
    high: float | None
    by_seed: tuple[float | None, ...]
    log_likelihood: float
    score: float
    lapse: float
    match: float


class _Trial(NamedTuple):
    """A candidate at one value of its parameter."""

    log_likelihood: Float[
        np.ndarray, "seeds tasks"
    ]  # nats, of all actions of a trajectory
    lapse: float
    match: float


class _Found(NamedTuple):
    """What a search tried, by increasing value of the parameter."""

    values: list[Any]  # floats, or one None
    trials: list[_Trial]
    best: int


def recognise(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    candidates: tuple[Candidate, ...],
    *,
    num_tasks: int,
    num_steps: int | None = None,
    tasks_at_once: int = 500,
) -> list[Fit]:
    """Fits every candidate to an agent's own play; the best comes first.

    A deterministic algorithm gives probability 0 to every deviation, so an action is
    taken to be uniform with probability `lapse`: if the algorithm gives it p, its
    probability is (1 - lapse) p + lapse / actions. The lapse is fitted anew for every
    value of the parameter. Fits are ranked by Schwarz's criterion: a free parameter,
    the lapse too, must earn ½ ln(actions taken) nats. Without it every candidate would
    equal `uniform` at its own play, by always lapsing.

    The interval is a bootstrap over tasks, and over training seeds where there are
    several. The likelihood's own interval would take the candidate for the truth, which
    no trained model is: it would shrink with the number of actions, whatever tasks and
    seeds disagree on.

    Source: Schwarz 1978, "Estimating the dimension of a model".

    Args:
        key: draws tasks, noise and choices, as in `evaluation.online`.
        tasks: where bandits come from.
        agent: who is to be recognised; the actions of all its training seeds are fitted
            together.
        candidates: who it may be.
        num_tasks: tasks that each training seed plays.
        num_steps: steps of every trajectory whose actions are fitted, spread evenly;
            all of them if None. The action probabilities of Thompson sampling cost 20
            µs of a CPU core for each action and each of 21 values of its parameter,
            those of `linear_thompson` 45 µs, those of the others next to nothing; with
            several training seeds twice that, once for all together and once for each.
        tasks_at_once: tasks side by side; bounds memory.

    Raises:
        ValueError: if a candidate has no `action_probabilities`, or `num_steps` is
            below 1.
    """
    some = num_steps is None or num_steps >= 1
    require(some, "num_steps must be at least 1", num_steps)

    def play_once(model: Any, index: Array) -> Trajectory:
        _, trajectory = play(key, tasks, agent, model, index)
        return trajectory._replace(
            state=None, final_state=None
        )  # hidden from the agent

    trajectories: Trajectory = over_seeds_and_tasks(
        agent, play_once, num_tasks, tasks_at_once
    )
    num_played = int(trajectories.action.shape[-1])
    num_steps = min(num_steps or num_played, num_played)
    steps = np.linspace(0, num_played - 1, num_steps).round().astype(int)
    fits = [_fit(candidate, trajectories, steps) for candidate in candidates]
    return sorted(fits, key=lambda fit: -fit.score)


def _fit(candidate: Candidate, trajectories: Trajectory, steps: Steps) -> Fit:
    def search(trajectories: Trajectory) -> _Found:
        ask = functools.partial(_try, candidate.make, trajectories, steps)
        return _search(candidate.grid, ask)

    found = search(trajectories)
    parameter, trial = found.values[found.best], found.trials[found.best]
    low = high = None
    by_seed = [parameter] * trajectories.action.shape[0]
    if candidate.grid:
        table = np.stack([trial.log_likelihood for trial in found.trials])
        low, high = interval(np.array(found.values), table, found.best)
        if len(by_seed) > 1:
            each = [search(trajectory) for trajectory in _each_seed(trajectories)]
            by_seed = [alone.values[alone.best] for alone in each]
    num_actions = trajectories.action[..., steps].size
    log_likelihood = float(trial.log_likelihood.sum()) / num_actions
    num_free = bool(candidate.grid) + (trial.lapse > 0)
    return Fit(
        name=candidate.name,
        parameter=parameter,
        low=low,
        high=high,
        by_seed=tuple(by_seed),
        log_likelihood=log_likelihood,
        score=log_likelihood - num_free * math.log(num_actions) / 2 / num_actions,
        lapse=trial.lapse,
        match=trial.match,
    )


def _each_seed(trajectories: Trajectory) -> list[Trajectory]:
    """The trajectories of one training seed after another, each [1, tasks]."""
    num_seeds = trajectories.action.shape[0]
    return [
        jax.tree.map(lambda x, s=s: x[s : s + 1], trajectories)
        for s in range(num_seeds)
    ]


def _search(grid: tuple[float, ...], ask: Callable[[float | None], _Trial]) -> _Found:
    """Tries the grid; then, again and again, the middles around the best value."""
    if not grid:
        return _Found(values=[None], trials=[ask(None)], best=0)
    trials = {value: ask(value) for value in grid}
    for _ in range(HALVINGS):
        values, best = _best(trials)
        around = values[max(best - 1, 0) : best + 2]
        for before, after in itertools.pairwise(around):
            middle = math.sqrt(before * after)
            trials[middle] = ask(middle)
    values, best = _best(trials)
    return _Found(
        values=list(values), trials=[trials[value] for value in values], best=best
    )


def _best(trials: dict[float, _Trial]) -> tuple[list[float], int]:
    """The values in increasing order, and which of them is the likeliest."""
    values = sorted(trials)
    totals = np.array([trials[value].log_likelihood.sum() for value in values])
    return values, middle_of_best(totals)


def _try(
    make: Callable[..., Algorithm],
    trajectories: Trajectory,
    steps: Steps,
    parameter: float | None,
) -> _Trial:
    value = None if parameter is None else jnp.asarray(parameter)
    taken, match, chance = _of_actions(make, trajectories, jnp.asarray(steps), value)
    lapse, log_likelihood = fit_lapse(
        np.asarray(taken, np.float64), float(chance[0, 0])
    )
    return _Trial(
        log_likelihood=log_likelihood.sum(-1), lapse=lapse, match=float(match.mean())
    )


@functools.partial(jax.jit, static_argnames="make")
def _of_actions(
    make: Callable[..., Algorithm],
    trajectories: Trajectory,
    steps: Array,
    parameter: Array | None,
) -> tuple[Array, Array, Array]:
    """What a candidate gave the actions taken, and whether they were its likeliest.

    Both are [seeds, tasks, steps]; the third is the probability of a uniform action.
    """
    algorithm = make() if parameter is None else make(parameter)
    probabilities_of = require_probabilities(algorithm)

    def learn(trajectory: Trajectory) -> Any:
        """What the candidate knows at the chosen steps."""

        def step(state: Any, now: tuple[Any, ...]) -> tuple[Any, Any]:
            return algorithm.update(state, *now), state

        transitions = trajectory.obs, trajectory.action, trajectory.timestep
        _, states = jax.lax.scan(step, algorithm.init(), transitions)
        return jax.tree.map(lambda x: x[steps], states)

    def judge(now: tuple[Any, Trajectory]) -> tuple[Array, Array, Array]:
        states, trajectory = now
        probabilities = jax.vmap(probabilities_of)(
            states, jax.tree.map(lambda x: x[steps], trajectory.obs)
        )
        taken = jnp.take_along_axis(
            probabilities, trajectory.action[steps, None], axis=1
        )[:, 0]
        highest = probabilities.max(axis=1)
        ties = (probabilities == highest[:, None]).sum(1)
        return taken, (taken == highest) / ties, jnp.asarray(1 / probabilities.shape[1])

    def of_seed(trajectories: Trajectory) -> tuple[Array, Array, Array]:
        # states side by side, but probabilities one trajectory after another: their
        # quadrature nodes need the memory
        return jax.lax.map(judge, (jax.vmap(learn)(trajectories), trajectories))

    return jax.lax.map(of_seed, trajectories)
