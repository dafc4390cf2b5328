"""Does DPT put two demonstrations together, or is one of them enough?

In one room, demonstration A goes right along the lowest row and B goes up a column to
the goal. From where A began to where B ended, DPT of the paper goes right and then
turns up, which no demonstration shows. Here it is given both demonstrations, A alone or
B alone, in two settings.

With known moves B alone shows the goal, and with the goal known A is not needed: there
is nothing to stitch. (Labels go along x first, so that the way in the picture, right
and then up, is also that of a DPT which has seen B alone.) With hidden moves actions
mean the five moves in a hidden order: A alone shows which of them is right, and B alone
which are up and stay, and where the goal is. Only both together lead to the optimum,
and this is stitching.

Tasks are held-out ones whose goal lies neither in the lowest row nor in the first
column, so that both moves are needed. Behaviour cloning follows A, turns up in B's
column with even odds, and is blind beyond the data.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 5a (Dark Room, three tasks), a picture
without code or numbers. As in `dpt_dark_room`, every token has a query state, and the
label is the exact posterior's probability of each action to be the best. It depends on
what the demonstrations show, not on which policy would have given them.
Command: icrl run dpt_stitching cpu
Cost: 14 minutes on 2 cores (cpu, 2 models of 1 training seed).
Expect (cpu): with known moves DPT is at the optimum, 20.7, after both demonstrations
and after B alone just as well, so the picture shows no stitching. With hidden moves it
earns 16.6 of 21.0 after both, 6.3 after B alone (exact posterior 6.4) and nothing after
A alone: it does stitch, if not perfectly. Cloning earns 10.7, 5.4 and 0.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from icrl import cli, study
from icrl.config import (
    POSTERIOR_OF_REWARDS,
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
    long_training,
)
from icrl.panels import REFERENCE as EXACT
from icrl.panels import Bars, Curves, Drawing

SIZE, HORIZON = 10, 30  # cells of a side, steps
SETTINGS: Mapping[str, tuple[str, dict[str, Any]]] = {  # family, changes to it
    "known_moves": ("DarkRoom-DPT-v0", {"horizon": HORIZON}),
    "hidden_moves": ("DarkRoomThreeTasks-DPT-v0", {}),
}
DATA = {"both": "both", "along": "A alone", "up": "B alone"}  # and their labels
PICTURED_GOAL = (4, 7)  # the paper's picture, about; held out


def _draw_ways(ax, summary, arrays) -> None:
    """The room of the picture, the demonstrations and DPT's way."""
    del summary
    from icrl.drawing.styles import STYLE
    from icrl.drawing.walks import Walk, draw_walks

    walks = [
        Walk("ways/along", "A, along", "#999999", -0.18),
        Walk("ways/up", "B, up", "#555555", -0.18),
        Walk("ways/dpt", "DPT, argmax", STYLE["dpt"]["color"], 0.18),
    ]
    draw_walks(ax, arrays, walks, size=SIZE, goal=PICTURED_GOAL)


def _draw_optimum(ax, summary, arrays, *, setting: str) -> None:
    """A line at the return of the optimal policy."""
    from icrl.drawing.figures import find_row

    del arrays
    best = find_row(summary, f"{setting}_both", "optimal", "return")["mean"]
    ax.axhline(best, color="black", linestyle=":", linewidth=1.2)
    ax.annotate(f"optimum {best:.1f}", (1, best + 0.3), ha="center", fontsize=8)
    ax.set_xlabel("data (A goes right, B goes up to the goal)")


PANELS = [
    Drawing(
        name="ways",
        title="known moves, both (5a); the goal is green",
        function=_draw_ways,
    ),
    *(
        Bars(
            title=title,
            groups={f"{setting}_{data}": label for data, label in DATA.items()},
            metric="return",
            agents=["dpt", "dpt_argmax", EXACT, "behaviour_cloning"],
            ylabel="return of an episode",
            after=functools.partial(_draw_optimum, setting=setting),
        )
        for setting, title in (
            ("known_moves", "known moves: B alone says it all"),
            ("hidden_moves", "hidden moves: stitching"),
        )
    ),
    *(
        Curves(name=f"{setting}_{data}", metric="return")
        for setting in SETTINGS
        for data in DATA
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment; `training` is that of each of the two models."""

    pretraining: DecisionPretrainingConfig = POSTERIOR_OF_REWARDS
    demonstrated_share: float = 0.75  # of the training contexts; the rest is random
    num_datasets: int = 360  # a panel: one a held-out task, in turn


def run(run, config: Config):
    """Trains a model for each setting, and plays it after each of the data sets."""
    from icrl import algorithms
    from icrl.evaluation.numbers import Numbers
    from icrl.evaluation.walks import walks
    from icrl.keys import evaluation_key
    from icrl.pretraining.demonstrations import along_and_up, goals_off_the_walls

    chosen = {setting: _choices(config, setting) for setting in SETTINGS}
    pretrainings = {setting: choice[0] for setting, choice in chosen.items()}
    trained, scores = study.train_each(run, pretrainings, config.training), {}
    for setting, dpt in trained.items():
        family = dpt.pretraining.recipe.make_family()
        agents = {
            **dpt.agents("dpt"),
            EXACT: chosen[setting][1],
            "behaviour_cloning": algorithms.behaviour_cloning(family),
            "optimal": algorithms.optimal,
            "uniform": algorithms.uniform(family),
        }
        test = study.Evaluation(config, goals_off_the_walls(family.split().test))
        demonstrations = along_and_up(SIZE, row=0)
        for data, collect in demonstrations.items():
            scores[f"{setting}_{data}"] = test.returns_given(collect, agents)
        if setting == "known_moves":
            room, walker = family.task(PICTURED_GOAL), agents["dpt_argmax"]
            ways = walks(evaluation_key(0), room, demonstrations, "dpt", walker)
            arrays = {f"ways/{name}": way for name, way in ways.items()}
            scores["ways"] = Numbers(arrays=arrays)
    return scores


def _choices(config: Config, setting: str):
    """A setting's pretraining, and the exact posterior that is played."""
    from icrl import algorithms
    from icrl.pretraining import collection, demonstrations, methods

    name, changes = SETTINGS[setting]
    recipe = study.make_recipe(
        config,
        name,
        changes=changes,
        num_episodes=2,
        tokenizer="query_each",
        agent="query_table",
    )
    family = recipe.make_family()
    posterior = {
        "known_moves": algorithms.exact_goal_posterior,
        "hidden_moves": algorithms.exact_permutation_posterior,
    }[setting]
    share = config.demonstrated_share
    both = demonstrations.along_and_up(SIZE)["both"]
    pairs = collection.independent_pairs(family, 2 * HORIZON)
    pretraining = methods.state_query_pretraining(
        recipe,
        config.pretraining,
        collection.either(both, pairs, share),
        behaviour=f"demonstrations ({share}), independent_pairs",
        posterior=posterior(family),
        visited=0.5,
    )
    return pretraining, posterior(family, in_episode=False)


CPU = Config(
    model=TransformerConfig(width=64, num_layers=3),
    training=cosine_training(3000, 3e-3, micro_batch=8),
).takes("14 min on 2 cores")
PAPER = Config(
    seeds=(0, 1, 2),
    model=TransformerConfig(width=128),
    training=long_training(100_000),
    num_datasets=1800,
).takes("hours on one GPU (0.8 billion tokens a seed)")
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU,
    paper=PAPER,
    smoke={"num_datasets": 20},
    columns=3,
    size=(5.4, 4.0),
    figure_name="return",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
