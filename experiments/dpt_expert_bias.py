"""What does pretraining on expert-biased data buy, and cost?

Two Decision-Pretrained Transformers: one on the paper's contexts (some share of the
pulls goes to one random arm), one on expert-biased contexts (it goes to the best arm).
Both choose from data sets in which 0, 50 and 100 % of the pulls are the expert's.
The second exploits that a frequent arm is a good arm, which no posterior of the rewards
does: expert-biased data is not compliant with the theory of posterior sampling. So the
labels of the biased model are the best arm, as published; those of the plain one are
the mean of 8 posterior draws, and `dpt_optimal_labels` is the plain one with the
published labels, trained as long.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 3c (500 transitions). Preset
`published` has the published labels, and their optimiser, for both.
Command: icrl run dpt_expert_bias cpu
Cost: about 15 minutes on one core (cpu, H=100, 3 training seeds of 3 models).
Expect (cpu): at 100 % expert data the biased model never errs and the plain DPT is as
blind as the posterior (suboptimality 0.045 and 0.039); at 0 % the order turns (0.083,
and 0.024 beside the posterior's 0.023). With the published labels the plain one has
0.027 at 0 % and 0.052 at 100 %.
"""

import dataclasses

from icrl import cli, study
from icrl.config import (
    POSTERIOR_DRAWS,
    TransformerConfig,
    cosine_training,
    long_training,
    muon_training,
)
from icrl.panels import Bars, Curves

SHARES = (0.0, 0.5, 1.0)  # of the expert's pulls in a test data set
PANELS = [
    Bars(
        title="what the data set holds decides who errs least (3c)",
        groups={f"offline_expert_{share}": f"{share:.0%} expert" for share in SHARES},
        metric="final_suboptimality",
        agents=[
            "dpt_expert_biased",
            "dpt",
            "dpt_optimal_labels",
            "exact_posterior_argmax",
            "thompson_sampling",
            "lcb",
            "empirical_mean",
        ],
        ylabel="suboptimality with the whole data set",
        yscale="log",
    ),
    *(
        Curves(
            name=f"offline_expert_{share}",
            title=f"{share:.0%} of the pulls are the expert's",
            metric="final_suboptimality",
            reference="exact_posterior_argmax",
            yscale="log",
            bottom=1e-4,  # an agent that never errs leaves the panel
        )
        for share in SHARES
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment."""

    horizon: int = 500  # transitions in a data set
    num_datasets: int = 10_000  # of each share, one a bandit


def run(run, config: Config):
    """Trains both models and gives them the same data sets."""
    from icrl.algorithms import PAPER_WEIGHTS, dirichlet_point_mass, make, most_likely
    from icrl.pretraining.methods import decision_pretraining

    recipe = study.make_recipe(config, "GaussianBandit-DPT-v0")
    family = recipe.make_family()

    def biased(weights):
        return lambda task: dirichlet_point_mass(
            family, task, weights=weights, expert_biased=True
        )

    plain = "dirichlet_point_mass"
    best = f"{plain} of the best arm, paper's weights"
    # a posterior of the rewards does not see that a behaviour knows the best arm
    optimal = dataclasses.replace(config.pretraining, labels="optimal")
    made = {
        "dpt": (dirichlet_point_mass(family), config.pretraining, plain),
        "dpt_optimal_labels": (dirichlet_point_mass(family), optimal, plain),
        "dpt_expert_biased": (biased(PAPER_WEIGHTS), optimal, best),
    }
    if config.pretraining == optimal:
        del made["dpt_optimal_labels"]
    pretrainings = {
        name: decision_pretraining(recipe, context, options, behaviour=words)
        for name, (context, options, words) in made.items()
    }
    trained = study.train_each(run, pretrainings, config.training)
    exact = make("exact_posterior_sampling", family)
    agents = {
        "exact_posterior_argmax": most_likely(exact),
        "thompson_sampling": make("thompson_sampling", family, num_draws=100),
        "lcb": make("lcb", family),
        "empirical_mean": make("empirical_mean", family, explore_first=False),
        **{name: models.agent(greedy=True) for name, models in trained.items()},
    }
    test = study.Evaluation(config, family.split().test)
    return {
        f"offline_expert_{share}": test.offline(biased((share,)), agents)
        for share in SHARES
    }


CPU = Config(
    seeds=(0, 1, 2),
    horizon=100,
    model=TransformerConfig(num_layers=2),
    training=muon_training(6000, lengths=(25,), micro_batch=16),
    pretraining=POSTERIOR_DRAWS,
    num_datasets=4000,
).takes("15 min on one core")
PUBLISHED = Config(
    seeds=(0, 1),
    horizon=100,
    model=TransformerConfig(num_layers=2),
    training=cosine_training(6000, 1e-2, micro_batch=8),
    num_datasets=4000,
).takes("15 min on 2 cores")
PAPER = Config(seeds=(0, 1, 2), training=long_training(375_000)).takes(
    "hours on one GPU (12 billion tokens a seed and model)"
)
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU,
    published=PUBLISHED,
    paper=PAPER,
    figure_name="suboptimality",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
