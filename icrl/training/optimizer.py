"""The optimiser of a training config."""

import optax

from icrl.config import TrainingConfig


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with warm-up, a schedule and gradient clipping."""
    peak, end = config.learning_rate, config.learning_rate * config.final_fraction
    decay_steps = max(1, config.num_steps - config.warmup_steps)
    after = {
        "constant": optax.constant_schedule(peak),
        "linear": optax.linear_schedule(peak, end, decay_steps),
        "cosine": optax.cosine_decay_schedule(peak, decay_steps, config.final_fraction),
    }[config.schedule]
    warmup = optax.linear_schedule(0.0, peak, max(1, config.warmup_steps))
    schedule = optax.join_schedules([warmup, after], [config.warmup_steps])
    adamw = optax.adamw(
        schedule, b1=config.beta1, b2=config.beta2, weight_decay=config.weight_decay
    )
    if config.clip_norm is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)
