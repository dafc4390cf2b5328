"""Does a transformer that watches UCB become UCB?

Algorithm distillation on Bernoulli bandits, 5 arms, 200 pulls: UCB plays every context,
and the labels are the actions it took. The theory says that the model learns UCB
itself, whatever UCB's merits: here it is better than Thompson sampling, and so is the
model.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, appendix (Bernoulli bandits, AD of
UCB). The UCB is that of the released code, s/(1+n) + 1/√(1+n), but for ties: they go to
the lowest arm here and to a random one there.
Command: icrl run lin_bernoulli_ad cpu
Cost: about 20 minutes on 2 free cores (cpu, 2 training seeds).
Expect (cpu): final regret (7.1) within 8 % of UCB's 7.0; Thompson sampling has 10.7.
"""

from icrl import cli, protocol
from icrl.config import (
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

# Read out of the paper's vector figures: one model, 500 tasks.
PUBLISHED = {
    "transformer": protocol.at_steps(1.6, 2.6, 3.5, 4.6, 5.5, 6.1),
    "thompson_sampling": protocol.at_steps(2.4, 4.3, 6.0, 8.0, 9.4, 10.4),
    "ucb": protocol.at_steps(1.7, 2.8, 3.6, 4.7, 5.5, 6.2),
    "empirical_mean": [(200, 13.2)],
}


def run(run, config: protocol.Config) -> None:
    """Trains, plays, scores."""
    from icrl import algorithms
    from icrl.pretraining import methods

    def expert(family):
        return algorithms.ucb(family, form="shrunken")

    def pretraining(recipe, family):
        return methods.algorithm_distillation(
            recipe,
            expert(family),
            config.pretraining,
            behaviour="ucb(form=shrunken)",
            soft_labels=config.soft_labels,
        )

    def baselines(family):
        return {
            "ucb": expert(family),
            "thompson_sampling": algorithms.thompson_sampling(family),
            "gittins": algorithms.gittins(family),
            "empirical_mean": algorithms.empirical_mean(family),
        }

    protocol.run(
        run,
        config,
        family="BernoulliBandit-Lin2023-v0",
        pretraining=pretraining,
        target=expert,
        baselines=baselines,
        reference="ucb",
        published=PUBLISHED,
    )


def figure(summary, arrays):
    """The paper's panel, its suboptimality, the loss and one history."""
    del summary
    return protocol.figure(arrays, PUBLISHED, reference="ucb", bernoulli_arms=5)


EXPERIMENT = Experiment(
    name="lin_bernoulli_ad",
    question="Does a transformer that watches UCB become UCB?",
    presets={
        "smoke": protocol.SMOKE,
        "cpu": protocol.Config(
            seeds=(0, 1),
            tokenizer="step",
            model=TransformerConfig(num_layers=3, mixer=("relu",)),
            training=cosine_training(4000, 1e-2, micro_batch=4),
        ),
        "paper": protocol.PAPER,
        "released": protocol.RELEASED,
    },
    costs={
        "smoke": "40 s on 2 cores",
        "cpu": "20 min on 2 cores",
        "paper": "hours on one GPU (10 billion tokens a seed)",
        "released": "as paper, with the one head of the released code",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
