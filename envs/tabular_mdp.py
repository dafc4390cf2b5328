"""Finite-horizon tabular MDPs: the task that every family of them samples.

A family says how tables are drawn (`envs/random_mdp.py` is the plainest), makes its
task with `make_task`, which plans once, and is otherwise a `TabularFamily`.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from envs import planning
from envs.base import Family, Key, TimeStep, require
from envs.observation import Discrete

ROW_TOLERANCE = 1e-5  # of the sum of a row of probabilities


class MDPState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch"]  # the MDP's state


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TabularMDP:
    """One MDP; its observation is its state's number.

    A step from s by action a to t pays `rewards[s, a] + arrival_rewards[t]` and
    Gaussian noise. A terminal state ends the episode: it absorbs, and pays nothing.
    """

    transitions: Float[Array, "*batch states actions states"]
    rewards: Float[Array, "*batch states actions"]  # mean
    arrival_rewards: Float[Array, "*batch states"]
    noise_std: Float[Array, "*batch"]  # reward units
    initial: Float[Array, "*batch states"]  # probabilities of the first state
    terminal: Bool[Array, "*batch states"]
    q_values: Float[Array, "*batch horizon states actions"]  # optimal
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Actions, in every state the same number."""
        return self.rewards.shape[-1]

    @property
    def mean_rewards(self) -> Float[Array, "*batch states actions"]:
        """Expected reward of every state and action."""
        paid = jnp.einsum(
            "...sat,...t->...sa",
            self.transitions,
            self.arrival_rewards,
            precision=planning.EXACT,
        )
        return self.rewards + jnp.where(self.terminal[..., None], 0.0, paid)

    @property
    def optimal_return(self) -> Float[Array, "*batch"]:
        """V*: the expected return of an episode of the optimal policy."""
        return (self.initial * self.q_values[..., 0, :, :].max(-1)).sum(-1)

    def reset(self, key: Key) -> tuple[MDPState, Int[Array, ""]]:
        """Draws the first state."""
        position = draw(key, self.initial)
        return MDPState(step=jnp.zeros((), jnp.int32), position=position), position

    def step(
        self, key: Key, state: MDPState, action: Int[Array, ""]
    ) -> tuple[MDPState, TimeStep]:
        """Moves and pays."""
        key_move, key_noise = jax.random.split(key)
        position = draw(key_move, self.transitions[state.position, action])
        over = self.terminal[state.position]
        reward = (
            self.rewards[state.position, action]
            + self.arrival_rewards[position]
            + self.noise_std * jax.random.normal(key_noise)
        )
        after = MDPState(step=state.step + 1, position=position)
        return after, TimeStep(
            obs=position,
            reward=jnp.where(over, 0.0, reward),
            terminated=self.terminal[position],
            truncated=after.step >= self.horizon,
        )

    def gaps(self, state: MDPState) -> Float[Array, " actions"]:
        """V* - Q*, from the table; zeros after the last step."""
        q_values = self.q_values[jnp.minimum(state.step, self.horizon - 1)]
        q_values = q_values[state.position]
        gaps = q_values.max() - q_values
        return jnp.where(state.step < self.horizon, gaps, 0.0)

    def state_from_obs(self, step: Int[Array, ""], obs: Int[Array, ""]) -> MDPState:
        """The observation is the state."""
        return MDPState(step=step, position=obs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TabularFamily(Family):
    """What families of tabular MDPs have in common: the number of states."""

    @property
    def num_states(self) -> int:
        """States of every MDP of the family."""
        raise NotImplementedError

    @property
    def observation(self) -> Discrete:
        """An MDP shows its state."""
        return Discrete(self.num_states)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizedFamily(TabularFamily):
    """A family of as many states and actions as its fields say."""

    states: int
    actions: int

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        for name in ("states", "actions"):
            value = getattr(self, name)
            require(value >= 1, f"{name} must be at least 1", value)

    @property
    def num_states(self) -> int:
        """States."""
        return self.states

    @property
    def num_actions(self) -> int:
        """Actions."""
        return self.actions


def make_task(
    *,
    transitions: Float[Array, "states actions states"],
    rewards: Float[Array, "states actions"],
    horizon: int,
    arrival_rewards: Float[Array, " states"] | None = None,
    noise_std: float | Float[Array, ""] = 0.0,
    initial: int | Float[Array, " states"] = 0,
    terminal: Bool[Array, " states"] | None = None,
) -> TabularMDP:
    """The MDP with these tables, planned.

    Args:
        transitions: probabilities of the next state, for every state and action.
        rewards: mean reward of every state and action.
        horizon: steps in an episode.
        arrival_rewards: what a step that ends in each state pays besides; none if None.
        noise_std: of the Gaussian noise on rewards.
        initial: the first state, or the probabilities of it.
        terminal: which states end an episode; none if None. Their rows are overwritten:
            they absorb and pay nothing.

    Raises:
        ValueError: if shapes do not fit, or a row of probabilities does not sum to one.
    """
    num_states, num_actions = rewards.shape
    if isinstance(initial, int):
        rule = f"the first state must lie in [0, {num_states})"
        require(0 <= initial < num_states, rule, initial)
        initial = jax.nn.one_hot(initial, num_states)
    if arrival_rewards is None:
        arrival_rewards = jnp.zeros(num_states)
    if terminal is None:
        terminal = jnp.zeros(num_states, bool)
    _require_shape("transitions", transitions, num_states, num_actions, num_states)
    _require_shape("initial", initial, num_states)
    _require_shape("arrival_rewards", arrival_rewards, num_states)
    _require_shape("terminal", terminal, num_states)
    require_distributions("initial", initial)
    require_distributions("a row of transitions", transitions)
    stay = jnp.eye(num_states)[:, None]
    transitions = jnp.where(terminal[:, None, None], stay, transitions)
    rewards = jnp.where(terminal[:, None], 0.0, rewards)
    unplanned = TabularMDP(
        transitions=transitions,
        rewards=rewards,
        arrival_rewards=arrival_rewards,
        noise_std=jnp.asarray(noise_std, jnp.float32),
        initial=initial,
        terminal=terminal,
        q_values=jnp.zeros((horizon, num_states, num_actions)),
        horizon=horizon,
    )
    plan = planning.optimal_q_values(transitions, unplanned.mean_rewards, horizon)
    return dataclasses.replace(unplanned, q_values=plan)


def _require_shape(name: str, array: Array, *shape: int) -> None:
    require(array.shape == shape, f"{name} must have shape {shape}", array.shape)


def require_distributions(
    what: str, probabilities: Float[Array, "*batch states"]
) -> None:
    """Raises `ValueError` unless the last axis holds probabilities; names the row."""
    if isinstance(probabilities, Tracer):
        return
    rows = np.asarray(probabilities, np.float64)
    sums = rows.sum(-1)
    right = (abs(sums - 1) <= ROW_TOLERANCE) & (rows >= 0).all(-1)  # NaN is not
    if not right.all():
        row = tuple(int(i) for i in np.argwhere(~right)[0])
        raise ValueError(
            f"{what} must be probabilities that sum to one, got a sum of "
            f"{sums[row]:g} and a least entry of {rows[row].min():g}"
            + (f" in row {list(row)}" if row else "")
        )


def draw(key: Key, probabilities: Float[Array, " states"]) -> Int[Array, ""]:
    """A state by its probabilities: one uniform number, inverted.

    A state of probability zero is never drawn, whatever rounding does.
    """
    # A sum in parallel need not be monotone, so zeros are masked rather than trusted.
    cumulative = jnp.where(probabilities > 0, jnp.cumsum(probabilities), 0.0)
    uniform = jax.random.uniform(key) * cumulative.max()
    return jnp.argmax(cumulative > uniform).astype(jnp.int32)
