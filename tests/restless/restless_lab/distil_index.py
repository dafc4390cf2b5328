"""Does a transformer that watches an index policy learn to come back in turn?

Channels change by themselves, so that what was seen of one grows old. The index policy
stays where it is paid and leaves what failed for the channel that it has not seen for
longest: no channel that failed is chosen again before all others have failed. It needs
only p11 > p01 for that, not their values. Bandit algorithms, for which arms stand
still, come back too early.

Source: Liu and Zhao 2010, arXiv 0810.4658 (channels, Whittle's index); Zhao,
Krishnamachari and Liu 2008, arXiv 0712.0035 (the order of the channels).
Command: icrl run distil_index cpu
Cost: about 2 minutes on 2 cores.
Expect (cpu): a return of 42.9 in 60 steps, as the index policy (the paired difference
lies between -0.02 and 0.01); UCB has 38.1, uniform play 29.8. In the 4 steps after a
channel failed, the model chooses it 0.002 times, the index policy never, UCB once,
uniform play 0.8 times.
"""

import dataclasses

from icrl import cli, study
from icrl.config import TransformerConfig, cosine_training
from icrl.panels import Curves, Drawing

INDEX = "largest_belief"
MOST_LAGS = 10  # steps after a failure
THIN = {"linewidth": 1.2, "zorder": 6}  # above the model, which hides what it equals
STYLES = {
    "informed": {"label": "index policy, p known", "color": "#000000", **THIN},
    INDEX: {
        "label": "index policy, p guessed",
        "color": "#56B4E9",
        "linestyle": (0, (3, 3)),
        **THIN,
    },
}


def draw_visits(ax, summary, arrays):
    """Draws how often a channel is chosen again so many steps after it failed."""
    from icrl.drawing import figures

    del summary
    agents = figures.panel_agents(arrays, "visits")
    lags = arrays["visits/lags"]
    for agent, style in figures.styles_of(agents, STYLES).items():
        label = figures.label_of(agent, style)
        drawn = {k: v for k, v in style.items() if k != "label"}
        low, mean, high = (
            arrays[f"visits/{agent}/{part}"] for part in ("low", "mean", "high")
        )
        ax.plot(lags, mean, marker="o", markersize=3, label=label, **drawn)
        ax.fill_between(lags, low, high, color=style["color"], alpha=0.18, linewidth=0)
    number = int(arrays["visits/num_channels"])
    ax.axvline(number, color="0.6", linewidth=1, label="the index policy's soonest")
    ax.set(xlabel="steps after a channel failed", ylabel="share that choose it again")
    ax.set(xticks=lags, ylim=(0, None))
    figures.order_legend(ax)


PANELS = [
    Curves(
        name="online",
        title="return in unseen channels",
        metric="return",
        reference=INDEX,
        styles=STYLES,
        xlabel="steps",
        ylabel="cumulative reward",
        bottom=0.0,
    ),
    Drawing(name="visits", title="who comes back too early?", function=draw_visits),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes."""

    tokenizer: str = "step"
    horizon: int = 60  # steps
    num_tasks: int = 2000


def run(run, config: Config):
    """Distils, plays, scores."""
    from icrl import algorithms
    from icrl.pretraining.methods import algorithm_distillation
    from restless_lab.largest_belief import informed

    recipe = study.make_recipe(config, "Channels-Liu2010-v0")
    family = recipe.make_family()
    index = algorithms.make(INDEX, family)
    data = algorithm_distillation(recipe, index, config.pretraining, behaviour=INDEX)
    ad = study.train(run, data, config.training)
    agents = {
        "ad": ad.agent(),
        "informed": informed,
        INDEX: index,
        "ucb": algorithms.ucb(family),
        "uniform": algorithms.uniform(family),
    }
    test = study.Evaluation(config, family.split().test)
    visits = visits_of(play(test, agents), family.num_channels)
    return {"online": test.online(agents), "visits": visits}


def play(test, agents):
    """Actions and rewards of every agent on the test tasks [seeds, tasks, 2, steps]."""
    import jax.numpy as jnp

    from icrl import evaluation

    def score(agent, model, index):
        _, played = evaluation.play(test.key, test.tasks, agent, model, index)
        return jnp.stack([played.action, played.timestep.reward])

    return evaluation.score_agents(
        test.key, test.tasks, agents, score, test.config.num_tasks, tasks_at_once=500
    )


def visits_of(played, num_channels):
    """How often a channel is chosen again so many steps after it failed, as Numbers.

    The row counts visits before all others can have failed, in num_channels - 1 steps.
    """
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_row
    from icrl.evaluation.statistics import interval

    lags = np.arange(1, min(MOST_LAGS + 1, next(iter(played.values())).shape[-1]))
    numbers = Numbers(
        arrays={"visits/lags": lags, "visits/num_channels": num_channels},
        finals={"visits/tasks_hash": played.tasks_hash},
    )
    for agent, table in played.items():
        actions, rewards = table[:, :, 0], table[:, :, 1]
        shares = [share_again(actions, rewards == 0, lag) for lag in lags]
        shares = np.stack(shares, -1)
        for part, values in interval(shares)._asdict().items():
            numbers.arrays[f"visits/{agent}/{part}"] = values
        early = shares[..., : num_channels - 1].sum(-1)
        add_row(numbers, "visits", agent, "early_visits", early, played)
    return numbers


def share_again(actions, failed, lag):
    """Of the channels that failed, the share chosen again `lag` steps later.

    It is a ratio of sums over tasks, since few tasks may have a failure. A task's value
    [seeds, tasks] is the ratio and what the task adds to it: the delta method.
    """
    failed = failed[..., :-lag]
    again = (failed & (actions[..., lag:] == actions[..., :-lag])).sum(-1)
    number = failed.sum(-1)
    share = again.sum(1, keepdims=True) / number.sum(1, keepdims=True)
    return share + (again - share * number) / number.mean(1, keepdims=True)


CPU = Config(
    model=TransformerConfig(num_layers=2),
    training=cosine_training(1000, 3e-3, checkpoint_every=500),
).takes("2 min on 2 cores")
EXPERIMENT = study.experiment(__name__, run, PANELS, cpu=CPU, figure_name="return")

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
