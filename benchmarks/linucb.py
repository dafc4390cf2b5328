"""LinUCB in environment steps per second, against NumPy over all tasks at once.

    python -m benchmarks.linucb                     # 1 minute on 2 cores

Lin et al.'s linear bandit: 5 dimensions, 10 arms, 200 steps, width 2. Both sides draw
tasks and noise, update by rank one and score every step exactly.
"""

import argparse
import pathlib

from benchmarks import side_by_side

WIDTH = 2.0


def serve_jax(args: argparse.Namespace) -> None:
    """The testbed's own loop, vmapped over tasks."""
    import jax

    import envs
    from icrl import algorithms
    from icrl.rollout import rollout

    family = envs.family("LinearBandit-Lin2023-v0")
    learner = algorithms.make("linucb", family, width=WIDTH)

    def regret(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = family.sample(key_task)
        return rollout(key_noise, key_agent, task, learner).gap.sum()

    play = jax.jit(jax.vmap(regret))
    keys = jax.random.split(jax.random.key(0), args.tasks)

    def run():
        mean = float(play(keys).mean())
        return args.tasks * family.horizon, {"mean regret": round(mean, 2)}

    side_by_side.serve(run)


def serve_numpy(args: argparse.Namespace) -> None:
    """The same algorithm with every operation vectorised over tasks."""
    import numpy as np

    num_arms, dim, horizon, noise_std = 10, 5, 200, 1.5
    random = np.random.default_rng(0)
    every_task = np.arange(args.tasks)

    def run():
        theta = random.uniform(size=(args.tasks, dim))
        arms = random.uniform(-1, 1, (args.tasks, num_arms, dim))
        means = np.einsum("nad,nd->na", arms, theta)
        gaps = means.max(1, keepdims=True) - means
        inverse = np.tile(np.eye(dim), (args.tasks, 1, 1))
        moment, regret = np.zeros((args.tasks, dim)), 0.0
        for step in range(horizon):
            norms = np.sqrt(
                np.einsum("nad,nde,nae->na", arms, inverse, arms, optimize=True)
            )
            estimate = np.einsum("nde,ne->nd", inverse, moment)
            index = np.einsum("nad,nd->na", arms, estimate) + WIDTH * norms
            action = index.argmax(1)
            if step == 0:
                action = random.integers(num_arms, size=args.tasks)
            x = arms[every_task, action]
            reward = means[every_task, action]
            reward = reward + noise_std * random.standard_normal(args.tasks)
            along = np.einsum("nde,ne->nd", inverse, x)
            scale = 1 + (along * x).sum(1)
            inverse -= along[:, :, None] * along[:, None] / scale[:, None, None]
            moment += reward[:, None] * x
            regret += gaps[every_task, action].mean()
        return args.tasks * horizon, {"mean regret": round(regret, 2)}

    side_by_side.serve(run)


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="LinUCB, side by side.")
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=["jax", "numpy"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {"jax": serve_jax, "numpy": serve_numpy}[args.side](args)
    side_by_side.report(
        "benchmarks.linucb",
        "env steps/s",
        args,
        args.rounds,
        args.json,
        names=("jax", "numpy"),
    )


if __name__ == "__main__":
    main()
