"""Is a decision-pretrained transformer a posterior sampler, whoever collected its data?

DPT's theorem says that its prediction is the posterior over the best arm, and its
proposition that this does not depend on who collected the contexts, as long as they
could have been collected without knowing the task. Here three models see the same
bandits through three eyes: the Dirichlet mixture of DPT, uniform play and Thompson
sampling. Each is compared with the exact posterior, decision by decision, on its own
histories and on uniform ones, and with each other. Two training seeds of the same
contexts differ too: only what goes beyond that is due to the contexts.

Source: Lee et al. 2023, arXiv 2306.14892, Theorem 1 and the proposition on compliant
contexts in Section 6; neither is checked there.
Command: icrl run posterior_sampling_equivalence cpu
Cost: about 15 minutes on 2 free cores (cpu, 3 models of 2 training seeds).
Expect (cpu): a KL of 0.02 to 0.07 nats on its own histories, and regret 4 to 17 % above
the exact posterior's. Each model is best on histories like those it was trained on. Two
models of different contexts are as far apart as two seeds of the same: 0.06 in total
variation, and 0.07 between seeds. Thompson contexts, which soon show one arm only,
teach least: seeds differ by 0.15 there.
"""

import dataclasses
import itertools

from icrl import cli, protocol
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

TARGET = "exact_posterior_sampling"
FAMILY = "GaussianBandit-DPT-v0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(protocol.DecisionConfig):
    """Sizes of the experiment."""

    num_orders: int = 4  # reorderings of each history


def run(run, config: Config) -> None:
    """Trains a model for each context algorithm, plays, compares."""
    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key

    recipe = protocol.make_recipe(config, FAMILY)
    family = recipe.make_family()
    contexts = {
        "dpt_dirichlet": algorithms.dirichlet_point_mass(family),
        "dpt_uniform": algorithms.uniform(family),
        "dpt_thompson": algorithms.thompson_sampling(family),
    }
    choices = {
        name: (
            recipe,
            protocol.decision_pretraining(
                config,
                recipe,
                context,
                algorithms.exact_posterior_sampling(family),
                name.removeprefix("dpt_"),
            ),
        )
        for name, context in contexts.items()
    }
    trained = protocol.train_each(run, choices, config.training)
    test = split_prior(family).test
    exact = evaluation.fixed(algorithms.exact_posterior_sampling(family))
    uniform = evaluation.fixed(contexts["dpt_uniform"])
    online = evaluation.online(
        evaluation_key(config.root_seed),
        test,
        {**trained.agents, TARGET: exact},
        num_tasks=config.num_tasks,
    )
    parts = [
        *protocol.regret_panels(online, learned=trained.learned, reference=TARGET),
        *protocol.divergence_panels(
            config,
            test,
            trained.agents,
            exact,
            {"own": None, "uniform": uniform},
            learned=trained.learned,
        ),
        _invariance(config, test, trained, uniform),
        _reordering(config, test, trained, uniform),
    ]
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def _invariance(config: Config, tasks, trained, histories):
    """Distance between every two models, and between seeds of one, on uniform play."""
    from icrl.diagnostics.divergence import disagreement, divergence_panel
    from icrl.keys import evaluation_key

    def between(one, other):
        return disagreement(
            evaluation_key(config.root_seed),
            tasks,
            one,
            other,
            histories,
            num_tasks=config.num_contexts,
        )

    found, seeds = {}, {}
    for one, other in itertools.combinations(trained.agents, 2):
        shared = [s for s in trained.seeds[one] if s in trained.seeds[other]]
        pair = [_of_seeds(trained, name, shared) for name in (one, other)]
        found[f"{one}_and_{other}"] = between(*pair)
        seeds[f"{one}_and_{other}"] = len(shared)
    for name, known in trained.seeds.items():
        if len(known) > 1:
            turned = [*known[1:], known[0]]
            others = _of_seeds(trained, name, turned)
            found[f"{name}_and_itself"] = between(trained.agents[name], others)
            seeds[f"{name}_and_itself"] = len(known)
    return divergence_panel("between_models", found, learned=seeds)


def _of_seeds(trained, name, seeds):
    """The agent with the models of these training seeds, in this order."""
    import jax
    import numpy as np

    agent = trained.agents[name]
    places = np.array([trained.seeds[name].index(seed) for seed in seeds])
    return agent._replace(models=jax.tree.map(lambda leaf: leaf[places], agent.models))


def _reordering(config: Config, tasks, trained, histories):
    """How much a model's last prediction depends on the order of its history."""
    from icrl.diagnostics.exchangeability import order_sensitivity
    from icrl.evaluation.statistics import interval
    from icrl.keys import evaluation_key
    from icrl.runs.saved import row

    rows = []
    for name, agent in trained.agents.items():
        moved = order_sensitivity(
            evaluation_key(config.root_seed),
            tasks,
            agent,
            histories,
            num_tasks=config.num_contexts,
            num_orders=config.num_orders,
        )
        mean, low, high = interval(moved.mean(-1))
        rows.append(
            row(
                panel="reordering",
                agent=name,
                metric="tv_mean",
                mean=float(mean),
                low=float(low),
                high=float(high),
                seeds=trained.learned[name],
                tasks=config.num_contexts,
                exact=0.0,
            )
        )
    return rows, {}


def figure(summary, arrays):
    """Regret, distance to the exact posterior, and between the models."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 2, width=5.4)
    figures.draw_curves(
        axes[0, 0],
        arrays,
        "online",
        title="regret, by who collected the contexts",
        xlabel="pulls",
        ylabel="cumulative regret (reward units)",
    )
    for ax, panel, title, ylabel in (
        (
            axes[0, 1],
            "on_own_histories_kl",
            "is it a posterior sampler? on its own histories",
            "KL from the exact posterior (nats)",
        ),
        (
            axes[1, 0],
            "on_uniform_histories_kl",
            "the same on uniform histories",
            "KL from the exact posterior (nats)",
        ),
        (
            axes[1, 1],
            "between_models_tv",
            "does it matter who collected? on uniform histories",
            "total variation between two models",
        ),
    ):
        figures.draw_curves(
            ax, arrays, panel, title=title, xlabel="transitions known", ylabel=ylabel
        )
        ax.set_ylim(bottom=0)
    return drawn


EXPERIMENT = Experiment(
    name="posterior_sampling_equivalence",
    question="Is a DPT a posterior sampler, whoever collected its data?",
    presets={
        "smoke": Config(
            horizon=10,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_tasks=50,
            num_contexts=50,
        ),
        "cpu": Config(
            seeds=(0, 1),
            horizon=50,
            tokenizer="query_first",
            model=TransformerConfig(num_layers=2),
            training=cosine_training(5000, 1e-2, micro_batch=16),
            num_contexts=1000,
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            horizon=500,
            tokenizer="query_first",
            model=TransformerConfig(),
            training=cosine_training(
                375_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_tasks=20_000,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "15 min on 2 cores",
        "paper": "hours on one GPU (12 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
