"""Does a transformer that only ever saw other algorithms' data explore by itself?

Pretrains one Decision-Pretrained Transformer on Gaussian bandits (5 arms, means
uniform on [0, 1], noise 0.3, 50 pulls) and plays it in unseen ones, beside the
experts and the exact posterior sampler, which an ideal DPT equals. Labels are the mean
of 8 draws of the best arm from the posterior; `dpt_optimal_labels` has the published
ones, the best arm, and as long a training.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 2b, at 50 of its 500 pulls. Preset
`published` has the published labels, and their optimiser.
Command: make quickstart, or icrl run quickstart
Cost: about 2 minutes on 2 cores (3 training seeds of 2 models).
Expect: final regret of the DPT within 3 % of exact posterior sampling (4.8), with the
published labels 10 to 20 % above it; UCB at 5.3, the empirical mean at 3.7 (greed
pays over 50 pulls, not over 500).
"""

import dataclasses

from icrl import cli, study
from icrl.config import (
    POSTERIOR_DRAWS,
    TransformerConfig,
    cosine_training,
    muon_training,
)
from icrl.panels import Curves

PANELS = [
    Curves(name="online", title="In-context play on unseen 5-armed Gaussian bandits")
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the quickstart."""

    horizon: int = 50  # pulls
    num_tasks: int = 4000  # unseen bandits that every agent plays


def run(run, config: Config):
    """Trains, plays, scores."""
    from icrl.algorithms import make
    from icrl.pretraining.methods import decision_pretraining

    recipe = study.make_recipe(config, "GaussianBandit-DPT-v0")
    family = recipe.make_family()
    contexts = make("dirichlet_point_mass", family)

    def pretraining(options):
        behaviour = "dirichlet_point_mass"
        return decision_pretraining(recipe, contexts, options, behaviour=behaviour)

    models = study.train_labelled(run, config, pretraining)
    others = "exact_posterior_sampling", "thompson_sampling", "ucb", "empirical_mean"
    agents = models["dpt"].agents("dpt")
    agents |= {name: model.agent() for name, model in models.items()}
    agents |= {name: make(name, family) for name in others}
    return {"online": study.Evaluation(config, family.split().test).online(agents)}


CPU = Config(
    seeds=(0, 1, 2),
    model=TransformerConfig(num_layers=2, num_heads=4),
    training=muon_training(700),
    pretraining=POSTERIOR_DRAWS,
).takes("2 min on 2 cores")
PUBLISHED = Config(
    model=TransformerConfig(num_layers=2, num_heads=4),
    training=cosine_training(
        2500, 1e-2, warmup_steps=100, batch_size=128, checkpoint_every=500
    ),
).takes("3 min on 2 cores")
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, published=PUBLISHED, size=(6.4, 4.4)
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
