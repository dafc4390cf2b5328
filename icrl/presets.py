"""The preset of seconds, made of another: the sizes that every experiment has.

Nothing here imports jax, so that the command line answers at once.
"""

import dataclasses
from typing import Any

from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    Preset,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
)
from icrl.online_config import OnlineConfig

SMOKE_SIZES = {"horizon": 10, "num_episodes": 2}  # by the name of a config's field
SMOKE_SIZES |= dict.fromkeys(("num_tasks", "num_datasets", "num_contexts"), 50)
SMOKE_EXAMPLES = 100
SMOKE_ONLINE = {"num_steps": 4, "batch_size": 8, "num_minibatches": 2}
SMOKE_ONLINE |= {"steps_per_call": 2, "checkpoint_every": 2, "warmup_steps": 0}


def smoke_preset(preset: Preset, **changes: Any) -> Preset:
    """The preset of seconds that shows that everything works: a small copy of another.

    Args:
        preset: whose sizes are made small, by the fields' names and types.
        changes: what the rule does not know.
    """
    config = preset.config
    small: dict[str, Any] = {"seeds": (0,)}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, TransformerConfig):
            small[field.name] = SMOKE_MODEL
        elif isinstance(value, OnlineConfig):
            small[field.name] = dataclasses.replace(value, **SMOKE_ONLINE)
        elif isinstance(value, TrainingConfig):
            small[field.name] = SMOKE_TRAINING
        elif isinstance(value, PretrainingConfig) and value.num_examples is not None:
            small[field.name] = dataclasses.replace(value, num_examples=SMOKE_EXAMPLES)
        elif field.name in SMOKE_SIZES and value is not None:
            small[field.name] = SMOKE_SIZES[field.name]
    config = dataclasses.replace(config, **{**small, **changes})
    return config.takes("under 1 min on 2 cores")
