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

from icrl import cli, study
from icrl.config import ExperimentConfig
from icrl.panels import Drawing, Rows

FAMILY = "RandomMDP-RL2-v0"
EPISODES = (10, 25, 50, 75, 100)
RL2 = (156.2, 445.7, 936.1, 1428.8, 1913.7)
PUBLISHED = {  # total reward after EPISODES
    "uniform": (100.1, 250.2, 499.7, 749.9, 999.4),
    "psrl_mu0": (138.1, 408.8, 904.4, 1417.1, 1939.5),
    "optimistic_psrl_mu0": (144.1, 425.2, 930.7, 1449.2, 1973.9),
    "ucrl2": (146.6, 424.1, 918.9, 1427.6, 1942.1),
    "beb_mu0": (150.2, 427.8, 917.8, 1422.6, 1935.1),
    "epsilon_greedy_mle": (132.8, 377.3, 823.3, 1293.9, 1778.2),
    "mle_greedy": (134.8, 368.8, 769.3, 1172.9, 1578.5),
}
RESIMULATED = {  # by programs of ours that share nothing with this one
    "optimal": (218.4, 546.0, 1092.0, 1638.0, 2184.1),
    "psrl_mu0": (138.4, 408.3, 901.0, 1414.8, 1938.2),
    "psrl": (133.6, 403.9, 903.3, 1420.2, 1938.2),
    "optimistic_psrl_mu0": (142.2, 420.6, 923.1, 1442.4),
    "optimistic_psrl": (135.1, 409.9, 910.9, 1426.3),
    "ucrl2": (145.8, 416.5, 901.1, 1400.3),
    "beb_mu0": (149.8, 422.4, 907.7, 1408.0),
    "beb": (156.7, 450.4, 962.0, 1481.7, 2000.7),
    "beb_rewards_only": (156.9, 449.0, 954.3, 1464.7, 1971.4),
    "ucb_vi": (156.0, 443.5, 945.0, 1455.4, 1967.9),
    "mle_greedy": (135.0, 370.0, 771.3, 1174.9),
    "epsilon_greedy_mle": (133.9, 379.3, 825.9, 1297.4),
}
RESIMULATED_ERROR = (0.6, 1.3, 2.6, 3.8, 7.0)  # standard error, of every agent
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


def _draw_shares(agents):
    """Total reward over that of the optimal policy, and published values."""

    def draw(ax, summary, arrays) -> None:
        from icrl.drawing import figures
        from icrl.drawing.styles import STYLE

        played = figures.panel_agents(arrays, "share")
        optimum = {
            n: figures.find_row(summary, "online", "optimal", f"return_{n}")["mean"]
            for n in EPISODES
            if n <= len(arrays["share/steps"])
        }

        def marks(values):
            pairs = zip(EPISODES, values, strict=True)
            return {n: value / optimum[n] for n, value in pairs if n in optimum}

        style = {"marker": "D", "markerfacecolor": "none", "markersize": 5}
        points = marks(RL2)
        ax.plot(
            list(points),
            list(points.values()),
            **style,
            **STYLE["rl2"],
            label="RL² (published)",
        )
        figures.draw_curves(
            ax,
            arrays,
            "share",
            title="",
            xlabel="episodes",
            ylabel="total reward over that of the optimal policy",
            marks={a: marks(PUBLISHED[a]) for a in agents if a in PUBLISHED},
            agents=[agent for agent in agents if agent in played],
        )
        ax.set_ylim(0.44, 0.95)

    return draw


