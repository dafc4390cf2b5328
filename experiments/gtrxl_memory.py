"""How long and how much do a GTrXL, an LSTM and a GRU remember, trained by reward?

Each learns by PPO, from scratch, at every size of three tasks: a corridor whose first
cell says where to turn in its last (passive T-maze), pads to be stepped on in an order
that is found by trial (Numpad), and a room where an apple lies hidden (Memory Maze).
GTrXL's memory holds a whole episode. In the corridor a second one has a memory so short
that all its blocks together do not reach back to the cue: it can only guess.
Those of the longest corridor then play longer ones, of up to 1500 cells, as they are:
the GTrXL's memory, which no weight depends on, is made as long as the episode.

Source: Parisotto et al. 2020, arXiv 1910.06764, Figure 3 (Numpad, an LSTM given twice
the training stays below) and Figure 5 (Memory Maze); Ni et al. 2023, arXiv 2307.03864
(T-maze, optimum 1, without memory 1/2). Ours are grids, and far smaller.
Command: icrl run gtrxl_memory cpu
Cost: (an estimate) two hours on 2 cores.
Expect: (no reference run yet).
"""

import dataclasses
import functools
from typing import Any

from icrl import cli, gtrxl, study
from icrl.config import ExperimentConfig, TransformerConfig
from icrl.drawing import sweeps
from icrl.online_config import PpoConfig
from icrl.panels import Drawing

