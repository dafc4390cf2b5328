"""What does pretraining on expert-biased data buy, and cost?

Two Decision-Pretrained Transformers: one on the paper's contexts (some share of the
pulls goes to one random arm), one on expert-biased contexts (it goes to the best arm).
Both choose from data sets in which 0, 50 and 100 % of the pulls are the expert's.
The second exploits that a frequent arm is a good arm, which no posterior of the rewards
does: expert-biased data is not compliant with the theory of posterior sampling.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 3c (500 transitions).
Command: icrl run dpt_expert_bias cpu
Cost: about 15 minutes on 2 cores (cpu, H=100, 2 training seeds of 2 models).
Expect: at 100 % expert data the biased model errs least and the plain DPT is as blind
as the posterior; at 0 % the order turns.
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

SHARES = (0.0, 0.5, 1.0)  # of the expert's pulls in a test data set
# Read out of the paper's vector figures: suboptimality with 500 transitions, 200 tasks.
PUBLISHED = {
    0.0: {
        "empirical_mean": 0.0055,
        "lcb": 0.0114,
        "thompson_sampling": 0.0047,
        "dpt": 0.0048,
        "dpt_expert_biased": 0.0105,
    },
    0.5: {
        "empirical_mean": 0.0076,
        "lcb": 0.0002,
        "thompson_sampling": 0.0055,
        "dpt": 0.0074,
        "dpt_expert_biased": 0.0002,
    },
    1.0: {
        "empirical_mean": 0.0,
        "lcb": 0.0,
        "thompson_sampling": 0.0310,
        "dpt": 0.0460,
        "dpt_expert_biased": 0.0,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    horizon: int = 500  # transitions in a data set
    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    num_datasets: int = 10_000  # of each share, one a bandit


def run(run, config: Config) -> None:
    """Trains both models and gives them the same data sets."""
    import jax
    import numpy as np

    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.pretraining import dataset, methods
    from icrl.training import train_models

    recipe = Recipe(
        family="GaussianBandit-DPT-v0",
        changes={"horizon": config.horizon},
        model=config.model,
    )
    family = recipe.make_family()
    mixture, fixed, make = (
        algorithms.dirichlet_point_mass,
        evaluation.fixed,
        algorithms.make,
    )
    contexts = {
        "dpt": lambda task: mixture(family),
        "dpt_expert_biased": lambda task: mixture(
            family, task, weights=algorithms.PAPER_WEIGHTS, expert_biased=True
        ),
    }
    exact = make("exact_posterior_sampling", family)
    agents = {
        "exact_posterior_argmax": fixed(algorithms.most_likely(exact)),
        "thompson_sampling": fixed(make("thompson_sampling", family, num_draws=100)),
        "lcb": fixed(make("lcb", family)),
        "empirical_mean": fixed(make("empirical_mean", family, explore_first=False)),
    }
    behaviours = {
        "dpt": "dirichlet_point_mass",
        "dpt_expert_biased": "dirichlet_point_mass of the best arm, paper's weights",
    }
    pretrainings = {
        name: methods.decision_pretraining(
            recipe, context, config.pretraining, behaviour=behaviours[name]
        )
        for name, context in contexts.items()
    }
    dataset.check(*pretrainings.values())
    learned, tokens = {}, 0
    for name, choices in pretrainings.items():
        trained = train_models(run, recipe, choices, config.training, name=name)
        agents[name] = evaluation.trained(
            trained.models, choices.tokenizer, greedy=True
        )
        learned[name] = len(trained.seeds)
        tokens += trained.train_tokens
    parts = []
    for number, share in enumerate(SHARES):
        scores = evaluation.offline(
            jax.random.fold_in(evaluation_key(config.root_seed), number),
            split_prior(family).test,
            lambda task, share=share: mixture(
                family, task, weights=(share,), expert_biased=True
            ),
            agents,
            num_tasks=config.num_datasets,
        )
        parts.append(
            panels.curve_panel(
                f"offline_expert_{share}",
                scores,
                metric="final_suboptimality",
                learned=learned,
                steps=np.arange(config.horizon + 1),
                reference="exact_posterior_argmax",
                published=PUBLISHED[share] if config.horizon == 500 else None,
            )
        )
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=tokens)


def figure(summary, arrays):
    """Final suboptimality by share of expert data, and the curves behind it."""
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 2)
    figures.draw_bars(
        axes[0, 0],
        summary,
        {f"offline_expert_{share}": f"{share:.0%} expert" for share in SHARES},
        metric="final_suboptimality",
        agents=[
            "dpt_expert_biased",
            "dpt",
            "exact_posterior_argmax",
            "thompson_sampling",
            "lcb",
            "empirical_mean",
        ],
        title="3c  what the data set holds decides who errs least",
        ylabel=f"suboptimality with {len(arrays['offline_expert_0.0/steps']) - 1} "
        "transitions",
    )
    for ax, share in zip(axes.flat[1:], SHARES, strict=True):
        figures.draw_curves(
            ax,
            arrays,
            f"offline_expert_{share}",
            title=f"{share:.0%} of the pulls are the expert's",
            xlabel="transitions in the data set",
            ylabel="suboptimality",
        )
    return drawn


EXPERIMENT = Experiment(
    name="dpt_expert_bias",
    question="What does pretraining on expert-biased data buy, and cost?",
    presets={
        "smoke": Config(
            horizon=10,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_datasets=50,
        ),
        "cpu": Config(
            seeds=(0, 1),
            horizon=100,
            model=TransformerConfig(num_layers=2),
            training=cosine_training(6000, 1e-2, micro_batch=8),
            num_datasets=4000,
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            training=cosine_training(
                375_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
        ),
    },
    costs={
        "smoke": "40 s on 2 cores",
        "cpu": "15 min on 2 cores",
        "paper": "hours on one GPU (12 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
    figure_name="suboptimality",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
