"""Do agents trained by reward reach the Bayes optimum of RL²'s bandits?

RL² is judged on Bernoulli bandits with uniform means, by the total reward of 10 to 500
pulls of 5 to 50 arms. Here its baselines play all nine cells by the rules of its
authors' code, with a width and an epsilon that did best in a re-simulation; a GTrXL and
a GRU learn by PPO in three of them, from reward alone. At 10 pulls the Bayes optimum is
known exactly (by recursion over all histories), which says how much there is still to
learn.

Source: Duan et al. 2016, arXiv 1611.02779, Table 1, and its authors' launchers: tokens,
discount 0.99, advantages of lambda 0.3. They optimise with TRPO and a GRU of width 256;
"UCB1" has a tuned width, and "OTS" plays the likeliest of some draws of all arms.
Command: icrl run rl2_bandits cpu
Cost: two and a half hours of one core: an hour for the GTrXL at 100 pulls, half an hour
for 50 arms and 500 pulls.
Expect (cpu): at 10 pulls the GTrXL's return is 6.64 and 6.68 of 5 and 10 arms, the
GRU's 6.65 and 6.70 (exact optima 6.66 and 6.71; Gittins 6.62 and 6.67 in fewer
bandits). At 100 pulls of 5 arms, one training seed: 77.3 and 77.0 (Gittins 78.5, UCB
78.2, Thompson 74.9); the GTrXL passes 74 after 150 of its 800 steps. All 70 numbers of
algorithms lie within 3 √2 standard errors of a re-simulation by the authors' rules.
"""

import dataclasses
import functools
from typing import Any

from icrl import cli, gtrxl, published, study
from icrl.config import ExperimentConfig, TransformerConfig
from icrl.online_config import PpoConfig
from icrl.panels import Drawing, Rows

FAMILY = "BernoulliBandit-DPT-v0"
Cell = tuple[int, int]  # pulls, arms
CELLS: tuple[Cell, ...] = tuple((n, k) for n in (10, 100, 500) for k in (5, 10, 50))
# Width of UCB and epsilon: what did best in a re-simulation of 4,000 instances. Draws:
# our choice among the 1 to 20 that the authors try, not yet tuned for each cell.
TUNED: dict[Cell, tuple[float, float, int]] = {
    (10, 5): (0.1, 0.0, 20),
    (10, 10): (0.2, 0.0, 20),
    (10, 50): (0.1, 0.0, 20),
    (100, 5): (0.2, 0.0, 20),
    (100, 10): (0.2, 0.0, 20),
    (100, 50): (0.2, 0.0, 20),
    (500, 5): (0.3, 0.1, 10),
    (500, 10): (0.2, 0.1, 10),
    (500, 50): (0.2, 0.1, 10),
}
# Of the agent that plays every history best, under the uniform prior.
BAYES_OPTIMAL: dict[Cell, float] = {(10, 5): 6.6600, (10, 10): 6.7140, (10, 50): 6.7140}
ENTRIES = ("published", "resimulated", "resimulated_error")  # of published.csv
SHOWN = ("gtrxl", "gru", "gittins", "whittle", "ucb", "optimistic_thompson_sampling")
SHOWN += ("thompson_sampling", "epsilon_greedy", "posterior_mean")


def panel_of(cell: Cell) -> str:
    """The name of a cell's panel."""
    return "n{}_k{}".format(*cell)


def _draw_cells(ax, summary, arrays) -> None:
    """How far each agent comes from uniform play to the Gittins index."""
    from icrl.drawing.cells import draw_cells

    cells = [tuple(cell) for cell in arrays["cells/cells"].tolist()]
    draw_cells(
        ax,
        summary,
        SHOWN,
        panels={panel_of(cell): "{} pulls,\n{} arms".format(*cell) for cell in cells},
        low="uniform",
        high="gittins",
        ylabel="return (uniform play 0, Gittins index 1)",
    )


