"""The contract that every family of tasks follows.

A *task* is one environment: a frozen dataclass whose array fields are its parameters
(arm means, transition tables). It never changes, so a batch of tasks is the same class
with a leading axis, and `jax.vmap` runs them side by side. A *family* is the frozen
dataclass of sizes and priors that samples tasks; it is what a name like
`GaussianBandit-DPT-v0` stands for.
"""

import dataclasses
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from envs.fields import check_fields
from envs.observation import NO_OBSERVATION, Discrete, Space

if TYPE_CHECKING:
    from envs.splits import Split

Key = jax.Array
State = Any  # a pytree; each task defines its own
FamilyT = TypeVar("FamilyT", bound="Family")
Observation = Any  # an array of shape `Family.observation.shape`
Scalar = float | Float[Array, ""]  # a number, or one that JAX traces


class TimeStep(NamedTuple):
    """What the agent receives after an action."""

    obs: Observation
    reward: Float[Array, "*batch"]
    terminated: Bool[Array, "*batch"]  # the task ended the episode: absorbing from here
    truncated: Bool[Array, "*batch"]  # at the last step, terminated or not

    @property
    def done(self) -> Bool[Array, "*batch"]:
        """Whether the episode is over, for either reason."""
        return self.terminated | self.truncated


@runtime_checkable
class Task(Protocol):
    """One environment. Every method is pure and handles one stream; `vmap` for more.

    An episode has `horizon` steps, always. A task that ends earlier goes to an
    absorbing state of zero reward and says `terminated`.
    """

    @property
    def num_actions(self) -> int:
        """How many actions there are."""
        ...

    @property
    def horizon(self) -> int:
        """Steps in an episode."""
        ...

    def reset(self, key: Key) -> tuple[State, Observation]:
        """Starts an episode."""
        ...

    def step(self, key: Key, state: State, action: Array) -> tuple[State, TimeStep]:
        """Moves one step. The key draws the noise and nothing else does."""
        ...

    def gaps(self, state: State) -> Float[Array, " actions"]:
        """V*(state) - Q*(state, action): exact, ≥ 0 and zero for an optimal action.

        A task that cannot give them leaves this out, or raises `NotImplementedError`;
        its family says so: `has_gaps = False`.
        """
        ...

    def state_from_obs(self, step: Int[Array, ""], obs: Observation) -> State:
        """The state of step `step` of an episode, for an observer who knows the task.

        The optimal policy plays from it. A task whose observations do not determine
        its state leaves this out, or raises `NotImplementedError`.
        """
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Sizes and priors: what is known of a task before it is sampled.

    Attributes:
        name: versioned name, as registered; empty for a family made by hand.
        source: where these sizes, priors and rules are written.
        horizon: steps in an episode.
        has_gaps: whether tasks give their `gaps`. Without (partial observation, an
            unknown optimum) they are scored by return everywhere, not by regret.
    """

    has_gaps: ClassVar[bool] = True
    name: str = ""
    source: str = "not published"
    horizon: int

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_fields(self)
        require(self.horizon >= 1, "horizon must be at least 1", self.horizon)

    @property
    def num_actions(self) -> int:
        """How many actions every task of the family has."""
        raise NotImplementedError

    @property
    def observation(self) -> Space:
        """What a task shows; nothing, as a bandit, unless the family says otherwise."""
        return NO_OBSERVATION

    def sample(self, key: Key) -> Task:
        """Draws one task from the prior."""
        raise NotImplementedError

    def split(self) -> "Split":
        """The train and test halves of its tasks.

        Fresh draws from the prior for both, which fits a continuous prior; a family of
        finitely many tasks must say which half has which (`envs.splits.split_tasks`).
        """
        from envs import splits  # it imports this module

        return splits.split_prior(self)

    def replace(self: FamilyT, **changes: Any) -> FamilyT:
        """The same family with other sizes or priors.

        Raises:
            ValueError: if the family has no such field, or the value breaks its rule.
        """
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no field {name!r}; "
                    f"its fields are {', '.join(sorted(known))}"
                )
        return dataclasses.replace(self, **changes)

    def changed(self: FamilyT, **changes: Any) -> FamilyT:
        """As `replace`, with a name that says what changed; itself if nothing did."""
        changed = self.replace(**changes)
        marks = [
            f"{field.name}={getattr(changed, field.name)}"
            for field in sorted(dataclasses.fields(self), key=lambda field: field.name)
            if getattr(changed, field.name) != getattr(self, field.name)
        ]
        return (
            changed.replace(name=f"{self.name}[{','.join(marks)}]") if marks else self
        )


def require(rule_holds: bool | Bool[Array, ""], rule: str, value: Any) -> None:
    """Raises `ValueError("<rule>, got <value>")` unless the rule holds.

    A traced value is not checked: it has no value yet.
    """
    if not isinstance(rule_holds, Tracer) and not rule_holds:
        raise ValueError(f"{rule}, got {value}")


def gaps_of(task: Task, state: State) -> Float[Array, " actions"] | None:
    """`task.gaps(state)`, or None of a task that cannot give them."""
    gaps = getattr(task, "gaps", None)  # which a class may leave out
    try:
        return None if gaps is None else gaps(state)
    except NotImplementedError:
        return None


def rebuilt_state(task: Task, step: Any, obs: Observation) -> State | None:
    """`task.state_from_obs(step, obs)`, or None of a task that hides its state."""
    rebuild = getattr(task, "state_from_obs", None)
    try:
        return None if rebuild is None else rebuild(step, obs)
    except NotImplementedError:
        return None


def require_state(who: str, task: Task, step: Any, obs: Observation) -> State:
    """`task.state_from_obs(step, obs)`; raises `ValueError` where that is hidden."""
    state = rebuilt_state(task, step, obs)
    if state is None:
        raise ValueError(
            f"{who} needs tasks whose observations determine the state, got "
            f"{type(task).__name__}"
        )
    return state


def gap_of(task: Task, state: State, action: Array) -> Float[Array, ""] | None:
    """The gap of one action, or None of a task that cannot give it."""
    gaps = gaps_of(task, state)
    return None if gaps is None else gaps[action]


def require_gaps(who: str, task: Task, state: State) -> Float[Array, " actions"]:
    """`task.gaps(state)`; raises `ValueError` where the task cannot give them."""
    gaps = gaps_of(task, state)
    if gaps is None:
        raise ValueError(
            f"{who} needs tasks that give their gaps, got {type(task).__name__}"
        )
    return gaps


def require_discrete(who: str, family: Family) -> Discrete:
    """The family's observations; raises `ValueError` unless they are integers."""
    space = family.observation
    if not isinstance(space, Discrete):
        raise ValueError(
            f"{who} needs integer observations, one for each state, got {space} of "
            f"{family.name or type(family).__name__}"
        )
    return space


NOTHING = 0  # a bandit's observation: one value, always the same


def bandit_timestep(
    obs: Observation,
    reward: Float[Array, ""],
    next_step: Int[Array, ""],
    horizon: int,
) -> TimeStep:
    """The record of one pull: a bandit never terminates, its horizon truncates it."""
    return TimeStep(
        obs=obs,
        reward=reward,
        terminated=jnp.zeros((), bool),
        truncated=next_step >= horizon,
    )
