"""Configs: frozen, keyword-only dataclasses, checked where they are made.

Nothing here imports jax, so that the command line answers at once.

Over 300 lines: every flag of the command line stands in it.
"""

import dataclasses
from typing import Any, Literal, NamedTuple, TypeAlias

from envs.fields import check_fields, check_seed
from icrl.registries import JOINS, MIXERS


def require_positive(record: Any, *names: str) -> None:
    """Raises `ValueError` where one of these fields of a record is below 1."""
    for name in names:
        value = getattr(record, name)
        if isinstance(value, int | float) and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """What every experiment's config has.

    Raises:
        ValueError: if there is no seed, one twice, or one that JAX does not take; or if
            a size (`horizon`, `num_...`) is below 1.
    """

    seeds: tuple[int, ...] = (0,)  # training seeds, one model each; more may follow
    root_seed: int = 0  # evaluation tasks and noise
    log: tuple[Literal["tensorboard", "wandb"], ...] = ()  # beside metrics.jsonl

    def __post_init__(self):
        check_fields(self)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be given, each once, got {self.seeds}")
        for seed in self.seeds:
            check_seed("seeds", seed)
        check_seed("root_seed", self.root_seed)
        names = [field.name for field in dataclasses.fields(self)]
        sizes = (n for n in names if n == "horizon" or n.startswith("num_"))
        require_positive(self, *sizes)

    def takes(self, cost: str) -> "Preset":
        """Returns a preset of it, which says what it takes: "15 min on 2 cores"."""
        return Preset(cost, self)


class Preset(NamedTuple):
    """A config, and what it takes."""

    cost: str
    config: ExperimentConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes and kinds of a sequence model: embed, blocks, heads.

    Raises:
        ValueError: if a size is not positive, the heads do not divide the width, a name
            is not registered, or a schedule does not fit.
    """

    width: int = 32  # of the residual stream
    num_layers: int = 4  # blocks
    num_heads: int = 4  # of attention; they divide the width
    head_dim: int | None = None  # of a head; None: the width's part of it
    hidden: int | None = None  # units of an MLP; None: four times the width
    mixer: tuple[str, ...] = ("softmax",)  # of block 0, 1, ..., repeated; see MIXERS
    memory: int = 64  # tokens before its own that a token sees (mixer relative)
    join: str = "add"  # how a block adds to the stream; see JOINS
    join_bias: float | None = None  # of a gate; None: as its source has it
    rectify: bool = False  # ReLU of what a mixer or an MLP says, before the join
    # linear: a row of weights for each action; features: one shared map scores every
    # action by the features that the token shows
    head: Literal["linear", "features"] = "linear"
    value_head: bool = False  # whether a value is read off the stream, too
    norm: Literal["pre", "post", "none"] = "pre"  # layer norm before or after each join
    # of the MLP; gated: gelu(x U) * (x V), which can multiply features (Shazeer 2020,
    # arXiv 2002.05202), with half as many weights more as the others
    activation: Literal["gelu", "relu", "gated"] = "gelu"
    positions: Literal["none", "learned"] = "none"  # added to the embedding
    init: Literal["fan_in", "gpt2"] = "fan_in"  # of block weights; gpt2: N(0, 0.02)
    bias: bool | None = None  # of a block's linear maps; None: as its source has them
    # which block stands at each depth: 0 0 0 is a loop of three passes, 0 1 1 1 2 one
    # with blocks before and after it; None: every block once
    schedule: tuple[int, ...] | None = None
    inject: bool = False  # add a loop's input to the stream before each further pass
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"  # of activations
    query_block: int = 64  # speed only: queries per attention block

    def __post_init__(self):
        check_fields(self)
        sizes = ("width", "num_layers", "num_heads", "head_dim", "hidden", "memory")
        for name in (*sizes, "query_block"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.head_dim is None and self.width % self.num_heads:
            raise ValueError(
                f"width ({self.width}) must be a multiple of "
                f"num_heads ({self.num_heads})"
            )
        if not self.mixer or len(self.mixer) > self.num_layers:
            raise ValueError(
                f"mixer must name 1 to num_layers={self.num_layers} mixers, "
                f"got {len(self.mixer)}"
            )
        for name in self.mixer:
            MIXERS.require(name)
        JOINS.require(self.join)
        if set(self.depths) != set(range(self.num_layers)):
            raise ValueError(
                f"schedule must use each of the blocks 0 to {self.num_layers - 1}, "
                f"got {self.schedule}"
            )

    @property
    def mixers(self) -> tuple[str, ...]:
        """The mixer of each block."""
        return tuple(self.mixer[i % len(self.mixer)] for i in range(self.num_layers))

    @property
    def depths(self) -> tuple[int, ...]:
        """The block at each depth."""
        return tuple(range(self.num_layers)) if self.schedule is None else self.schedule

    @property
    def depth(self) -> int:
        """How many blocks a token passes, counting each pass."""
        return len(self.depths)

    @property
    def head_size(self) -> int:
        """Features of a head's queries, keys and values."""
        part = self.width // self.num_heads
        return part if self.head_dim is None else self.head_dim

    @property
    def hidden_units(self) -> int:
        """Units of an MLP."""
        return 4 * self.width if self.hidden is None else self.hidden

    @property
    def plays_longer(self) -> bool:
        """Whether a context may be longer than those of training."""
        return self.positions == "none"

    def make(self, **sizes: Any) -> Any:
        """A model of this config; `sizes` are the arguments of `Transformer`."""
        from icrl.models.transformer import Transformer

        return Transformer(self, **sizes)


