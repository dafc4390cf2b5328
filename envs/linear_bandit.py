"""Linear bandits: an arm with features x pays `x @ theta` plus Gaussian noise."""

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import NOTHING, Family, Key, TimeStep, bandit_timestep, require
from envs.observation import NO_OBSERVATION, Arms, Space
from envs.planning import EXACT
from envs.registry import register

ArmsDrawn = Literal["fixed", "per_task", "per_step"]


class LinearBanditState(NamedTuple):
    """Where a linear bandit stands."""

    step: Int[Array, "*batch"]  # pulls so far
    features: Float[Array, "*batch arms dim"]  # of the arms on offer now


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearBandit:
    """One bandit.

    Attributes:
        theta: the unknown direction.
        features: the arms' features; of the first step where `arms` is "per_step".
        noise_std: standard deviation of a reward, in reward units.
        horizon: steps in an episode.
        arms: "fixed" arms are the family's and are not shown; "per_task" ones are drawn
            with the task and shown; "per_step" ones are drawn anew each step and shown.
    """

    theta: Float[Array, "*batch dim"]
    features: Float[Array, "*#batch arms dim"]
    noise_std: Float[Array, "*batch"]
    horizon: int = dataclasses.field(metadata={"static": True})
    arms: ArmsDrawn = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Arms on offer."""
        return self.features.shape[-2]

    def reset(self, key: Key) -> tuple[LinearBanditState, Array]:
        """Starts; fresh arms are drawn where every step has its own."""
        return self._offer(key, jnp.zeros((), jnp.int32))

    def step(
        self, key: Key, state: LinearBanditState, action: Int[Array, ""]
    ) -> tuple[LinearBanditState, TimeStep]:
        """Pays the chosen arm and offers the next ones."""
        key_noise, key_arms = jax.random.split(key)
        noise = self.noise_std * jax.random.normal(key_noise)
        reward = self._means(state)[action] + noise
        state, obs = self._offer(key_arms, state.step + 1)
        return state, bandit_timestep(obs, reward, state.step, self.horizon)

    def gaps(self, state: LinearBanditState) -> Float[Array, " arms"]:
        """Distance of every arm's mean to the best on offer."""
        means = self._means(state)
        return means.max() - means

    def state_from_obs(self, step: Int[Array, ""], obs: Array) -> LinearBanditState:
        """The step and the arms on offer."""
        features = self.features if self.arms == "fixed" else obs
        return LinearBanditState(step=step, features=features)

    def _means(self, state: LinearBanditState) -> Float[Array, " arms"]:
        """Mean reward of every arm on offer."""
        return jnp.matmul(state.features, self.theta, precision=EXACT)

    def _offer(self, key: Key, step: Int[Array, ""]) -> tuple[LinearBanditState, Array]:
        """The arms of step `step`, and what the agent sees of them."""
        features = self.features
        if self.arms == "per_step":
            features = _uniform_arms(key, features.shape)
        obs = jnp.asarray(NOTHING, jnp.int32) if self.arms == "fixed" else features
        return LinearBanditState(step=step, features=features), obs


def _uniform_arms(key: Key, shape: tuple[int, ...]) -> Float[Array, "arms dim"]:
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearBanditFamily(Family):
    """Linear bandits with arms that are fixed, drawn per task, or drawn per step.

    Attributes:
        num_arms: arms on offer at a step.
        dim: length of an arm's features.
        noise_std: standard deviation of a reward, in reward units.
        theta_prior: "normal" is N(0, I/dim), "uniform" is uniform on [0, 1]^dim.
        arms: "fixed" features are N(0, I/dim), drawn once with `arms_seed` for all
            tasks, and no agent sees them; the others are uniform on [-1, 1]^dim and
            are the observation.
        arms_seed: of NumPy's RandomState, as in the DPT code.
    """

    num_arms: int = 10
    dim: int = 2
    noise_std: float = 0.3
    theta_prior: Literal["normal", "uniform"] = "normal"
    arms: ArmsDrawn = "fixed"
    arms_seed: int = 1234

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.num_arms >= 1, "num_arms must be at least 1", self.num_arms)
        require(self.dim >= 1, "dim must be at least 1", self.dim)
        require(self.noise_std >= 0, "noise_std must not be negative", self.noise_std)

    @property
    def num_actions(self) -> int:
        """Arms on offer."""
        return self.num_arms

    @property
    def observation(self) -> Space:
        """Fixed arms show nothing; the others their features, uniform on [-1, 1]."""
        if self.arms == "fixed":
            return NO_OBSERVATION
        return Arms(self.num_arms, self.dim, low=-1.0, high=1.0)

    @functools.cached_property
    def fixed_features(self) -> np.ndarray:
        """The features [arms, dim] that all tasks share; only where arms are fixed."""
        random = np.random.RandomState(self.arms_seed)
        features = random.normal(size=(self.num_arms, self.dim)) / np.sqrt(self.dim)
        return features.astype(np.float32)

    def features(self, obs: Array) -> Float[Array, "arms dim"]:
        """What a linear algorithm knows of the arms on offer when it sees `obs`."""
        return jnp.asarray(self.fixed_features) if self.arms == "fixed" else obs

    @property
    def prior_mean(self) -> float:
        """Mean of every coordinate of theta."""
        return 0.0 if self.theta_prior == "normal" else 0.5

    @property
    def prior_variance(self) -> float:
        """Variance of every coordinate of theta."""
        return 1 / self.dim if self.theta_prior == "normal" else 1 / 12

    def sample(self, key: Key) -> LinearBandit:
        """Draws one bandit from the prior."""
        key_theta, key_arms = jax.random.split(key)
        if self.theta_prior == "normal":
            theta = jax.random.normal(key_theta, (self.dim,)) / np.sqrt(self.dim)
        else:
            theta = jax.random.uniform(key_theta, (self.dim,))
        shape = (self.num_arms, self.dim)
        fixed = self.arms == "fixed"
        return LinearBandit(
            theta=theta,
            features=self.features(theta) if fixed else _uniform_arms(key_arms, shape),
            noise_std=jnp.asarray(self.noise_std, jnp.float32),
            horizon=self.horizon,
            arms=self.arms,
        )


register(
    LinearBanditFamily(
        name="LinearBandit-DPT-v0",
        source="Lee et al. 2023, arXiv 2306.14892, Section 5 (Figure 3a, 3b); arms "
        "from seed 1234 of its code",
        horizon=200,
    )
)
register(
    LinearBanditFamily(
        name="LinearBandit-Lin2023-v0",
        source="Lin, Bai and Mei 2023, arXiv 2310.08566, Section 5 (Figure 1 left); "
        "1.5 is a standard deviation",
        horizon=200,
        dim=5,
        noise_std=1.5,
        theta_prior="uniform",
        arms="per_task",
    )
)
register(
    LinearBanditFamily(
        name="ContextualLinearBandit-v0",
        source="ours: LinearBandit-Lin2023-v0 with the arms drawn anew every step, as "
        "in Chu et al. 2011 and in the text of Lin, Bai and Mei 2023, Section 4.1",
        horizon=200,
        dim=5,
        noise_std=1.5,
        theta_prior="uniform",
        arms="per_step",
    )
)
