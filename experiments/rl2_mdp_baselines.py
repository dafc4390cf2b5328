"""Do our tabular baselines reproduce RL²'s table of random MDPs?

RL² is judged on 1000 random MDPs against PSRL, its optimistic form, UCRL2, BEB and
greedy play, by the total reward of 10 to 100 episodes. Here every one of them plays,
with the reward prior that RL² gave them (mean 0) and, where they have a prior, with the
one that the MDPs are drawn from (mean 1). The table repeats our own re-simulations
beside the published values: `resimulated`, and its standard error.

Returns are exact expectations: n V* less the gaps of all actions taken, which has the
mean of the rewards and less noise. Shorter trajectories are the beginnings of one of
100 episodes.

Source: Duan et al. 2016, arXiv 1611.02779, Table 2, which tunes one number a cell where
we fix it; its baselines are Osband's TabulaRL: ties broken at random, the transition of
an episode's last step not learnt from.
Command: icrl run rl2_mdp_baselines cpu
Cost: about 3 minutes on 2 cores (cpu, 1000 MDPs).
Expect (cpu): every re-simulated value within 1.2 standard errors of the difference; the
baselines without a prior, or with one of mean 0, near the published values, those of
one fixed number a little below (UCRL2 1403 after 75 episodes, published 1428). With the
true prior, BEB earns 2004 in 100 episodes, RL² 1914. What was re-simulated under the
name of posterior-mean greedy is `beb_rewards_only`: BEB without its bonus for
transitions, which still adds 1 / (τ + 1) to a mean reward of precision τ. Without that
too, `posterior_mean_greedy` earns 1883, and RL² beats it from 25 episodes on.
"""

import dataclasses
import functools
from typing import Any

from icrl import cli, published, study
from icrl.config import ExperimentConfig
from icrl.panels import Drawing, Rows

FAMILY = "RandomMDP-RL2-v0"
EPISODES = (10, 25, 50, 75, 100)
ENTRIES = ("published", "resimulated", "resimulated_error")  # of published.csv
BASELINES = (  # with what RL² gave them
    "uniform",
    "psrl_mu0",
    "optimistic_psrl_mu0",
    "ucrl2",
    "beb_mu0",
    "epsilon_greedy_mle",
    "mle_greedy",
)
INFORMED = (  # with the prior of the MDPs
    "psrl",
    "optimistic_psrl",
    "beb",
    "beb_rewards_only",
    "ucb_vi",
    "posterior_mean_greedy",
)
PANEL_TITLES = {
    "RL²'s baselines: a reward prior of mean 0, or none": BASELINES,
    "with the prior of the MDPs, mean 1": INFORMED,
}


def _draw_shares(ax, summary, arrays, *, agents) -> None:
    """Total reward over that of the optimal policy, and published values."""
    from icrl.drawing import figures
    from icrl.drawing.styles import STYLE

    played = figures.panel_agents(arrays, "share")
    optimum = {
        n: figures.find_row(summary, "online", "optimal", f"return_{n}")["mean"]
        for n in EPISODES
        if n <= len(arrays["share/steps"])
    }
    marks = {
        agent: {n: total / optimum[n] for n, total in totals.items() if n in optimum}
        for agent, totals in published.values(__file__, "online").items()
    }
    style = {"marker": "D", "markerfacecolor": "none", "markersize": 5}
    points = marks["rl2"]
    style |= {**STYLE["rl2"], "label": "RL² (published)"}
    ax.plot(list(points), list(points.values()), **style)
    figures.draw_curves(
        ax,
        arrays,
        "share",
        title="",
        xlabel="episodes",
        ylabel="total reward over that of the optimal policy",
        marks={agent: marks[agent] for agent in agents if agent in marks},
        agents=[agent for agent in agents if agent in played],
    )
    ax.set_ylim(0.44, 0.95)


