"""The optimiser of a training config."""

import optax
import optax.contrib

from icrl.config import TrainingConfig


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW or Muon with warm-up, a schedule and gradient clipping.

    Muon makes the update of each matrix orthogonal, so that all of its directions learn
    at one speed; vectors are left to AdamW (with Nesterov momentum), at the same rate.

    Source: Loshchilov and Hutter 2019, arXiv 1711.05101 (AdamW); Jordan et al. 2024,
    "Muon: an optimizer for hidden layers in neural networks" (theirs leaves embedding
    and head to AdamW, too; here they are matrices like others, as in optax).
    """
    peak, end = config.learning_rate, config.learning_rate * config.final_fraction
    decay_steps = max(1, config.num_steps - config.warmup_steps)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, end, decay_steps),
        "cosine": optax.cosine_decay_schedule(peak, decay_steps, config.final_fraction),
    }[config.schedule]
    warmup = optax.linear_schedule(0.0, peak, max(1, config.warmup_steps))
    schedule = optax.join_schedules([warmup, after], [config.warmup_steps])
    betas, decay = (config.beta1, config.beta2), config.weight_decay
    optimizer = {
        "adamw": lambda: optax.adamw(schedule, *betas, weight_decay=decay),
        "muon": lambda: optax.contrib.muon(
            schedule,
            weight_decay=decay,
            adam_b1=betas[0],
            adam_b2=betas[1],
            adam_weight_decay=decay,
        ),
    }[config.optimizer]()
    if config.clip_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
