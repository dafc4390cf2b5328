"""Does a transformer that is shown optimal actions become Thompson sampling?

Bernoulli bandits, 5 arms, 200 pulls. Contexts come from Thompson sampling in half of
the trajectories and from uniform play in the other half; labels are the best arm. The
theory says that the model learns the posterior over the best arm: its play is Thompson
sampling with the uniform prior.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Figure 1 right. The UCB of that figure
is the one of the released code, s/(1+n) + 1/√(1+n) (its text's formula gives 8.6).
Command: icrl run lin_bernoulli_dpt cpu
Cost: about 30 minutes on 2 free cores (cpu, 5 training seeds of 2 models).
Expect: final regret 10.64 beside Thompson sampling's 10.60 (the difference is -0.4 to
+1.4 %), the loss 0.0013 nats above its floor. Labels are the mean of 8 posterior draws;
with the published ones, the best arm, and as long a training the regret is 11.4.
"""

import dataclasses

from icrl import cli, lin2023, study
from icrl.config import (
    POSTERIOR_DRAWS,
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
    muon_training,
)

SHARE = 0.5  # of the trajectories that Thompson sampling plays
PANELS = lin2023.panels("thompson_sampling", bernoulli_arms=5)


def run(run, config: lin2023.DecisionConfig):
    """Trains, plays, scores."""
    from icrl import algorithms

    recipe = study.make_recipe(config, lin2023.BERNOULLI)
    family = recipe.make_family()
    baselines = {
        "thompson_sampling": algorithms.thompson_sampling(family),
        "ucb": algorithms.ucb(family, form="shrunken"),
        "gittins": algorithms.gittins(family),
        "empirical_mean": algorithms.empirical_mean(family),
    }
    target = "thompson_sampling"
    data = lin2023.thompson_pretraining(config, recipe, SHARE)
    beside = {}
    if config.pretraining.labels != "optimal":
        published = lin2023.thompson_pretraining(
            config, recipe, SHARE, labels="optimal"
        )
        beside["transformer_optimal_labels"] = published
    return lin2023.scores(run, config, data, target, baselines, beside=beside)


CPU = lin2023.DecisionConfig(
    seeds=(0, 1, 2, 3, 4),
    tokenizer="step",
    model=TransformerConfig(num_layers=3, mixer=("relu",)),
    training=muon_training(8000, lengths=(25, 75), micro_batch=4),
    pretraining=POSTERIOR_DRAWS,
    num_tasks=16_000,
)
PUBLISHED = dataclasses.replace(
    CPU,
    seeds=(0, 1),
    training=cosine_training(8000, 1e-2, micro_batch=4),
    num_tasks=4000,
    pretraining=DecisionPretrainingConfig(num_examples=80_000),
)
EXPERIMENT = lin2023.experiment(
    __name__, run, PANELS, CPU, "30 min on 2 cores", published=PUBLISHED
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
