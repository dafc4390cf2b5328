"""Does a model that watches an algorithm commit itself commit itself?

Source: nobody's; it shows what a package of somebody else's looks like.
Command: icrl run distil_commitment
Cost: seconds.
Expect: regret near that of explore_then_commit.
"""

import dataclasses

from icrl import cli
from icrl.config import (
    ExperimentConfig,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
)
from icrl.experiment import Experiment, register

MODEL = TransformerConfig(width=16, num_layers=1, num_heads=2, mixer=("fading",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes."""

    tokenizer: str = "with_goodbye"
    model: TransformerConfig = MODEL
    training: TrainingConfig
    pretraining: PretrainingConfig = dataclasses.field(
        default_factory=PretrainingConfig
    )
    num_tasks: int = 50


def run(run, config: Config) -> None:
    """Distils, plays, scores."""
    import jax

    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.evaluation import panels
    from icrl.pretraining import methods
    from icrl.training import train_models

    recipe = Recipe(
        family="LeaningBandit-v0", tokenizer=config.tokenizer, model=config.model
    )
    family = recipe.make_family()
    expert = algorithms.make("explore_then_commit", family)
    pretraining = methods.algorithm_distillation(
        recipe, expert, config.pretraining, behaviour="explore_then_commit"
    )
    trained = train_models(run, recipe, pretraining, config.training)
    scores = evaluation.online(
        jax.random.key(config.root_seed),
        family.split().test,
        {
            "ad": evaluation.trained(trained.models, pretraining.tokenizer),
            "explore_then_commit": evaluation.fixed(expert),
        },
        num_tasks=config.num_tasks,
    )
    rows, arrays = panels.curve_panel(
        "online",
        scores,
        metric="final_regret",
        learned={"ad": len(trained.seeds)},
        reference="explore_then_commit",
    )
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def figure(summary, arrays):
    """Regret after each pull."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(1, width=6.4, height=4.4)
    figures.draw_curves(
        axes[0, 0], arrays, "online", title="regret", xlabel="pulls", ylabel="regret"
    )
    return drawn


EXPERIMENT = Experiment(
    name="distil_commitment",
    question="Does a model that watches an algorithm commit itself commit itself?",
    presets={
        "smoke": Config(
            training=TrainingConfig(
                num_steps=20, batch_size=16, steps_per_call=10, checkpoint_every=10
            )
        ),
        "cpu": Config(
            training=TrainingConfig(
                num_steps=2000, batch_size=64, steps_per_call=10, checkpoint_every=10
            )
        ),
    },
    costs={"smoke": "seconds", "cpu": "a minute"},
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