PANELS = [
    *(
        Drawing(
            name="share",
            title=title,
            function=functools.partial(_draw_shares, agents=agents),
        )
        for title, agents in PANEL_TITLES.items()
    ),
    Rows(name="online"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    num_tasks: int = 1000  # MDPs that every agent plays
    num_episodes: int = 100  # in each MDP
    num_samples: int = 8  # MDPs that optimistic PSRL draws
    agents: tuple[str, ...] = BASELINES + INFORMED  # beside the optimum
    tasks_at_once: int = 250  # speed only

    def __post_init__(self):
        super().__post_init__()
        unknown = set(self.agents) - {*BASELINES, *INFORMED}
        if unknown:
            raise ValueError(
                f"agents must be among {', '.join(BASELINES + INFORMED)}, "
                f"got {', '.join(sorted(unknown))}"
            )


def make_agents(family, num_samples: int):
    """Every agent of the table, by name, with the numbers of the re-simulation."""
    from icrl import algorithms
    from icrl.algorithms.posteriors.mdp_posterior import MDPPrior, true_prior

    rules = {"last_transition": False, "random_ties": True}
    zero = {"prior": MDPPrior(reward_mean=0.0), **rules}
    true = {"prior": true_prior(family), **rules}
    psrl, beb = algorithms.psrl, algorithms.beb
    optimistic = functools.partial(
        algorithms.optimistic_psrl, family, num_samples=num_samples
    )
    return {
        "uniform": algorithms.uniform(family),
        "psrl_mu0": psrl(family, **zero),
        "optimistic_psrl_mu0": optimistic(**zero),
        "ucrl2": algorithms.ucrl2(family, scale=0.1, **rules),
        "beb_mu0": beb(family, scale=1e-3, **zero),
        "epsilon_greedy_mle": algorithms.mle_greedy(family, epsilon=0.1, **rules),
        "mle_greedy": algorithms.mle_greedy(family, **rules),
        "psrl": psrl(family, **true),
        "optimistic_psrl": optimistic(**true),
        "beb": beb(family, scale=3e-4, **true),
        "beb_rewards_only": beb(family, scale=0.0, **true),
        "ucb_vi": algorithms.ucb_vi_posterior(family, scale=0.1, **true),
        "posterior_mean_greedy": algorithms.posterior_mean_greedy(family, **true),
    }


def run(run, config: Config):
    """Everybody plays the same MDPs."""
    import envs
    from icrl import algorithms
    from icrl.evaluation.returns import expected_totals

    del run
    family = envs.family(FAMILY)
    made = make_agents(family, config.num_samples)
    agents = {"optimal": algorithms.optimal}
    agents |= {name: made[name] for name in config.agents}
    test = study.Evaluation(config, family.split().test)
    returns = expected_totals(
        test.key,
        test.tasks,
        agents,
        num_tasks=config.num_tasks,
        num_episodes=config.num_episodes,
        tasks_at_once=config.tasks_at_once,
    )
    return {"online": _rows(returns), "share": _shares(returns)}


def _rows(returns):
    """Rows of every agent: its total reward after so many episodes."""
    from icrl.evaluation.numbers import Numbers, add_row

    numbers = Numbers(finals={"online/tasks_hash": returns.tasks_hash})
    tables = {entry: published.values(__file__, "online", entry) for entry in ENTRIES}
    for agent, table in returns.items():
        for n in EPISODES:
            if n <= table.shape[-1]:
                known: Any = {e: tables[e].get(agent, {}).get(n) for e in ENTRIES}
                totals, metric = table[..., n - 1], f"return_{n}"
                add_row(numbers, "online", agent, metric, totals, returns, **known)
    return numbers


def _shares(returns):
    """Total reward over that of the optimal policy on the same MDPs.

    The mean of the optimum is the unit of all agents, and taken without error.
    """
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_curve

    best = returns["optimal"]
    numbers = Numbers(arrays={"share/steps": np.arange(1, best.shape[-1] + 1)})
    unit = best.mean(1, keepdims=True)
    for agent, table in returns.items():
        add_curve(numbers, f"share/{agent}", 1 - (best - table) / unit)
    return numbers


CPU = Config().takes("3 min on 2 cores")
PAPER = Config(num_tasks=20_000, tasks_at_once=1000).takes("20 min on one GPU")
SMOKE = {"num_tasks": 20, "num_episodes": 10, "agents": ("psrl_mu0", "beb")}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, paper=PAPER, smoke=SMOKE, figure_name="returns"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