PANELS = [
    *(
        Drawing(name="share", title=title, function=_draw_shares(agents))
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
    from icrl.algorithms.mdp.beb import beb, ucb_vi_posterior
    from icrl.algorithms.mdp.posterior_mean_greedy import (
        mle_greedy,
        posterior_mean_greedy,
    )
    from icrl.algorithms.mdp.psrl import optimistic_psrl, psrl
    from icrl.algorithms.mdp.ucrl2 import ucrl2
    from icrl.algorithms.posteriors.mdp_posterior import MDPPrior, true_prior
    from icrl.algorithms.uniform import uniform

    rules = {"last_transition": False, "random_ties": True}
    zero = {"prior": MDPPrior(reward_mean=0.0), **rules}
    true = {"prior": true_prior(family), **rules}
    return {
        "uniform": uniform(family),
        "psrl_mu0": psrl(family, **zero),
        "optimistic_psrl_mu0": optimistic_psrl(family, num_samples=num_samples, **zero),
        "ucrl2": ucrl2(family, scale=0.1, **rules),
        "beb_mu0": beb(family, scale=1e-3, **zero),
        "epsilon_greedy_mle": mle_greedy(family, epsilon=0.1, **rules),
        "mle_greedy": mle_greedy(family, **rules),
        "psrl": psrl(family, **true),
        "optimistic_psrl": optimistic_psrl(family, num_samples=num_samples, **true),
        "beb": beb(family, scale=3e-4, **true),
        "beb_rewards_only": beb(family, scale=0.0, **true),
        "ucb_vi": ucb_vi_posterior(family, scale=0.1, **true),
        "posterior_mean_greedy": posterior_mean_greedy(family, **true),
    }


def run(run, config: Config):
    """Everybody plays the same MDPs."""
    import envs
    from icrl import algorithms

    del run
    family = envs.family(FAMILY)
    made = make_agents(family, config.num_samples)
    agents = {"optimal": algorithms.optimal}
    agents |= {name: made[name] for name in config.agents}
    returns = expected_returns(config, family, agents)
    return {"online": _rows(returns), "share": _shares(returns)}


def expected_returns(config: Config, family, agents):
    """Total reward [1, MDPs, episodes] of each so far, in expectation over the noise.

    The gaps of the actions of an episode sum, in expectation, to V* less its return,
    whatever was learnt before it (the performance difference lemma).
    """
    import jax.numpy as jnp

    from envs.tabular_mdp import TabularMDP
    from icrl import evaluation
    from icrl.keys import evaluation_key

    key, test = evaluation_key(config.root_seed), family.split().test
    number = config.num_episodes

    def score(agent, model, index, seed):
        task, played = evaluation.play(
            key, test, agent, model, index, seed, num_episodes=number
        )
        assert isinstance(task, TabularMDP)
        assert played.gap is not None  # for type checkers
        gaps = played.gap.reshape(number, family.horizon).sum(-1)
        return jnp.cumsum(task.optimal_return - gaps)

    return evaluation.score_agents(
        key, test, agents, score, config.num_tasks, config.tasks_at_once
    )


def _rows(returns):
    """Rows of every agent: its total reward after so many episodes."""
    from icrl.evaluation.numbers import Numbers, add_row

    numbers = Numbers(finals={"online/tasks_hash": returns.tasks_hash})
    for agent, table in returns.items():
        for place, episodes in enumerate(EPISODES):
            if episodes > table.shape[-1]:
                break
            resimulated = dict(enumerate(RESIMULATED.get(agent, ()))).get(place)
            add_row(
                numbers,
                "online",
                agent,
                f"return_{episodes}",
                table[..., episodes - 1],
                returns,
                published=PUBLISHED[agent][place] if agent in PUBLISHED else None,
                resimulated=resimulated,
                resimulated_error=resimulated and RESIMULATED_ERROR[place],
            )
    return numbers


def _shares(returns):
    """Total reward over that of the optimal policy on the same MDPs.

    The mean of the optimum is the unit of all agents, and taken without error.
    """
    import numpy as np

    from icrl.evaluation.numbers import Numbers
    from icrl.evaluation.statistics import interval

    best = returns["optimal"]
    arrays = {"share/steps": np.arange(1, best.shape[-1] + 1)}
    unit = best.mean(1, keepdims=True)
    for agent, table in returns.items():
        for part, values in interval(1 - (best - table) / unit)._asdict().items():
            arrays[f"share/{agent}/{part}"] = values.astype(np.float32)
    return Numbers(arrays=arrays)


CPU = study.Preset("3 min on 2 cores", Config())
PAPER = study.Preset("20 min on one GPU", Config(num_tasks=20_000, tasks_at_once=1000))
SMOKE = study.smoke(CPU, num_tasks=20, num_episodes=10, agents=("psrl_mu0", "beb"))
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    {"smoke": SMOKE, "cpu": CPU, "paper": PAPER},
    figure_name="returns",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
