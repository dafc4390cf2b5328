"""Does DPT adapt to actions whose meanings it has never seen in this order?

The goal is known, the far corner, but the five actions mean right, left, up, down and
stay in a hidden order; 20 of the 120 orders are held out. One random episode shows
every action many times, so that whoever reads it well plays the optimum, 83, from the
second episode on. The released code has the environment and no data for it.

Source: Lee et al. 2023, arXiv 2306.14892, appendix (Dark Room, permuted). Contexts are
100 independent transitions; online, the last episode is the context.
Command: icrl run dpt_dark_room_permuted cpu
Cost: about 15 minutes on 2 free cores (cpu, 1 training seed).
Expect: (no reference run yet).
"""

import dataclasses

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment

FAMILY = "DarkRoomPermuted-DPT-v0"
EXACT = "exact_posterior_sampling"
# Read out of the paper's figure.
PUBLISHED = {
    "dpt": [
        (1, 2.2),
        (2, 79.1),
        (3, 78.0),
        (5, 78.8),
        (10, 80.4),
        (20, 79.8),
        (40, 80.5),
    ]
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    num_episodes: int = 40
    num_tasks: int = 200  # lives: the held-out orders in turn


def run(run, config: Config) -> None:
    """Trains, and plays held-out orders and those of training."""
    import jax

    from icrl import algorithms, evaluation, imitation, panels, returns
    from icrl.agent import Recipe
    from icrl.algorithms.goal_posterior import exact_permutation_posterior

    recipe = Recipe(family=FAMILY, layout="query_first", model=config.model)
    family = recipe.make_family()
    pretraining = imitation.state_query_pretraining(
        recipe, empty_context=config.training.empty_context_loss
    )
    trained = imitation.train_models(run, recipe, pretraining, config.training)
    seeds = len(trained.seeds)
    exact = exact_permutation_posterior(family, episodes=1, in_episode=False)
    agents = {
        "dpt": evaluation.trained(trained.models, pretraining.layout),
        "dpt_argmax": evaluation.trained(
            trained.models, pretraining.layout, greedy=True
        ),
        EXACT: evaluation.fixed(exact),
        "optimal": evaluation.of_task(algorithms.optimal),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
    }
    parts = []
    for half in ("test", "train"):
        scores = returns.online(
            jax.random.key(config.root_seed),
            getattr(family.split(), half),
            agents,
            num_tasks=config.num_tasks,
            num_episodes=config.num_episodes,
            tasks_at_once=50,
        )
        parts.append(
            panels.curve_panel(
                f"online_{half}",
                scores,
                metric="return_last_episode",
                learned={"dpt": seeds, "dpt_argmax": seeds},
                reference=EXACT,
                published=panels.last(PUBLISHED, config.num_episodes)
                if half == "test"
                else {},
            )
        )
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def figure(summary, arrays):
    """Return by episode, for orders held out and orders trained on."""
    del summary
    from icrl import figures

    drawn, axes = figures.new_figure(2, 1, width=5.4, height=4.2)
    for ax, half, orders in (
        (axes[0, 0], "test", "held-out orders of the actions"),
        (axes[0, 1], "train", "training orders"),
    ):
        figures.draw_curves(
            ax,
            arrays,
            f"online_{half}",
            title=f"online, {orders}",
            xlabel="episodes",
            ylabel="return of the episode",
            marks=PUBLISHED if half == "test" else None,
        )
        ax.set_ylim(bottom=0)
    return drawn


EXPERIMENT = Experiment(
    name="dpt_dark_room_permuted",
    question="Does DPT adapt to actions whose order of meanings it has never seen?",
    presets={
        "smoke": Config(
            model=SMOKE_MODEL, training=SMOKE_TRAINING, num_episodes=2, num_tasks=20
        ),
        "cpu": Config(
            model=TransformerConfig(num_layers=3),
            training=cosine_training(8000, 3e-3, micro_batch=8),
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            training=cosine_training(
                300_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_tasks=2000,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "15 min on 2 cores",
        "paper": "hours on one GPU (2 billion tokens a seed)",
    },
    run=run,
    figure=figure,
    figure_name="return",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
