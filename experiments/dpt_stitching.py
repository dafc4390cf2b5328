"""Does DPT put two demonstrations together, or does one of them say it all?

In one room, demonstration A goes right along the lowest row and B goes up a column to
the goal. Asked to go from where A began to where B ended, DPT of the paper goes right
and then turns up, which nobody has shown. Here it is given both demonstrations, A alone
or B alone, in two settings.

With known moves B alone shows the goal, and whoever knows where it is needs no A: there
is nothing to stitch. (Labels go along x first, so that the way in the picture, right
and then up, is also that of a DPT which has seen B alone.) With hidden moves actions
mean the five moves in a hidden order: A alone shows which of them is right, and B alone
which are up and stay, and where the goal is. Only both together lead to the optimum,
and this is stitching.

Tasks are held-out ones whose goal lies neither in the lowest row nor in the first
column, so that both moves are needed. Behaviour cloning follows A, turns up in B's
column with even odds, and is blind beyond the data.

Source: Lee et al. 2023, arXiv 2306.14892, Figure 5a (Dark Room, three tasks), a picture
without code or numbers. As in `dpt_dark_room`, every token asks about a state, and the
exact posterior's law of the best action is the label. It judges demonstrations by what
they show, not by who would have given them.
Command: icrl run dpt_stitching cpu
Cost: 14 minutes on 2 cores (cpu, 2 models of 1 training seed).
Expect (cpu): with known moves DPT is at the optimum, 20.7, after both demonstrations
and after B alone just as well, so the picture shows no stitching. With hidden moves it
earns 16.6 of 21.0 after both, 6.3 after B alone (exact posterior 6.4) and nothing after
A alone: it does stitch, if not perfectly. Cloning earns 10.7, 5.4 and 0.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

SIZE, HORIZON = 10, 30  # cells of a side, steps
SETTINGS: Mapping[str, tuple[str, dict[str, Any]]] = {  # family, changes to it
    "known_moves": ("DarkRoom-DPT-v0", {"horizon": HORIZON}),
    "hidden_moves": ("DarkRoomThreeTasks-DPT-v0", {}),
}
DATA = {"both": "both", "along": "A alone", "up": "B alone"}  # and their labels
RIGHT, UP, STAY = 0, 2, 4  # moves
PICTURED_GOAL = (4, 7)  # the paper's picture, about; held out
EXACT = "exact_posterior_sampling"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig  # of each of the two models
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    demonstrated_share: float = 0.75  # of the training contexts; the rest is random
    num_datasets: int = 360  # a panel: one a held-out task, in turn


def run(run, config: Config) -> None:
    """Trains a model for each setting, and plays it after each of the data sets."""
    from icrl import evaluation
    from icrl.evaluation import panels
    from icrl.pretraining import dataset
    from icrl.training import train_models

    parts, tokens = [], 0
    chosen = {setting: _choices(config, setting) for setting in SETTINGS}
    dataset.check(*(pretraining for _, pretraining, _ in chosen.values()))
    for setting, (recipe, pretraining, exact) in chosen.items():
        trained = train_models(run, recipe, pretraining, config.training, name=setting)
        tokens += trained.train_tokens
        dpt, argmax = (
            evaluation.trained(
                trained.models, pretraining.tokenizer, agent=recipe.agent, greedy=greedy
            )
            for greedy in (False, True)
        )
        learnt = {"dpt": dpt, "dpt_argmax": argmax}
        family, num_seeds = recipe.make_family(), len(trained.seeds)
        parts += _panels(config, setting, family, learnt, exact, num_seeds)
        if setting == "known_moves":
            parts.append(([], _ways(family, argmax)))
    run.finish(*panels.join(parts), train_tokens=tokens)


def _choices(config: Config, setting: str):
    """A setting's recipe and pretraining, and the exact posterior that is played."""
    from icrl import algorithms
    from icrl.agents import Recipe
    from icrl.pretraining import methods
    from icrl.pretraining.collection import either, independent_pairs

    name, changes = SETTINGS[setting]
    recipe = Recipe(
        family=name,
        changes=changes,
        num_episodes=2,
        tokenizer="query_each",
        agent="query_table",
        model=config.model,
    )
    family = recipe.make_family()
    posterior = {
        "known_moves": algorithms.exact_goal_posterior,
        "hidden_moves": algorithms.exact_permutation_posterior,
    }[setting]
    pretraining = methods.state_query_pretraining(
        recipe,
        config.pretraining,
        either(
            _demonstrations(row=None)["both"],
            independent_pairs(family, 2 * HORIZON),
            config.demonstrated_share,
        ),
        behaviour=f"demonstrations ({config.demonstrated_share}), independent_pairs",
        posterior=posterior(family),
        visited=0.5,
    )
    return recipe, pretraining, posterior(family, in_episode=False)


def _demonstrations(row: int | None):
    """The data sets: both demonstrations in either order, and each alone.

    Args:
        row: that A goes along; any if None.
    """
    import jax
    import jax.numpy as jnp

    from envs import grid
    from icrl.pretraining.collection import demonstration, in_either_order

    def action(task: Any, move: Any):
        return jnp.argmax(task.action_order == move)

    def first_column(key, task: Any):
        y = jax.random.randint(key, (), 0, SIZE) if row is None else jnp.asarray(row)
        return grid.cell_at(jnp.stack([jnp.zeros_like(y), y]), SIZE)

    def below_the_goal(key, task: Any):
        del key
        return grid.cell_at(task.goal.at[1].set(0), SIZE)

    def up_to_the_goal(task: Any, obs):
        there = obs == grid.cell_at(task.goal, SIZE)
        return action(task, jnp.where(there, STAY, UP))

    along = demonstration(first_column, lambda task, obs: action(task, RIGHT))
    up = demonstration(below_the_goal, up_to_the_goal)
    return {"both": in_either_order(along, up), "along": along, "up": up}


