"""Does a transformer that is shown optimal actions become Thompson sampling?

Bernoulli bandits, 5 arms, 200 pulls. Contexts come from Thompson sampling in half of
the trajectories and from uniform play in the other half; labels are the best arm. The
theory says that the model learns the posterior over the best arm: its play is Thompson
sampling with the uniform prior.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Figure 1 right. The UCB of that figure
is the one of the released code, s/(1+n) + 1/√(1+n) (its text's formula gives 8.6).
Command: icrl run lin_bernoulli_dpt cpu
Cost: about 25 minutes on 2 free cores (cpu, 2 training seeds).
Expect (cpu): final regret (11.3) within 8 % of Thompson sampling's 10.7, the loss 0.020
nats above its floor; with half as many steps 11.7 and 0.029.
"""

from icrl import cli, protocol
from icrl.config import (
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

SHARE = 0.5  # of the trajectories that Thompson sampling plays
# Read out of the paper's vector figures: one model, 500 tasks.
PUBLISHED = {
    "transformer": protocol.at_steps(2.5, 4.5, 6.4, 8.7, 10.1, 11.1),
    "thompson_sampling": protocol.at_steps(2.5, 4.5, 6.3, 8.3, 9.7, 10.7),
    "ucb": protocol.at_steps(1.7, 2.8, 3.7, 5.0, 5.8, 6.5),
    "empirical_mean": protocol.at_steps(2.2, 3.3, 4.7, 7.1, 9.4, 11.6),
}


def run(run, config: protocol.DecisionConfig) -> None:
    """Trains, plays, scores."""
    from icrl import algorithms

    def pretraining(recipe, family):
        context = algorithms.mixture(
            [algorithms.thompson_sampling(family), algorithms.uniform(family)],
            [SHARE, 1 - SHARE],
        )
        posterior = algorithms.thompson_sampling(family)
        behaviour = f"thompson_sampling ({SHARE}), uniform"
        return protocol.decision_pretraining(
            config, recipe, context, posterior, behaviour
        )

    def baselines(family):
        return {
            "thompson_sampling": algorithms.thompson_sampling(family),
            "ucb": algorithms.ucb(family, form="shrunken"),
            "gittins": algorithms.gittins(family),
            "empirical_mean": algorithms.empirical_mean(family),
        }

    protocol.run(
        run,
        config,
        family="BernoulliBandit-Lin2023-v0",
        pretraining=pretraining,
        target=algorithms.thompson_sampling,
        baselines=baselines,
        reference="thompson_sampling",
        published=PUBLISHED,
    )


def figure(summary, arrays):
    """The paper's panel, its suboptimality, the loss and one history."""
    del summary
    return protocol.figure(
        arrays, PUBLISHED, reference="thompson_sampling", bernoulli_arms=5
    )


EXPERIMENT = Experiment(
    name="lin_bernoulli_dpt",
    question="Does a transformer shown optimal actions become Thompson sampling?",
    presets={
        "smoke": protocol.for_decisions(protocol.SMOKE),
        "cpu": protocol.DecisionConfig(
            seeds=(0, 1),
            tokenizer="step",
            model=TransformerConfig(num_layers=3, mixer=("relu",)),
            training=cosine_training(8000, 1e-2, micro_batch=4),
            pretraining=DecisionPretrainingConfig(num_examples=80_000),
        ),
        "paper": protocol.for_decisions(protocol.PAPER),
        "released": protocol.for_decisions(protocol.RELEASED),
    },
    costs={
        "smoke": "40 s on 2 cores",
        "cpu": "25 min on 2 cores",
        "paper": "hours on one GPU (10 billion tokens a seed)",
        "released": "as paper, with the one head of the released code",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