FAMILIES = {  # and what its size is
    "t_maze": ("PassiveTMaze-v0", "cells of the corridor"),
    "numpad": ("Numpad-v0", "pads of a side"),
    "memory_maze": ("MemoryMaze-v0", "cells of a side"),
}
MODELS = ("gtrxl", "gtrxl_short", "lstm", "gru")
CORRIDOR_LEVELS = {"optimum": 1.0, "a guess": 0.5}
LEVELS = {"t_maze": CORRIDOR_LEVELS}
PANELS = [
    Drawing(
        name=name,
        title=f"return in {family}",
        function=functools.partial(
            sweeps.draw_returns,
            panel=name,
            agents=MODELS if name == "t_maze" else (*MODELS, "uniform"),
            xlabel=xlabel,
            levels=LEVELS.get(name, {}),
        ),
    )
    for name, (family, xlabel) in FAMILIES.items()
]
PANELS.insert(
    1,
    Drawing(
        name="t_maze_longer",
        title="the same models in longer corridors",
        function=functools.partial(
            sweeps.draw_returns,
            panel="t_maze_longer",
            agents=MODELS,
            xlabel="cells of the corridor",
            levels=CORRIDOR_LEVELS,
        ),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    t_maze: tuple[int, ...] = (50, 100)  # cells; none: the task is left out
    # that the models of the longest of them play, untrained; none: none
    t_maze_longer: tuple[int, ...] = (300, 500, 1000, 1500)
    numpad: tuple[int, ...] = (2,)  # pads of a side, likewise
    memory_maze: tuple[int, ...] = (7,)  # cells of a side, likewise
    num_tasks: int = 2000  # unseen tasks that every agent plays
    num_tasks_longer: int = 200  # likewise, in longer corridors
    models: tuple[str, ...] = MODELS  # that learn; gtrxl_short in the corridor alone
    gtrxl: TransformerConfig  # whose memory is made an episode
    lstm: TransformerConfig  # of the second agent
    gru: TransformerConfig  # of the third
    t_maze_training: PpoConfig  # in the corridor
    training: PpoConfig  # in the two other tasks

    def __post_init__(self):
        super().__post_init__()
        if set(self.models) - set(MODELS):
            raise ValueError(f"models must be of {MODELS}, got {self.models}")
        if self.t_maze_training.reward_offset:
            rule = "t_maze_training.reward_offset is -1 over the size"
            raise ValueError(f"{rule}, got {self.t_maze_training.reward_offset}")


def run(run, config: Config):
    """Trains every model at every size of every task."""
    found = {}
    for panel in FAMILIES:
        sizes = getattr(config, panel)
        trained = {size: _train(run, config, panel, size) for size in sizes}
        if sizes:
            found[panel] = functools.partial(_play, config, panel, trained)
        if panel == "t_maze" and sizes and config.t_maze_longer:
            longest = trained[max(sizes)]
            found["t_maze_longer"] = functools.partial(_play_longer, config, longest)
    return found


def _changes(panel: str, size: int) -> dict[str, int]:
    """What a size changes of the family."""
    if panel == "t_maze":
        return {"horizon": size + 1}
    return {"pads" if panel == "numpad" else "size": size}


def _train(run, config: Config, panel: str, size: int) -> dict[str, Any]:
    """The models of one size."""
    import envs
    from icrl.agents import Recipe

    name, changes = FAMILIES[panel][0], _changes(panel, size)
    trained, horizon = {}, envs.family(name, **changes).horizon
    for agent in config.models:
        if agent == "gtrxl_short":
            if panel != "t_maze":
                continue
            model = config.gtrxl
            memory = max(size // (2 * model.depth), 1)  # all blocks reach half way
        else:
            model, memory = getattr(config, agent), horizon
        model = dataclasses.replace(model, memory=memory)
        recipe = Recipe(family=name, changes=changes, tokenizer="rl2", model=model)
        place = f"{agent}_{panel}_{size}"
        training = config.training
        if panel == "t_maze":  # a lost step costs 1 / size; less that, 0
            training = config.t_maze_training
            training = dataclasses.replace(training, reward_offset=-1 / size)
        trained[agent] = study.train_online(run, recipe, training, name=place)
    return trained


def _play_longer(config: Config, models):
    """Rows of the return in corridors that are longer than those of the training."""
    longer: dict[int, dict[str, Any]] = {}
    for size in config.t_maze_longer:
        longer[size] = {}
        for name, found in models.items():
            recipe, changes = found.recipe, _changes("t_maze", size)
            model = recipe.model
            if name == "gtrxl":
                model = dataclasses.replace(model, memory=changes["horizon"])
            recipe = dataclasses.replace(recipe, changes=changes, model=model)
            longer[size][name] = found.into(recipe)
    number = config.num_tasks_longer
    return _play(config, "t_maze", longer, panel="t_maze_longer", num_tasks=number)


def _play(config: Config, task: str, trained, *, panel: str = "", **options: Any):
    """Rows of the return at each size, in a panel of the task's name if not another."""
    import envs
    from icrl import algorithms
    from icrl.evaluation.numbers import Numbers, add_row

    panel = panel or task
    numbers, hashes = Numbers(), []
    for size, models in trained.items():
        family = envs.family(FAMILIES[task][0], **_changes(task, size))
        test = study.Evaluation(config, family.split().test)
        agents = {name: found.agent() for name, found in models.items()}
        agents["uniform"] = algorithms.uniform(family)
        scores = test.returns(agents, **options)
        for agent, totals in scores.items():
            metric = f"return_{size}"
            add_row(numbers, panel, agent, metric, totals[..., 0], scores)
        hashes.append(scores.tasks_hash)
    numbers.arrays[f"{panel}/sizes"] = tuple(trained)
    numbers.finals[f"{panel}/tasks_hash"] = " ".join(hashes)
    return numbers


# Who leaves the straight way cannot win any more, and the corridor looks the same as
# before: what noise teaches a model there can keep it from going straight. Entropy
# holds that back, and the offset of `_train` takes the noise away, as nobody must count
# steps to value what is lost: at 100 cells 3 seeds come to the end after 20 to 110
# steps, and all remember by 130; without it after 70 to 150, and one never remembers.
# With short sums (gae_lambda 0.3) errors of the values favour actions there.
T_MAZE_TRAINING = PpoConfig(
    num_steps=200,
    batch_size=128,
    num_epochs=2,
    gae_lambda=0.95,
    entropy_coefficient=0.05,
)
CPU = Config(
    seeds=(0, 1, 2),
    gtrxl=gtrxl.GTRXL,
    lstm=gtrxl.LSTM,
    gru=gtrxl.GRU,
    t_maze_training=T_MAZE_TRAINING,
    training=PpoConfig(num_steps=200, batch_size=128, gae_lambda=0.95),
).takes("two hours on 2 cores")
SMOKE = {
    "t_maze": (4,),
    "t_maze_longer": (6,),
    "num_tasks_longer": 8,
    "numpad": (),
    "memory_maze": (),
    "models": ("gtrxl_short",),
    "gtrxl": gtrxl.SMOKE_GTRXL,
    "lstm": dataclasses.replace(gtrxl.LSTM, width=8),
    "gru": dataclasses.replace(gtrxl.GRU, width=8),
}
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU,
    smoke=SMOKE,
    columns=2,
    figure_name="returns",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
