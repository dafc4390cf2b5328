"""Does DPT adapt to actions whose meanings it has never seen in this order?

The goal is known, the far corner, but the five actions mean right, left, up, down and
stay in a hidden order; 20 of the 120 orders are held out. One random episode shows
every action many times, so that whoever reads it well plays the optimum, 83, from the
second episode on. The released code has the environment and no data for it.

Source: Lee et al. 2023, arXiv 2306.14892, appendix (Dark Room, permuted); online, the
last episode is the context, as in the released code. As in `dpt_dark_room`, every token
asks about a state, half of the training contexts are episodes that the exact posterior
played, and its law of the best action is the label.
Command: icrl run dpt_dark_room_permuted cpu
Cost: 8 minutes on 2 cores (cpu, 1 training seed).
Expect (cpu): on held-out orders 78.7 at episode 5 (exact posterior 77.9, published
78.8) and 80.5 at episode 40 (81.7). The curves swing, the exact posterior's too: an
episode that is played well shows few of the actions, and is all that the next one
knows. Argmax play, 12, is caught by its own data.
"""

import dataclasses
import functools

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

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
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    life: int = 4  # episodes; a played context is one of them
    num_episodes: int = 40
    num_tasks: int = 200  # lives: the held-out orders in turn


def run(run, config: Config) -> None:
    """Trains, and plays held-out orders and those of training."""
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.algorithms.dark_room.goal_posterior import exact_permutation_posterior
    from icrl.evaluation import panels, returns
    from icrl.keys import evaluation_key
    from icrl.pretraining import methods
    from icrl.pretraining.collection import either, independent_pairs, some_of_life
    from icrl.training import train_models

    recipe = Recipe(
        family=FAMILY, tokenizer="query_each", agent="query_table", model=config.model
    )
    family = recipe.make_family()
    exact = exact_permutation_posterior(family, episodes=1, in_episode=False)
    pretraining = methods.state_query_pretraining(
        recipe,
        config.pretraining,
        either(
            some_of_life(exact, num_episodes=1, life=config.life),
            independent_pairs(family, family.horizon),
            0.5,
        ),
        behaviour=f"1 episode of {config.life}, or independent_pairs",
        posterior=exact_permutation_posterior(family),
        visited=0.5,
    )
    trained = train_models(run, recipe, pretraining, config.training)
    seeds, split = len(trained.seeds), family.split()
    dpt = functools.partial(
        evaluation.trained, trained.models, pretraining.tokenizer, agent=recipe.agent
    )
    agents = {
        "dpt": dpt(),
        "dpt_argmax": dpt(greedy=True),
        EXACT: evaluation.fixed(exact),
        "optimal": evaluation.of_task(algorithms.optimal),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
    }
    rows, arrays = panels.join(
        [
            returns.online_panel(
                f"online_{half}",
                evaluation_key(config.root_seed),
                tasks,
                agents,
                num_tasks=config.num_tasks,
                num_episodes=config.num_episodes,
                learned={"dpt": seeds, "dpt_argmax": seeds},
                published=published,
            )
            for half, tasks, published in (
                ("test", split.test, PUBLISHED),
                ("train", split.train, None),
            )
        ]
    )
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def figure(summary, arrays):
    """Return by episode, for orders held out and orders trained on."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 1, width=5.4, height=4.2)
    for ax, half, orders, marks in (
        (axes[0, 0], "test", "held-out orders of the actions", PUBLISHED),
        (axes[0, 1], "train", "training orders", None),
    ):
        figures.draw_returns(
            ax, arrays, f"online_{half}", title=f"online, {orders}", marks=marks
        )
    return drawn


EXPERIMENT = Experiment(
    name="dpt_dark_room_permuted",
    question="Does DPT adapt to actions whose order of meanings it has never seen?",
    presets={
        "smoke": Config(
            model=SMOKE_MODEL, training=SMOKE_TRAINING, num_episodes=2, num_tasks=20
        ),
        "cpu": Config(
            model=TransformerConfig(width=64, num_layers=3),
            training=cosine_training(2000, 3e-3, micro_batch=4),
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
        "cpu": "8 min on 2 cores",
        "paper": "hours on one GPU (2 billion tokens a seed)",
    },
    run=run,
    figure=figure,
    figure_name="return",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
