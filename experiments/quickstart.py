"""Does a transformer that only ever saw other algorithms' data explore by itself?

Pretrains one Decision-Pretrained Transformer on Gaussian bandits (5 arms, means
uniform on [0, 1], noise 0.3, 50 pulls) and plays it in unseen ones, beside the
experts and the exact posterior sampler, which an ideal DPT equals.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 2b, at 50 of its 500 pulls.
Command: make quickstart, or icrl run quickstart
Cost: about 3 minutes on 2 cores.
Expect: final regret of the DPT within 10 % of exact posterior sampling (about 4.8),
UCB at 5.3, the empirical mean at 3.6 (greed pays over 50 pulls, not over 500).
One training seed, so its intervals are over tasks alone.
"""

import dataclasses

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the quickstart."""

    horizon: int = 50  # pulls
    model: TransformerConfig
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    num_tasks: int = 4000  # unseen bandits that every agent plays


def run(run, config: Config) -> None:
    """Trains, plays, scores."""
    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.pretraining import methods
    from icrl.training import train_models

    recipe = Recipe(
        family="GaussianBandit-DPT-v0",
        changes={"horizon": config.horizon},
        model=config.model,
    )
    family = recipe.make_family()
    choices = methods.decision_pretraining(
        recipe,
        lambda task: algorithms.dirichlet_point_mass(family),
        config.pretraining,
        behaviour="dirichlet_point_mass",
    )
    trained = train_models(run, recipe, choices, config.training)
    agents = {"dpt": evaluation.trained(trained.models, choices.tokenizer)}
    agents["dpt_argmax"] = evaluation.trained(
        trained.models, choices.tokenizer, greedy=True
    )
    for name in (
        "exact_posterior_sampling",
        "thompson_sampling",
        "ucb",
        "empirical_mean",
    ):
        agents[name] = evaluation.fixed(algorithms.make(name, family))
    scores = evaluation.online(
        evaluation_key(config.root_seed),
        split_prior(family).test,
        agents,
        num_tasks=config.num_tasks,
    )
    seeds = len(trained.seeds)
    rows, arrays = panels.curve_panel(
        "online",
        scores,
        metric="final_regret",
        learned={"dpt": seeds, "dpt_argmax": seeds},
    )
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def figure(summary, arrays):
    """Regret after each pull."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(1, width=6.4, height=4.4)
    figures.draw_curves(
        axes[0, 0],
        arrays,
        "online",
        title="In-context play on unseen 5-armed Gaussian bandits",
        xlabel="pulls",
        ylabel="cumulative regret (reward units)",
    )
    return drawn


EXPERIMENT = Experiment(
    name="quickstart",
    question="Does a transformer that only saw other algorithms' data explore itself?",
    presets={
        "smoke": Config(
            horizon=10,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_tasks=50,
        ),
        "cpu": Config(
            model=TransformerConfig(num_layers=2, num_heads=4),
            training=cosine_training(
                2500, 1e-2, warmup_steps=100, batch_size=128, checkpoint_every=500
            ),
        ),
    },
    costs={"smoke": "20 s on 2 cores", "cpu": "3 min on 2 cores"},
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