DecisionLabels: TypeAlias = Literal[
    "optimal", "posterior_draws", "posterior", "posterior_of_rewards"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """Which data a model is fitted to.

    Raises:
        ValueError: if `num_examples` is below 1, or given beside a data set.
    """

    num_examples: int | None = None  # made once and kept; None: fresh data for ever
    dataset: str | None = None  # folder of a frozen data set, instead of either

    def __post_init__(self):
        check_fields(self)
        if self.num_examples is not None and self.num_examples < 1:
            raise ValueError(
                f"num_examples must be at least 1, got {self.num_examples}"
            )
        if self.num_examples is not None and self.dataset is not None:
            raise ValueError(
                "num_examples and dataset exclude each other, got "
                f"{self.num_examples} and {self.dataset!r}"
            )

    def require_neither(self, why: str) -> None:
        """Raises `ValueError` if a number of examples or a data set is given."""
        for name in ("num_examples", "dataset"):
            value = getattr(self, name)
            if value is not None:
                raise ValueError(f"pretraining.{name} {why}, got {value!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionPretrainingConfig(PretrainingConfig):
    """The same for decision pretraining (DPT).

    Algorithm distillation has no empty context to leave out: its first action is one
    of the algorithm's like every other.

    Raises:
        ValueError: if `num_draws` is below 1.
    """

    labels: DecisionLabels = "optimal"  # as published; see `icrl.pretraining.labels`
    num_draws: int = 8  # of a best action at each decision, for posterior_draws
    empty_context: bool = True  # DPT's code leaves decision 0 untrained

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "num_draws")


POSTERIOR_DRAWS = DecisionPretrainingConfig(labels="posterior_draws")
POSTERIOR_OF_REWARDS = DecisionPretrainingConfig(labels="posterior_of_rewards")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationConfig(PretrainingConfig):
    """The same for algorithm distillation (AD)."""

    # what the algorithm did, as published; or the probabilities with which it chose:
    # the same minimum, without the noise of the choice
    labels: Literal["actions", "probabilities"] = "actions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is fitted.

    Raises:
        ValueError: if a size, rate or fraction breaks its rule.
    """

    num_steps: int  # optimiser steps
    batch_size: int = 64  # trajectories per step
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: of matrices alone
    learning_rate: float = 1e-3  # at its peak
    warmup_steps: int = 0  # linear, from zero; of the schedule, as below
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # after warm-up
    final_fraction: float = 0.0  # of the peak, where the schedule ends
    weight_decay: float = 1e-4  # decoupled, on all parameters, as in the DPT code
    beta1: float = 0.9  # decay of Adam's mean of gradients
    beta2: float = 0.999  # decay of Adam's mean of squared gradients
    clip_norm: float | None = None  # largest norm of the gradient; None: not clipped
    # steps of shorter contexts, ascending, that are learnt from before whole ones; each
    # length reads as many tokens and has an equal part of the schedule; see
    # `icrl.training.imitation.plan`
    lengths: tuple[int, ...] = ()
    # speed only: trajectories per backward pass; of shorter ones, as many tokens
    micro_batch: int | None = None
    steps_per_call: int = 50  # steps between two looks at the loss
    checkpoint_every: int = 1000  # steps

    def __post_init__(self):
        check_fields(self)
        sizes = ("num_steps", "batch_size", "steps_per_call", "checkpoint_every")
        for name in (*sizes, "micro_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        ascending = list(self.lengths) == sorted(set(self.lengths))
        if not ascending or min(self.lengths, default=1) < 1:
            raise ValueError(f"lengths must ascend from 1 on, got {self.lengths}")
        if not 0 <= self.warmup_steps < self.num_steps:
            raise ValueError(
                f"warmup_steps must lie in [0, num_steps={self.num_steps}), "
                f"got {self.warmup_steps}"
            )
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.weight_decay < 0:
            raise ValueError(
                f"weight_decay must be at least 0, got {self.weight_decay}"
            )
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(
                f"final_fraction must lie in [0, 1], got {self.final_fraction}"
            )
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        for name in ("num_steps", "checkpoint_every"):
            value = getattr(self, name)
            if value % self.steps_per_call:
                raise ValueError(
                    f"{name} ({value}) must be a multiple of "
                    f"steps_per_call ({self.steps_per_call})"
                )
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of "
                f"micro_batch ({self.micro_batch})"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(ExperimentConfig):
    """What the config of an experiment with a model has; scripts add their sizes."""

    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: PretrainingConfig = dataclasses.field(
        default_factory=DistillationConfig
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionStudyConfig(StudyConfig):
    """The same for decision pretraining (DPT)."""

    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )


def cosine_training(
    num_steps: int, learning_rate: float, **changes: Any
) -> TrainingConfig:
    """What the presets train with: warm-up, cosine to 1 % of the peak, clipping at 1.

    Args:
        num_steps: optimiser steps.
        learning_rate: at its peak.
        changes: to the other fields.
    """
    settings: dict[str, Any] = {
        "warmup_steps": 200,
        "schedule": "cosine",
        "final_fraction": 0.01,
        "clip_norm": 1.0,
    }
    return TrainingConfig(
        num_steps=num_steps, learning_rate=learning_rate, **{**settings, **changes}
    )


def muon_training(
    num_steps: int, learning_rate: float = 2e-2, **changes: Any
) -> TrainingConfig:
    """What presets with labels without noise train with: Muon in small batches.

    Labels that are means of posterior draws leave little noise in a gradient, so that
    more steps of fewer contexts learn more from as many tokens: on quickstart's bandits
    25,600 contexts in batches of 128, 64 and 32 end 0.020, 0.009 and 0.007 nats above
    the floor.

    Args:
        num_steps: optimiser steps.
        learning_rate: at its peak.
        changes: to the other fields.
    """
    settings: dict[str, Any] = {
        "optimizer": "muon",
        "batch_size": 32,
        "warmup_steps": 50,
        "schedule": "linear",
        "final_fraction": 0.0,
        "checkpoint_every": 500,
    }
    return cosine_training(num_steps, learning_rate, **{**settings, **changes})


def long_training(num_steps: int, learning_rate: float = 1e-3) -> TrainingConfig:
    """What the paper presets train with on a GPU: `cosine_training` for hours."""
    return cosine_training(
        num_steps, learning_rate, warmup_steps=2000, checkpoint_every=5000
    )


# The decoder of Lin, Bai and Mei 2023 (arXiv 2310.08566, Section 5: 8 layers, 4 heads,
# width 32), and the one that their code makes of it: it ignores the number of heads.
LIN2023_MODEL = TransformerConfig(
    width=32,
    num_layers=8,
    num_heads=4,
    hidden=32,
    mixer=("relu",),
    norm="post",
    activation="relu",
    positions="learned",
)
LIN2023_RELEASED_MODEL = dataclasses.replace(LIN2023_MODEL, num_heads=1)

# A run of seconds, which shows that everything works and nothing else.
SMOKE_MODEL = TransformerConfig(width=16, num_layers=1, num_heads=2)
SMOKE_TRAINING = TrainingConfig(
    num_steps=20, batch_size=16, steps_per_call=10, checkpoint_every=10
)
