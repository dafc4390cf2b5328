"""The shape of everything that acts."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, Task, require
from envs.observation import Discrete, Space

AgentState = Any  # a pytree of fixed shapes; each algorithm defines its own


def _same_state(key: jax.Array, state: AgentState) -> AgentState:
    del key
    return state


class Interface(NamedTuple):
    """What an algorithm can play that was made for one interface: a trained model.

    Attributes:
        num_actions: of a task.
        observation: what it shows.
        num_steps: most steps of a trajectory; None: any number.
        horizon: most steps of an episode; None: any number.
    """

    num_actions: int
    observation: Space
    num_steps: int | None = None
    horizon: int | None = None


class Algorithm(NamedTuple):
    """A learner as a record of pure functions, as optax writes an optimiser.

    It is made for a family (`linucb(family, width=2.0)`), handles one stream, and never
    sees the task: `vmap` the whole rollout for more.

    Attributes:
        init: `() -> state`. What the learner knows before its first step.
        act: `(key, state, obs) -> (state, action)`. The key is consumed. The state
            comes back as it was, except where acting is remembered (a model's cache).
        update: `(state, obs, action, timestep) -> state`. Learns from one step.
        begin_episode: `(key, state) -> state`. Plans or resamples, once per episode.
        action_probabilities: `(state, obs) -> Float[actions]`: the probabilities with
            which `act` chooses, where there is a closed form.
        interface: what alone it can play, if not everything.
    """

    init: Callable[[], AgentState]
    act: Callable[[jax.Array, AgentState, Any], tuple[AgentState, Array]]
    update: Callable[[AgentState, Any, Array, Any], AgentState]
    begin_episode: Callable[[jax.Array, AgentState], AgentState] = _same_state
    action_probabilities: (
        Callable[[AgentState, Any], Float[Array, " actions"]] | None
    ) = None
    interface: Interface | None = None


def of_any_task(
    algorithm: Algorithm | Callable[[Task], Algorithm],
) -> Callable[[Task], Algorithm]:
    """How an algorithm is made from a task, where one may be given as it is."""
    if isinstance(algorithm, Algorithm):
        return lambda task: algorithm
    return algorithm


def require_family(algorithm: str, family: Family, *kinds: type) -> None:
    """Raises `ValueError` unless `family` is of a kind that `algorithm` plays."""
    if not isinstance(family, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"{algorithm} needs a {names}, got a {type(family).__name__}"
            f" ({family.name or 'unnamed'})"
        )


def require_interface(algorithm: Algorithm, task: Task, num_episodes: int) -> None:
    """Raises `ValueError` unless the algorithm can play so many episodes of a task."""
    made_for = algorithm.interface
    if made_for is None:
        return
    rule = f"num_actions must be {made_for.num_actions}, which the model was made for"
    require(task.num_actions == made_for.num_actions, rule, task.num_actions)
    _, obs = jax.eval_shape(task.reset, jax.random.key(0))
    shown = (
        ("integers" if jnp.issubdtype(obs.dtype, jnp.integer) else "reals"),
        obs.shape,
    )
    discrete = isinstance(made_for.observation, Discrete)
    known = ("integers" if discrete else "reals"), made_for.observation.shape
    require(shown == known, f"observations must be {known}, as of the model", shown)
    rule = f"horizon must be at most {made_for.horizon}, the model's"
    require(task.horizon <= (made_for.horizon or task.horizon), rule, task.horizon)
    require_room(algorithm, num_episodes * task.horizon)


def require_room(algorithm: Algorithm, num_steps: int) -> None:
    """Raises `ValueError` unless the algorithm has room for so many steps."""
    room = None if algorithm.interface is None else algorithm.interface.num_steps
    rule = f"a trajectory must have at most {room} steps, the room of the model"
    require(num_steps <= (num_steps if room is None else room), rule, num_steps)


def draws_as(family: Family, kind: type) -> bool:
    """Whether a family is of this class and draws its tasks as the class does.

    A subclass with a `sample` or a `task` of its own may have another prior.
    """
    own = itertools.takewhile(lambda cls: cls is not kind, type(family).__mro__)
    changed = any({"sample", "task"} & vars(cls).keys() for cls in own)
    return isinstance(family, kind) and not changed


def require_prior(algorithm: str, family: Family, kind: type) -> None:
    """Raises `ValueError` unless a family has the prior of this class."""
    require_family(algorithm, family, kind)
    if not draws_as(family, kind):
        raise ValueError(
            f"{algorithm} needs the prior of {kind.__name__}, got "
            f"{type(family).__name__}, which draws tasks in another way"
        )


def require_probabilities(
    algorithm: Algorithm,
) -> Callable[[AgentState, Any], Float[Array, " actions"]]:
    """The algorithm's `action_probabilities`; raises `ValueError` without any."""
    if algorithm.action_probabilities is None:
        raise ValueError("the algorithm has no closed form of its action probabilities")
    return algorithm.action_probabilities


def most_likely(algorithm: Algorithm) -> Algorithm:
    """Plays the likeliest action of `algorithm` instead of sampling one.

    Of exact posterior sampling this is the action most likely to be the best one: what
    an ideal DPT plays offline. Ties go to the lowest action; as arms that are equal
    differ by rounding, and other ways to compile round otherwise, probabilities within
    1e-6 of the largest are tied with it.

    Raises:
        ValueError: if the algorithm has no `action_probabilities`.
    """
    probabilities_of = require_probabilities(algorithm)

    def is_tied(state: AgentState, obs: Any) -> Array:
        probabilities = probabilities_of(state, obs)
        return probabilities >= probabilities.max() - 1e-6

    def act(key: jax.Array, state: AgentState, obs: Any) -> tuple[AgentState, Array]:
        del key
        return state, jnp.argmax(is_tied(state, obs))

    def action_probabilities(state: AgentState, obs: Any) -> Float[Array, " actions"]:
        tied = is_tied(state, obs)
        return jax.nn.one_hot(jnp.argmax(tied), tied.shape[0])

    return algorithm._replace(act=act, action_probabilities=action_probabilities)