PANELS = [
    Drawing(
        name="cells",
        title="from uniform play to the Gittins index, in RL²'s nine cells",
        function=_draw_cells,
    ),
    *(Rows(name=panel_of(cell)) for cell in CELLS),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    cells: tuple[Cell, ...] = CELLS  # pulls and arms, pulls and arms, ...
    learned_cells: tuple[Cell, ...] = ((10, 5), (10, 10), (100, 5))  # likewise
    num_tasks: int = 4000  # bandits that each algorithm plays
    num_trials: int = 40_000  # bandits that each learned agent plays
    num_long_seeds: int = 1  # that are trained at more than 10 pulls, the first ones
    gtrxl: TransformerConfig  # of one agent; its memory is a trial
    gru: TransformerConfig  # of the other
    training: PpoConfig  # at 10 pulls
    long_training: PpoConfig  # of the GTrXL at more
    long_gru_training: PpoConfig  # of the GRU there, which learns best in larger steps

    def __post_init__(self):
        super().__post_init__()
        if self.num_long_seeds < 1:
            rule = "num_long_seeds must be at least 1"
            raise ValueError(f"{rule}, got {self.num_long_seeds}")
        unknown = sorted(set(self.cells) - set(CELLS))
        if unknown or not self.cells:
            raise ValueError(f"cells must be of {CELLS}, got {unknown or self.cells}")
        apart = sorted(set(self.learned_cells) - set(self.cells))
        if apart:
            raise ValueError(f"learned_cells must be of cells, got {apart}")


def run(run, config: Config):
    """Trains where agents are to be learned, and plays every cell."""
    learned = {cell: _learned(run, config, cell) for cell in config.learned_cells}
    play = functools.partial(_play, config)
    panels = {
        panel_of(cell): functools.partial(play, cell, learned.get(cell, {}))
        for cell in config.cells
    }
    return {**panels, "cells": _index(config)}


def _play(config: Config, cell: Cell, learned: dict[str, Any]):
    """Rows of one cell."""
    import envs

    family = envs.family(FAMILY, **_changes(cell))
    test = study.Evaluation(config, family.split().test)
    scores = [test.returns(_algorithms(family, cell))]
    if learned:
        scores.append(test.returns(learned, num_tasks=config.num_trials))
    return _rows(cell, scores)


def _changes(cell: Cell) -> dict[str, int]:
    """A cell's changes of the family."""
    pulls, arms = cell
    return {"num_arms": arms, "horizon": pulls}


def _algorithms(family, cell: Cell) -> dict[str, Any]:
    """RL²'s baselines by its authors' rules, and what approximates Gittins there."""
    from icrl import algorithms

    width, epsilon, draws = TUNED[cell]
    make = functools.partial(algorithms.make, family=family)
    return {
        "uniform": make("uniform"),
        "thompson_sampling": make("thompson_sampling"),
        "optimistic_thompson_sampling": make(
            "optimistic_thompson_sampling", rule="likeliest", num_draws=draws
        ),
        "optimistic_thompson_sampling_may": make("optimistic_thompson_sampling"),
        "ucb": make("ucb", form="rl2", width=width),
        "epsilon_greedy": make("epsilon_greedy", epsilon=epsilon, shrunken=True),
        "posterior_mean": make("posterior_mean"),
        "gittins": make("gittins"),
        "whittle": make("whittle"),
    }


def _learned(run, config: Config, cell: Cell) -> dict[str, Any]:
    """Agents that PPO trains in one cell."""
    from icrl.agents import Recipe

    each = {
        "gtrxl": (config.gtrxl, config.long_training),
        "gru": (config.gru, config.long_gru_training),
    }
    seeds, agents = run.config.seeds, {}
    if cell[0] > 10:
        seeds = seeds[: config.num_long_seeds]
    for name, (model, long_training) in each.items():
        training = config.training if cell[0] <= 10 else long_training
        recipe = Recipe(
            family=FAMILY,
            changes=_changes(cell),
            tokenizer="rl2",
            model=dataclasses.replace(model, memory=cell[0]),
        )
        place = f"{name}_{panel_of(cell)}"
        trained = study.train_online(run, recipe, training, name=place, seeds=seeds)
        agents[name] = trained.agent()
    return agents


def _rows(cell: Cell, scores):
    """Rows of every agent's total reward."""
    from icrl.evaluation.numbers import Numbers, add_row

    panel, numbers = panel_of(cell), Numbers()
    hashes = " ".join(table.tasks_hash for table in scores)
    numbers.finals[f"{panel}/tasks_hash"] = hashes
    tables = {entry: published.values(__file__, panel, entry) for entry in ENTRIES}
    for table in scores:
        for agent, totals in table.items():
            known: Any = {e: tables[e].get(agent, {}).get(cell[0]) for e in ENTRIES}
            known["exact"] = BAYES_OPTIMAL.get(cell) if agent in table.learned else None
            add_row(numbers, panel, agent, "return", totals[..., 0], table, **known)
    return numbers


def _index(config: Config):
    """Which cells there are, for the figure."""
    import numpy as np

    from icrl.evaluation.numbers import Numbers

    return Numbers(arrays={"cells/cells": np.array(config.cells)})


CPU = Config(
    seeds=(0, 1, 2),
    gtrxl=gtrxl.GTRXL,
    gru=gtrxl.GRU,
    training=PpoConfig(num_steps=600, batch_size=512, schedule="linear"),
    long_training=PpoConfig(num_steps=800, batch_size=256, schedule="linear"),
    long_gru_training=PpoConfig(
        num_steps=800, batch_size=256, learning_rate=3e-3, schedule="linear"
    ),
).takes("150 min of one core")
PAPER_LONG = PpoConfig(
    num_steps=2000, batch_size=2560, num_minibatches=20, schedule="linear"
)
PAPER = Config(
    seeds=(0, 1, 2),
    num_tasks=20_000,
    learned_cells=CELLS,
    gtrxl=dataclasses.replace(gtrxl.GTRXL, width=256, num_heads=8),
    gru=dataclasses.replace(gtrxl.GRU, width=256),
    # 250,000 steps of the environment a batch, and minibatches of 128 trials, as theirs
    training=PpoConfig(
        num_steps=1000, batch_size=25_600, num_minibatches=200, schedule="linear"
    ),
    long_training=PAPER_LONG,
    long_gru_training=PAPER_LONG,
).takes("days on one GPU (23 billion steps of the environment)")
SMOKE = {
    "cells": ((10, 5),),
    "learned_cells": ((10, 5),),
    "num_trials": 50,
    "gtrxl": gtrxl.SMOKE_GTRXL,
    "gru": dataclasses.replace(gtrxl.GRU, width=8),
}
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU,
    paper=PAPER,
    smoke=SMOKE,
    columns=1,
    size=(11.0, 4.6),
    figure_name="returns",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
