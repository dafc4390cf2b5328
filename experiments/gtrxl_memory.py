"""How long and how much do a GTrXL, an LSTM and a GRU remember, trained by reward?

Each learns by PPO, from scratch, in three tasks: a corridor whose first cell says where
to turn in its last (passive T-maze), pads to be stepped on in an order that is found by
trial (Numpad), and a room where an apple lies hidden (Memory Maze). GTrXL's memory
holds a whole episode. In the corridor a second one has a memory so short that all its
blocks together do not reach back to the cue: it can only guess.

Models of the corridor learn with 50 cells, and play up to 1500 as they are. A GTrXL's
memory, on which no weight depends, is made as long as the episode (of the second one,
as short a part of it as before).

Source: Parisotto et al. 2020, arXiv 1910.06764, Figure 3 (Numpad, an LSTM given twice
the training stays below) and Figure 5 (Memory Maze); Ni et al. 2023, arXiv 2307.03864
(T-maze, optimum 1, without memory 1/2). Ours are grids, and far smaller.
Command: icrl run gtrxl_memory cpu
Cost: two hours of one core.
Expect: with 50 cells 1.00 (GTrXL, LSTM, GRU) and a guess, 0.49, with the short memory;
with 100, as they are, 1.00, 0.99, 0.98 and 0.51. Farther than they have learned an LSTM
carries most (0.96 with 300 cells, 0.84 with 1500), a GRU not as far as 300. Of three
GTrXLs one or two fail there, and not the same at all lengths (one has 1.00, 0.60, 0.49
and 0.97 with 100 to 1000): such distances are new to them.
Numpad: 32.5 (28.0 to 37.0), LSTM 16.3, GRU 17.3. The maze is easy for all: 24.0, 24.5
and 25.0.
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
    "t_maze": ("PassiveTMaze-v0", "cells of the corridor; trained in the shortest"),
    "numpad": ("Numpad-v0", "pads of a side"),
    "memory_maze": ("MemoryMaze-v0", "cells of a side"),
}
MODELS = ("gtrxl", "gtrxl_short", "lstm", "gru")
LEVELS = {"t_maze": {"optimum": 1.0, "a guess": 0.5}}
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
            limits=(-0.1, 1.1) if name == "t_maze" else None,
        ),
    )
    for name, (family, xlabel) in FAMILIES.items()
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    # cells; models learn with the fewest, and play all. None: the task is left out
    t_maze: tuple[int, ...] = (50, 100, 300, 500, 1000, 1500)
    numpad: tuple[int, ...] = (2,)  # pads of a side, likewise
    memory_maze: tuple[int, ...] = (7,)  # cells of a side, likewise
    num_tasks: int = 2000  # unseen tasks that every agent plays
    num_tasks_longer: int = 200  # likewise, in corridors longer than those they know
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
        sizes = sorted(set(getattr(config, panel)))
        number = 1 if panel == "t_maze" else len(sizes)  # where models learn
        trained = {size: _train(run, config, panel, size) for size in sizes[:number]}
        longer = {size: _lengthened(trained[sizes[0]], size) for size in sizes[number:]}
        if sizes:
            found[panel] = functools.partial(_play, config, panel, trained, longer)
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


def _lengthened(models, size: int) -> dict[str, Any]:
    """The models of a corridor, to play one of this size."""
    found = {}
    for name, trained in models.items():
        recipe, changes = trained.recipe, _changes("t_maze", size)
        times = changes["horizon"] / recipe.changes["horizon"]
        memory = round(recipe.model.memory * times)
        found[name] = trained.resized(changes, memory=memory)
    return found


def _play(config: Config, panel: str, trained, longer):
    """Rows of the return at each size."""
    import envs
    from icrl import algorithms
    from icrl.evaluation.numbers import Numbers, add_row

    numbers, hashes = Numbers(), []
    for size, models in {**trained, **longer}.items():
        family = envs.family(FAMILIES[panel][0], **_changes(panel, size))
        test = study.Evaluation(config, family.split().test)
        agents = {name: found.agent() for name, found in models.items()}
        agents["uniform"] = algorithms.uniform(family)
        number = config.num_tasks_longer if size in longer else config.num_tasks
        scores = test.returns(agents, num_tasks=number)
        for agent, totals in scores.items():
            metric = f"return_{size}"
            add_row(numbers, panel, agent, metric, totals[..., 0], scores)
        hashes.append(scores.tasks_hash)
    numbers.arrays[f"{panel}/sizes"] = (*trained, *longer)
    numbers.finals[f"{panel}/tasks_hash"] = " ".join(hashes)
    return numbers


# Who leaves the straight way cannot win any more, and the corridor looks the same as
# before: what noise teaches a model there can keep it from going straight. Entropy
# holds that back, and the offset of `_train` takes the noise away, as nobody must count
# steps to value what is lost: with 100 cells 3 GTrXLs come to the end after 20 to 110
# steps, and all remember by 130; without it after 70 to 150, and one never remembers.
# With short sums (gae_lambda 0.3) errors of the values favour actions there. A constant
# rate loses now and then, within 10 steps, what it has known for 40, and does not find
# it again (one GTrXL of 3 with 50 cells): it falls.
T_MAZE_TRAINING = PpoConfig(
    num_steps=200,
    batch_size=128,
    num_epochs=2,
    schedule="linear",
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
).takes("two hours of one core")
SMOKE = {
    "t_maze": (4, 6),
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
    columns=3,
    figure_name="returns",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
