"""Is a decision-pretrained transformer a posterior sampler for any behaviour policy?

DPT's theorem says that its prediction is the posterior over the best arm, and its
proposition that this does not depend on the behaviour policy of the contexts, as long
as it does not know the task. Here three models see the same bandits with three
behaviour policies: the Dirichlet mixture of DPT, uniform play and Thompson sampling.
Each is compared with the exact posterior, decision by decision, on its own histories
and on uniform ones, and with each other. Two training seeds of the same contexts differ
too: only what goes beyond that is due to the contexts.

Labels are the mean of 8 draws of the best arm from the posterior; `dpt_optimal_labels`
has the Dirichlet contexts with the published ones, the best arm, and as long a
training. Preset `published` has these labels, and their optimiser, for all models.

Source: Lee et al. 2023, arXiv 2306.14892, Theorem 1 and the proposition on compliant
contexts in Section 6; neither is checked there.
Command: icrl run posterior_sampling_equivalence cpu
Cost: about 10 minutes on 2 cores (cpu, 4 models of 3 training seeds).
Expect: on its own histories a KL of 0.001 (Thompson contexts) to 0.009 nats (uniform
ones), and regret 4.84 to 5.13 beside the exact posterior's 4.83. Each model is best on
histories like those it was trained on. Models of Dirichlet and of uniform contexts are
as far apart as two seeds of the same: 0.02 in total variation. Thompson contexts, which
soon show one arm only, say little of uniform histories: there such a model is 0.05 from
the others, and two seeds 0.03 from each other. With the published labels and as long a
training: a KL of 0.036 nats, regret 5.24.
"""

import dataclasses

from icrl import cli, lin2023, study
from icrl.config import (
    POSTERIOR_DRAWS,
    TransformerConfig,
    cosine_training,
    long_training,
    muon_training,
)
from icrl.panels import REFERENCE as EXACT
from icrl.panels import Curves, Distances, Rows

FAMILY = "GaussianBandit-DPT-v0"
PUBLISHED_LABELS = "dpt_optimal_labels"  # of the Dirichlet contexts
PANELS = [
    Curves(name="online", title="regret, by who collected the contexts"),
    Distances(
        name="on_own_histories",
        title="is it a posterior sampler? on its own histories",
        measure="kl",
        target="the exact posterior",
    ),
    Distances(
        name="on_uniform_histories",
        title="the same on uniform histories",
        measure="kl",
        target="the exact posterior",
    ),
    Distances(
        name="between_models",
        title="does it matter who collected? on uniform histories",
        target="the other model",
    ),
    Curves(name="suboptimality", metric="final_suboptimality", first_step=1),
    Rows(name="reordering"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(lin2023.DecisionConfig):
    """Sizes of the experiment."""

    num_orders: int = 4  # reorderings of each history


def run(run, config: Config):
    """Trains a model for each context algorithm, plays, compares."""
    from icrl import algorithms
    from icrl.diagnostics import exchangeability
    from icrl.diagnostics.agreement import agreement
    from icrl.pretraining.methods import decision_pretraining

    recipe = study.make_recipe(config, FAMILY)
    family = recipe.make_family()
    exact = algorithms.exact_posterior_sampling(family)
    contexts = {
        "dirichlet": algorithms.dirichlet_point_mass(family),
        "uniform": algorithms.uniform(family),
        "thompson": algorithms.thompson_sampling(family),
    }

    def pretraining(name, **changes):
        options = dataclasses.replace(config.pretraining, **changes)
        return decision_pretraining(recipe, contexts[name], options, behaviour=name)

    pretrainings = {f"dpt_{name}": pretraining(name) for name in contexts}
    if config.pretraining.labels != "optimal":
        pretrainings[PUBLISHED_LABELS] = pretraining("dirichlet", labels="optimal")
    trained = study.train_each(run, pretrainings, config.training)
    played = {name: models.agent() for name, models in trained.items()}
    agents = {name: played[name] for name in played if name != PUBLISHED_LABELS}
    test = study.Evaluation(config, family.split().test)
    reordered = exchangeability.order_sensitivity(
        test.key,
        test.tasks,
        agents,
        contexts["uniform"],
        num_tasks=config.num_contexts,
        num_orders=config.num_orders,
    )
    return {
        **lin2023.regrets(test.online({**played, EXACT: exact})),
        "on_own_histories": test.distances(played, exact),
        "on_uniform_histories": test.distances(played, exact, contexts["uniform"]),
        "between_models": agreement(
            test.key,
            test.tasks,
            agents,
            {name: trained[name].seeds for name in agents},
            contexts["uniform"],
            num_tasks=config.num_contexts,
        ),
        "reordering": exchangeability.of_orders("reordering", reordered),
    }


CPU = Config(
    seeds=(0, 1, 2),
    horizon=50,
    tokenizer="query_first",
    model=TransformerConfig(num_layers=2),
    training=muon_training(2000),
    pretraining=POSTERIOR_DRAWS,
    num_contexts=1000,
).takes("10 min on 2 cores")
PUBLISHED = Config(
    seeds=(0, 1),
    horizon=50,
    tokenizer="query_first",
    model=TransformerConfig(num_layers=2),
    training=cosine_training(5000, 1e-2, micro_batch=16),
    num_contexts=1000,
).takes("15 min on 2 cores")
PAPER = Config(
    seeds=(0, 1, 2),
    horizon=500,
    tokenizer="query_first",
    model=TransformerConfig(),
    training=long_training(375_000),
    num_tasks=20_000,
).takes("hours on one GPU (12 billion tokens a seed and model)")
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, published=PUBLISHED, paper=PAPER
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
