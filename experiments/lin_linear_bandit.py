"""Does a transformer that watches LinUCB become LinUCB?

Algorithm distillation on linear bandits (5 dimensions, 10 arms that are drawn with the
task and shown, noise 1.5), 200 pulls: LinUCB plays every context, and the labels are
the actions it took. The theory builds a ReLU transformer that is LinUCB: ridge
regression by gradient descent, one step a layer.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Figure 1 left. Its Thompson sampling
has the prior N(0, I) where theta is uniform on [0, 1]^5, on purpose. `paper` is the
model of the paper. The cpu preset is smaller and need not learn what the theory's
construction assumes: an arm that was pulled is shown by its features, as in the paper's
text (its code shows a number), the MLP can multiply, and one shared map scores the
arms.
After 13 million tokens its loss is 0.39 with all three and 1.1 with the first alone.
Command: icrl run lin_linear_bandit cpu
Cost: about 10 minutes on 2 cores (cpu, 5 training seeds).
Expect: final regret 32.96 beside LinUCB's 32.87 (the difference is -1.4 to +1.9 %; the
paper's model: 20 % above). By argmax it is 31.3, less than LinUCB's, but its arms late
on are worse by a quarter: it stops exploring. It equals LinUCB in what it earns, not in
what it does: on LinUCB's histories 10 % of its actions are not those that LinUCB would
take, and on its own 47 %. Once it has neglected an arm it does not see that LinUCB
would go back to it, since in no history of LinUCB's an arm is neglected so.
"""

from icrl import cli, lin2023, study
from icrl.config import TransformerConfig, muon_training

PANELS = lin2023.panels("linucb", draws_at_random=False)


def run(run, config: lin2023.Config):
    """Trains, plays, scores."""
    from icrl import algorithms

    recipe = study.make_recipe(config, "LinearBandit-Lin2023-v0")
    family = recipe.make_family()
    linucb = algorithms.linucb(family, width=2.0)
    data = lin2023.distillation(config, recipe, linucb, behaviour="linucb(width=2)")
    others = "linear_thompson", "empirical_mean"
    baselines = {"linucb": linucb} | {n: algorithms.make(n, family) for n in others}
    return lin2023.scores(run, config, data, "linucb", baselines)


CPU = lin2023.Config(
    seeds=(0, 1, 2, 3, 4),
    tokenizer="step_features",
    model=TransformerConfig(
        num_layers=3, mixer=("relu",), activation="gated", hidden=64, head="features"
    ),
    training=muon_training(6000, 1e-2, lengths=(25, 75), micro_batch=4),
    num_tasks=16_000,
)
EXPERIMENT = lin2023.experiment(__name__, run, PANELS, CPU, "10 min on 2 cores")

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
