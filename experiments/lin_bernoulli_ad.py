"""Does a transformer that watches UCB become UCB?

Algorithm distillation on Bernoulli bandits, 5 arms, 200 pulls: UCB plays every context,
and the labels are the actions it took. The theory says that the model learns UCB
itself, whatever UCB's merits: here it is better than Thompson sampling, and so is the
model.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, appendix (Bernoulli bandits, AD of
UCB). The UCB is that of the released code, s/(1+n) + 1/√(1+n), but for ties: they go to
the lowest arm here and to a random one there.
Command: icrl run lin_bernoulli_ad cpu
Cost: about 6 minutes on one core (cpu, 3 training seeds).
Expect: final regret 6.65 beside UCB's 6.64 (the interval of their difference is 2.6 %
wide on either side); Thompson sampling has 10.6.
"""

from icrl import cli, lin2023, study
from icrl.config import TransformerConfig, muon_training

PANELS = lin2023.panels(
    "ucb",
    bernoulli_arms=5,
    draws_at_random=False,
    title_of_loss="",  # UCB does not draw: its floor is 0
)


def run(run, config: lin2023.Config):
    """Trains, plays, scores."""
    from icrl import algorithms

    recipe = study.make_recipe(config, lin2023.BERNOULLI)
    family = recipe.make_family()
    ucb = algorithms.ucb(family, form="shrunken")
    data = lin2023.distillation(config, recipe, ucb, behaviour="ucb(form=shrunken)")
    others = "thompson_sampling", "gittins", "empirical_mean"
    baselines = {"ucb": ucb} | {n: algorithms.make(n, family) for n in others}
    return lin2023.scores(run, config, data, "ucb", baselines)


CPU = lin2023.Config(
    seeds=(0, 1, 2),
    tokenizer="step",
    model=TransformerConfig(num_layers=3, mixer=("relu",)),
    training=muon_training(5000, 1e-2, lengths=(25, 75), micro_batch=4),
)
EXPERIMENT = lin2023.experiment(__name__, run, PANELS, CPU, "6 min on one core")

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
