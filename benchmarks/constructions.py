"""Transformers whose weights are written down, in play beside what they are made from.

    python -m benchmarks.constructions                 # 3 minutes on 2 cores
    python -m benchmarks.constructions --game ucb_vi   # 3 minutes

`linucb`: soft LinUCB by Newton-Schulz, 29 layers, 200 pulls of 100 bandits. `ucb_vi`:
soft UCB-VI, 50 episodes of 20 MDPs. Both sides are played by `evaluation.online`, on
every core and in float64, on the same tasks; they must end with the same regret.

Expect, on 2 idle cores: 46 s for all of LinUCB's bandits, compiling included, and 47 s
for the MDPs; the algorithms themselves take 4 s each, of which most is compiling.
"""

import argparse
import functools
import os
import pathlib
import time

from benchmarks import side_by_side

GAMES = ("linucb", "ucb_vi")
SIDES = ("written", "algorithm")


def serve(args: argparse.Namespace) -> None:
    """One side, on every core."""
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count() or 1))
    import jax

    from icrl.evaluation import online
    from icrl.theory.agents import written
    from icrl.theory.linucb import linucb
    from icrl.theory.settings import soft_linucb, soft_ucb_vi
    from icrl.theory.ucb_vi import ucb_vi

    jax.config.update("jax_enable_x64", True)
    if args.game == "linucb":
        setting, tasks, episodes = soft_linucb(200, 10, 5), args.tasks or 100, 1
        make = linucb
    else:
        setting, tasks, episodes = soft_ucb_vi(5, 3, 5, 50), args.tasks or 20, 50
        make = functools.partial(ucb_vi, num_episodes=episodes)
    family, agent = setting.family, setting.algorithm
    if args.side == "written":
        agent = written(make(family), setting.tokenizer)
    key, test = jax.random.key(0), family.split().test

    def run():
        start = time.perf_counter()
        played = online(key, test, {"a": agent}, num_tasks=tasks, num_episodes=episodes)
        seconds = time.perf_counter() - start
        regret = float(played["a"][..., -1].mean())
        return tasks * episodes * family.horizon, {
            "mean regret": round(regret, 6),
            "seconds, compiling included": round(seconds, 1),
        }

    side_by_side.serve(run)


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="Written transformers in play.")
    parser.add_argument("--game", choices=GAMES, default=GAMES[0])
    parser.add_argument("--tasks", type=int, help="100 bandits or 20 MDPs if not given")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return serve(args)
    name = "benchmarks.constructions"
    side_by_side.report(name, "steps/s", args, args.rounds, args.json, SIDES)


if __name__ == "__main__":
    main()
