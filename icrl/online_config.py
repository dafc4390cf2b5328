"""How a model is trained online, by reward; beside `icrl.config`, without jax."""

import dataclasses
from typing import Any

from icrl.config import TrainingConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnlineConfig(TrainingConfig):
    """What all ways to learn online share; a step is one batch of experience.

    `batch_size` trials are played side by side, and `num_steps` times a segment of each
    is played and learnt from.

    Raises:
        ValueError: if a size or fraction breaks its rule.
    """

    batch_size: int = 512  # trials side by side
    weight_decay: float = 0.0  # decoupled, on all parameters
    clip_norm: float | None = 1.0  # largest norm of the gradient; None: not clipped
    steps_per_call: int = 10  # steps between two looks at the loss
    checkpoint_every: int = 100  # steps
    # environment steps between two updates, a divisor of a trial's; None: a whole trial
    segment_steps: int | None = None
    discount: float = 0.99  # of a step of the environment, through a whole trial
    # of generalised advantages (Schulman et al. 2016, arXiv 1506.02438); RL²'s authors
    # have 0.3: rewards of bandits come at once, and longer sums only add noise
    gae_lambda: float = 0.3
    # of what is learnt, `scale * (reward - offset)`: values of about 1 come soonest
    reward_scale: float = 1.0
    # taken off every reward: less their average, values do not fall along a trial.
    # Where episodes can terminate, it changes what is best: who ends is spared it
    reward_offset: float = 0.0
    num_epochs: int = 3  # passes over a batch
    num_minibatches: int = 4  # of a pass; they divide the trials
    value_coefficient: float = 0.5  # of the error of values in the loss
    entropy_coefficient: float = 0.01  # of the policy's entropy, which is rewarded
    final_entropy: float = 1.0  # fraction of it to which it falls, linearly, by the end
    # first steps, in which values alone are learnt, and a divergence holds the policy:
    # a model that has learnt by imitation cannot tell yet which actions are good. Its
    # head alone could not: what it reads need not know how much is still to come. As
    # the auxiliary phase of Cobbe et al. 2021, arXiv 2009.04416
    value_steps: int = 0
    # for random search: each training seed multiplies its learning rate and its entropy
    # coefficient by a factor of its own, log-uniform between 1 / sweep and sweep
    sweep: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        for name in ("segment_steps", "num_epochs", "num_minibatches"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("discount", "gae_lambda", "final_entropy"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        for name in ("value_coefficient", "entropy_coefficient"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if self.reward_scale <= 0:
            raise ValueError(f"reward_scale must be positive, got {self.reward_scale}")
        if self.value_steps < 0:
            rule = "value_steps must be at least 0"
            raise ValueError(f"{rule}, got {self.value_steps}")
        if self.sweep < 1:
            raise ValueError(f"sweep must be at least 1, got {self.sweep}")
        if self.batch_size % self.num_minibatches:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of "
                f"num_minibatches ({self.num_minibatches})"
            )
        for name, unused in (("lengths", ()), ("micro_batch", None)):
            if getattr(self, name) != unused:
                raise ValueError(
                    f"{name} is of training by imitation, got {getattr(self, name)!r}"
                )

    @property
    def updates(self) -> int:
        """Steps of the optimiser in one step of training."""
        return self.num_epochs * self.num_minibatches

    def optimizer_config(self) -> TrainingConfig:
        """The optimiser's config, whose schedule counts the optimiser's steps."""
        known = {field.name for field in dataclasses.fields(TrainingConfig)}
        settings: dict[str, Any] = {name: getattr(self, name) for name in known}
        for name in ("num_steps", "warmup_steps", "steps_per_call", "checkpoint_every"):
            settings[name] *= self.updates
        return TrainingConfig(**settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PpoConfig(OnlineConfig):
    """Proximal policy optimisation.

    Raises:
        ValueError: as `OnlineConfig`, or if `clip` is not positive.
    """

    clip: float = 0.2  # of the ratio of new to old probabilities

    def __post_init__(self):
        super().__post_init__()
        if self.clip <= 0:
            raise ValueError(f"clip must be positive, got {self.clip}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VmpoConfig(OnlineConfig):
    """V-MPO, by which GTrXL was trained.

    Raises:
        ValueError: as `OnlineConfig`, or if a bound or a first value is not positive.
    """

    gae_lambda: float = 1.0  # theirs are sums of rewards as far as the segment goes
    entropy_coefficient: float = 0.0  # theirs has none
    temperature_bound: float = 0.1  # nats: of the weights' divergence from uniform
    divergence_bound: float = 0.01  # nats: of the new from the old policy
    first_temperature: float = 1.0  # of advantages, before any step
    first_leash: float = 5.0  # multiplier of the divergence, before any step

    def __post_init__(self):
        super().__post_init__()
        bounds = ("temperature_bound", "divergence_bound")
        for name in (*bounds, "first_temperature", "first_leash"):
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