def _panels(config: Config, setting: str, family, learnt, exact, num_seeds: int):
    """The return of one episode from the corner, after each of the data sets."""
    from icrl import algorithms, evaluation
    from icrl.evaluation import returns
    from icrl.keys import evaluation_key

    agents = {
        **learnt,
        EXACT: evaluation.fixed(exact),
        "behaviour_cloning": evaluation.fixed(algorithms.behaviour_cloning(family)),
        "optimal": evaluation.of_task(algorithms.optimal),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
    }
    return [
        returns.offline_panel(
            f"{setting}_{data}",
            evaluation_key(config.root_seed),  # the same tasks in every panel
            _off_the_walls(family.split().test),
            collect,
            agents,
            num_tasks=config.num_datasets,
            learned=dict.fromkeys(learnt, num_seeds),
        )
        for data, collect in _demonstrations(row=0).items()
    ]


def _off_the_walls(tasks):
    """Those tasks whose goal needs both a step to the right and one up."""
    import jax

    from envs.splits import FiniteTasks

    turns = (tasks.tasks.goal > 0).all(-1)
    return FiniteTasks(jax.tree.map(lambda leaf: leaf[turns], tasks.tasks))


def _ways(family, agent):
    """Where A, B and a model went in the room of the picture: [steps + 1, xy]."""
    import jax
    import jax.numpy as jnp

    from envs import grid
    from icrl.evaluation import returns
    from icrl.keys import evaluation_key
    from icrl.rollout import rollout

    task, demonstrations = family.task(PICTURED_GOAL), _demonstrations(row=0)
    model = jax.tree.map(lambda leaf: leaf[0], agent.models)

    @jax.jit
    def walk(model):
        *keys, key_task, key_agent = jax.random.split(evaluation_key(0), 8)
        pairs = zip(keys[::2], keys[1::2], strict=True)
        lives = {
            data: collect(*pair, task)
            for (data, collect), pair in zip(demonstrations.items(), pairs, strict=True)
        }
        informed = returns.informed(agent.make(model, task), lives.pop("both"))
        lives["dpt"] = rollout(key_task, key_agent, task, informed)
        return {
            f"ways/{name}": grid.position_of(jnp.append(life.obs, life.final_obs), SIZE)
            for name, life in lives.items()
        }

    return jax.device_get(walk(model))


def figure(summary, arrays):
    """One room with the demonstrations and DPT's way, and returns by data set."""
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(3, 1, width=4.4, height=4.0)
    _draw_room(axes[0, 0], arrays)
    for ax, setting, title in (
        (axes[0, 1], "known_moves", "known moves: B alone says it all"),
        (axes[0, 2], "hidden_moves", "hidden moves: stitching"),
    ):
        figures.draw_bars(
            ax,
            summary,
            {f"{setting}_{data}": label for data, label in DATA.items()},
            metric="return",
            agents=["dpt", "dpt_argmax", EXACT, "behaviour_cloning"],
            title=title,
            ylabel="return of an episode",
        )
        best = figures.find_row(summary, f"{setting}_both", "optimal", "return")["mean"]
        ax.axhline(best, color="black", linestyle=":", linewidth=1.2)
        ax.annotate(f"optimum {best:.1f}", (1, best + 0.3), ha="center", fontsize=8)
        ax.set_xlabel("demonstrations in the context")
    return drawn


def _draw_room(ax, arrays) -> None:
    from envs.viewer import GridPicture, Mark, draw
    from icrl.drawing.styles import STYLE

    goal = Mark(*PICTURED_GOAL, "goal")
    picture = draw(GridPicture(size=(SIZE, SIZE), agent=None, marks=[goal]))
    ax.imshow(picture, extent=(-0.5, SIZE - 0.5) * 2, interpolation="nearest")
    for name, label, color, offset in (
        ("along", "A, along", "#999999", -0.18),
        ("up", "B, up", "#555555", -0.18),
        ("dpt", "DPT, argmax", STYLE["dpt"]["color"], 0.18),
    ):
        x, y = (arrays[f"ways/{name}"] + offset).T
        ax.plot(x, y, color=color, linewidth=2.4, label=label)
        ax.plot(x[0], y[0], "o", color=color, markersize=6)
        ax.plot(x[-1], y[-1], "X", color=color, markersize=9, markeredgecolor="white")
    ax.set(xticks=range(SIZE), yticks=range(SIZE), xlabel="x", ylabel="y")
    ax.grid(False)
    ax.set_title("5a  known moves, both; the goal is green", loc="left", fontsize=10)
    ax.legend(framealpha=0.9, edgecolor="none", fontsize=8, loc="center right")


EXPERIMENT = Experiment(
    name="dpt_stitching",
    question="Does DPT put two demonstrations together, or does one say it all?",
    presets={
        "smoke": Config(model=SMOKE_MODEL, training=SMOKE_TRAINING, num_datasets=20),
        "cpu": Config(
            model=TransformerConfig(width=64, num_layers=3),
            training=cosine_training(3000, 3e-3, micro_batch=8),
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            model=TransformerConfig(width=128),
            training=cosine_training(
                100_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_datasets=1800,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "14 min on 2 cores",
        "paper": "hours on one GPU (0.8 billion tokens a seed)",
    },
    run=run,
    figure=figure,
    figure_name="return",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
