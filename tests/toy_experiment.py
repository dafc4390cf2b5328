"""A tiny experiment for tests: a random walk that saves, resumes and draws."""

import dataclasses
import time

from icrl import cli, config
from icrl.experiment import Experiment, register
from icrl.runs import saved


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    width: int = 4  # numbers that walk
    heads: int = 2  # a divisor of the width

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"heads must divide width, got {self.heads}, {self.width}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(config.ExperimentConfig):
    num_steps: int = 6  # of the walk
    pause: float = 0.0  # seconds per step
    model: Model = Model()  # sizes


def run(run, config):
    import numpy as np

    from icrl.runs.weights import save_weights

    for group in run.groups:
        if not run.is_trained(group):
            walk = train(run, config, group)
            for position, seed in enumerate(group):
                save_weights(run.weights(seed), {"walk": walk[position]})
    row = saved.row(
        panel="online",
        agent="dpt",
        metric="final_regret",
        mean=1.25,
        low=1.0,
        high=float("nan"),
        seeds=len(config.seeds),
        tasks=4,
    )
    run.train_tokens = 3
    run.finish([row], {"curve": np.arange(3.0)})


def train(run, config, group):
    import jax
    import jax.numpy as jnp

    from icrl.runs.metrics import Preemption, Progress

    walk = jnp.zeros((len(group), config.model.width))
    with run.checkpoints(group) as checkpoints, Preemption() as preemption:
        start = checkpoints.latest() or 0
        if start:
            walk = checkpoints.restore(start, like=walk)
        with (
            run.metrics(group, resume_step=start) as log,
            Progress(config.num_steps, start=start) as progress,
        ):
            for step in range(start + 1, config.num_steps + 1):
                key = jax.random.fold_in(jax.random.key(0), step)
                walk = walk + jax.random.normal(key, walk.shape)
                time.sleep(config.pause)
                log.log(step, position=walk[:, 0])
                checkpoints.save(step, walk, metric=float(jnp.abs(walk).mean()))
                progress.update(step, position=float(walk[0, 0]))
                print("step", step, flush=True)
                if preemption.requested:
                    checkpoints.wait()
                    preemption.exit()
    return walk


def figure(summary, arrays):
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(2, 2))
    axes.plot(arrays["curve"])
    axes.set_title(summary["experiment"])
    return drawn


EXPERIMENT = Experiment(
    name="toy_experiment",
    question="Does a run leave what it should?",
    presets={"smoke": Config(num_steps=3), "cpu": Config()},
    costs={"smoke": "1 s", "cpu": "2 s"},
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
