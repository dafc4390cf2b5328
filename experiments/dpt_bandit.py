"""Does DPT equal posterior sampling on bandits, and what does it do when noise shifts?

Pretrains a Decision-Pretrained Transformer on 5-armed Gaussian bandits with the paper's
contexts (a Dirichlet and point-mass mixture) and draws: suboptimality given an offline
data set (2a), online regret (2b), final regret when the noise is not the one it was
trained on (2c), Bernoulli bandits (appendix), and the loss against its floor.

The exact posterior under the training prior, kept frozen, stands beside the model in
every panel. Its regret under noise shift is the prediction for an ideal DPT.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 2 and the Bernoulli panels of its
appendix. Ours differs where the paper's code is wrong: four heads that are heads, no
absolute positions, the loss at the empty context too. `paper` keeps its sizes (H=500).
Command: icrl run dpt_bandit cpu
Cost: about 11 minutes on 2 cores (cpu, H=100, 3 training seeds).
Expect (cpu): loss within 0.03 nats of the floor, final regret within 10 % of exact
posterior sampling (6.1 at H=100), which noise shift moves as the frozen prior predicts.
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

NOISES = (0.0, 0.3, 0.5)  # standard deviations
TRAINED_NOISE = 0.3  # what the models know
# Read out of the paper's vector figures (one model, 200 tasks): regret after t pulls,
# suboptimality with n transitions, regret at t=500 by the noise of the test tasks.
ONLINE = {
    "dpt": [(1, 0.326), (10, 2.31), (20, 3.31), (50, 4.71), (100, 6.04), (500, 10.31)],
    "thompson_sampling": [(10, 2.32), (20, 3.34), (50, 4.84), (100, 6.16), (500, 9.20)],
    "ucb": [(10, 2.42), (20, 3.60), (50, 5.33), (100, 6.75), (500, 10.05)],
    "empirical_mean": [(10, 2.11), (20, 2.57), (50, 3.64), (100, 5.18), (500, 16.79)],
}
OFFLINE = {
    "dpt": [(1, 0.246), (10, 0.130), (50, 0.055), (100, 0.065), (500, 0.0415)],
    "thompson_sampling": [
        (1, 0.227),
        (10, 0.135),
        (50, 0.062),
        (100, 0.047),
        (500, 0.0364),
    ],
    "lcb": [(1, 0.303), (10, 0.206), (50, 0.118), (100, 0.086), (500, 0.0619)],
    "empirical_mean": [
        (1, 0.303),
        (10, 0.185),
        (50, 0.081),
        (100, 0.078),
        (500, 0.0503),
    ],
}
BERNOULLI_ONLINE = {
    "dpt": [(50, 5.46), (100, 7.06), (200, 9.08), (500, 12.56)],
    "thompson_sampling": [(50, 5.17), (100, 6.76), (200, 8.30), (500, 10.96)],
    "ucb": [(50, 5.07), (100, 6.83), (200, 8.64), (500, 10.83)],
    "empirical_mean": [(50, 4.63), (100, 6.81), (200, 10.80), (500, 22.55)],
}
BERNOULLI_OFFLINE = {
    "dpt": [(10, 0.151), (50, 0.094), (100, 0.079), (500, 0.0439)],
    "thompson_sampling": [(10, 0.158), (50, 0.087), (100, 0.063), (500, 0.0327)],
    "lcb": [(10, 0.189), (50, 0.106), (100, 0.083), (500, 0.0593)],
    "empirical_mean": [(10, 0.158), (50, 0.101), (100, 0.094), (500, 0.0531)],
}
NOISE_SHIFT = {  # at t=500
    0.0: {"empirical_mean": 1.61, "ucb": 10.19, "thompson_sampling": 8.24, "dpt": 8.72},
    0.3: {
        "empirical_mean": 16.79,
        "ucb": 10.05,
        "thompson_sampling": 9.2,
        "dpt": 10.31,
    },
    0.5: {
        "empirical_mean": 28.67,
        "ucb": 12.20,
        "thompson_sampling": 12.61,
        "dpt": 13.93,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    horizon: int = 500  # pulls, and transitions in an offline data set
    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    num_tasks: int = 4000  # unseen bandits that every agent plays
    num_datasets: int = 4000  # offline data sets, one a bandit
    num_contexts: int = 4000  # fresh contexts on which the loss is measured


def run(run, config: Config) -> None:
    """Trains, plays, scores."""
    import envs
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
    parts = []
    for noise in NOISES:
        tested = family.replace(name="", noise_std=noise)
        panel = "online" if noise == TRAINED_NOISE else f"online_noise_{noise}"
        published = NOISE_SHIFT[noise] if config.horizon == 500 else {}
        parts.append(_online(config, panel, tested, family, trained, published))
    bernoulli = envs.family("BernoulliBandit-DPT-v0", horizon=config.horizon)
    published = panels.last(BERNOULLI_ONLINE, config.horizon)
    parts += [
        _online(config, "online_bernoulli", bernoulli, family, trained, published),
        _offline(config, "offline", family, family, trained, OFFLINE),
        _offline(
            config, "offline_bernoulli", bernoulli, family, trained, BERNOULLI_OFFLINE
        ),
    ]
    losses = evaluation.losses(
        evaluation_key(config.root_seed),
        choices._replace(tasks=split_prior(family).test),
        trained.models,
        algorithms.exact_posterior_sampling(family),
        num_tasks=config.num_contexts,
    )
    parts.append(panels.loss_panel(losses, agent="dpt", seeds=len(trained.seeds)))
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def _online(config: Config, panel, tested, family, trained, published):
    """Everybody plays `tested` and, where it believes anything, believes in `family`.

    So does Thompson sampling in Bernoulli bandits: the paper's values are its Gaussian
    sampler's (11.06 at 500 pulls; Beta posteriors reach 10.6 at 200 already).
    """
    from envs.splits import split_prior
    from icrl import evaluation
    from icrl.algorithms import make
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.tokenizers.query_first import query_first

    tokenizer = query_first(family)
    scores = evaluation.online(
        evaluation_key(config.root_seed),  # the same means and noise in every panel
        split_prior(tested).test,
        {
            "dpt": evaluation.trained(trained.models, tokenizer),
            "dpt_argmax": evaluation.trained(trained.models, tokenizer, greedy=True),
            "exact_posterior_sampling": evaluation.fixed(
                make("exact_posterior_sampling", family)
            ),
            "thompson_sampling": evaluation.fixed(make("thompson_sampling", family)),
            "ucb": evaluation.fixed(make("ucb", family)),
            "empirical_mean": evaluation.fixed(make("empirical_mean", family)),
        },
        num_tasks=config.num_tasks,
    )
    seeds = len(trained.seeds)
    return panels.curve_panel(
        panel,
        scores,
        metric="final_regret",
        learned={"dpt": seeds, "dpt_argmax": seeds},
        published=published,
    )


def _offline(config: Config, panel, tested, family, trained, marks):
    """Everybody chooses from the same data sets, which no learner collected."""
    import numpy as np

    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.tokenizers.query_first import query_first

    fixed, make = evaluation.fixed, algorithms.make
    exact = algorithms.exact_posterior_sampling(family)
    scores = evaluation.offline(
        evaluation_key(config.root_seed),
        split_prior(tested).test,
        lambda task: algorithms.dirichlet_point_mass(tested),
        {
            "dpt": evaluation.trained(  # offline, the paper plays the likeliest arm
                trained.models, query_first(family), greedy=True
            ),
            "exact_posterior_argmax": fixed(algorithms.most_likely(exact)),
            "thompson_sampling": fixed(
                make("thompson_sampling", family, num_draws=100)
            ),
            "lcb": fixed(make("lcb", tested)),
            "empirical_mean": fixed(
                make("empirical_mean", tested, explore_first=False)
            ),
        },
        num_tasks=config.num_datasets,
    )
    return panels.curve_panel(
        panel,
        scores,
        metric="final_suboptimality",
        learned={"dpt": len(trained.seeds)},
        steps=np.arange(config.horizon + 1),
        reference="exact_posterior_argmax",
        published=panels.last(marks, config.horizon),
    )


def figure(summary, arrays):
    """The paper's three panels, its Bernoulli panels, and the loss."""
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(3, 2)
    online = {"xlabel": "pulls", "ylabel": "cumulative regret (reward units)"}
    offline = {"xlabel": "transitions in the data set", "ylabel": "suboptimality"}
    draw = figures.draw_curves
    draw(axes[0, 0], arrays, "offline", title="2a  offline", marks=OFFLINE, **offline)
    draw(axes[0, 1], arrays, "online", title="2b  online", marks=ONLINE, **online)
    figures.draw_bars(
        axes[0, 2],
        summary,
        {
            "online_noise_0.0": "noise 0",
            "online": "noise 0.3 (trained)",
            "online_noise_0.5": "noise 0.5",
        },
        metric="final_regret",
        agents=[
            "dpt",
            "exact_posterior_sampling",
            "thompson_sampling",
            "ucb",
            "empirical_mean",
        ],
        title="2c  noise shift: does the frozen prior predict it?",
        ylabel=f"regret after {len(arrays['online/steps'])} pulls",
    )
    title = "appendix  Bernoulli, offline"
    marks = BERNOULLI_OFFLINE
    draw(axes[1, 0], arrays, "offline_bernoulli", title=title, marks=marks, **offline)
    title = "appendix  Bernoulli, online"
    marks = BERNOULLI_ONLINE
    draw(axes[1, 1], arrays, "online_bernoulli", title=title, marks=marks, **online)
    figures.draw_loss(axes[1, 2], arrays, "loss", title="loss against its floor")
    return drawn


EXPERIMENT = Experiment(
    name="dpt_bandit",
    question="Does DPT equal posterior sampling on bandits, also if the noise shifts?",
    presets={
        "smoke": Config(
            seeds=(0, 1),
            horizon=10,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_tasks=50,
            num_datasets=50,
            num_contexts=50,
        ),
        "cpu": Config(
            seeds=(0, 1, 2),
            horizon=100,
            model=TransformerConfig(num_layers=2),
            training=cosine_training(8000, 1e-2, micro_batch=8),
            num_datasets=2000,
            num_contexts=2000,
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            training=cosine_training(
                375_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_tasks=20_000,
            num_datasets=20_000,
            num_contexts=20_000,
        ),
    },
    costs={
        "smoke": "40 s on 2 cores",
        "cpu": "11 min on 2 cores",
        "paper": "hours on one GPU (12 billion tokens a seed)",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
