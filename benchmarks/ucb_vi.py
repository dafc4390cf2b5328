"""UCB-VI here and as a loop: steps per second, side by side.

    python -m benchmarks.ucb_vi                    # 10 seconds on 2 cores
    python -m benchmarks.ucb_vi --peers loop rlberry

RL²'s random MDPs (10 states, 5 actions, 10 steps), 50 episodes each. Here 256 MDPs are
played side by side in float32. The peers play one after another: `loop`, the paper's
pseudo-code entry by entry in NumPy and float64; `rows`, the same with operations over
all states and actions at once; `rlberry`, the UCB-VI of rlberry-scool, where that is
installed (its bonus is its own; rewards have no noise, and gaps are not summed). All
draw tasks, plan once an episode and learn.

Expect, on 2 idle cores: 150 times `loop`, 21 times `rows`, and 240 times rlberry
0.7.3, which makes 8,200 steps a second.
"""

import argparse
import importlib.util
import math
import pathlib

from benchmarks import side_by_side

STATES, ACTIONS, HORIZON, EPISODES = 10, 5, 10, 50
SCALE, DELTA, MAX_REWARD = 0.003, 0.05, 4.0
PEERS = ("loop", "rows", "rlberry")


def serve_jax(args: argparse.Namespace) -> None:
    """The testbed's own loop, vmapped over tasks."""
    import jax

    import envs
    from icrl.algorithms.mdp.ucb_vi import ucb_vi
    from icrl.rollout import rollout

    family = envs.family("RandomMDP-RL2-v0")
    learner = ucb_vi(
        family,
        scale=SCALE,
        delta=DELTA,
        max_reward=MAX_REWARD,
        num_episodes=EPISODES,
    )

    def regret(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = family.sample(key_task)
        trajectory = rollout(key_noise, key_agent, task, learner, num_episodes=EPISODES)
        return trajectory.gap.sum()

    play = jax.jit(jax.vmap(regret))
    keys = jax.random.split(jax.random.key(0), args.tasks)

    def run():
        mean = float(play(keys).mean())
        steps = args.tasks * EPISODES * HORIZON
        return steps, {"mean regret": round(mean, 1)}

    side_by_side.serve(run)


def plan_by_loop(moves, visits, total, previous, bonus):
    """Azar et al. 2017, Algorithm 2, entry by entry."""
    import numpy as np

    cap = HORIZON * MAX_REWARD
    q_values, value = np.empty_like(previous), np.zeros(STATES)
    for step in reversed(range(HORIZON)):
        for state in range(STATES):
            for action in range(ACTIONS):
                n, best = visits[state, action], cap
                if n > 0:
                    best = total[state, action] / n + bonus / math.sqrt(n)
                    best += moves[state, action] @ value / n
                here = step, state, action
                q_values[here] = min(previous[here], cap, best)
        value = q_values[step].max(-1)
    return q_values


def plan_by_rows(moves, visits, total, previous, bonus):
    """The same, all states and actions at once."""
    import numpy as np

    cap = HORIZON * MAX_REWARD
    n = np.maximum(visits, 1)
    rewards, transitions = total / n + bonus / np.sqrt(n), moves / n[..., None]
    rewards[visits == 0] = cap
    q_values, value = np.empty_like(previous), np.zeros(STATES)
    for step in reversed(range(HORIZON)):
        bound = np.minimum(previous[step], cap)
        q_values[step] = np.minimum(bound, rewards + transitions @ value)
        value = q_values[step].max(-1)
    return q_values


def serve_numpy(plan, num_tasks: int) -> None:
    """One MDP after another in float64."""
    import numpy as np

    random = np.random.default_rng(0)
    tests = STATES * ACTIONS * HORIZON * EPISODES / DELTA
    bonus = SCALE * 7 * HORIZON * MAX_REWARD * math.log(5 * tests)
    shape = STATES, ACTIONS

    def optimum(rewards, cumulative):
        transitions = np.diff(cumulative, prepend=0.0)
        gaps, value = np.empty((HORIZON, *shape)), np.zeros(STATES)
        for step in reversed(range(HORIZON)):
            q_values = rewards + transitions @ value
            value = q_values.max(-1)
            gaps[step] = value[:, None] - q_values
        return gaps

    def regret():
        cumulative = random.dirichlet(np.ones(STATES), shape).cumsum(-1)
        rewards = 1 + random.standard_normal(shape)
        gaps = optimum(rewards, cumulative)
        moves, q_values = np.zeros((*shape, STATES)), np.full((HORIZON, *shape), np.inf)
        visits, total = np.zeros(shape), np.zeros(shape)
        lost = 0.0
        for _ in range(EPISODES):
            q_values, state = plan(moves, visits, total, q_values, bonus), 0
            for step in range(HORIZON):
                action = int(q_values[step, state].argmax())
                lost += gaps[step, state, action]
                draw = random.random() * cumulative[state, action, -1]
                after = int(cumulative[state, action].searchsorted(draw, "right"))
                moves[state, action, after] += 1
                visits[state, action] += 1
                paid = rewards[state, action] + random.standard_normal()
                total[state, action] += paid
                state = after
        return lost

    def run():
        mean = sum(regret() for _ in range(num_tasks)) / num_tasks
        return num_tasks * EPISODES * HORIZON, {"mean regret": round(mean, 1)}

    side_by_side.serve(run)


def serve_rlberry(num_tasks: int) -> None:
    """The UCB-VI of rlberry-scool, which compiles its planning with numba."""
    import numpy as np
    from rlberry.envs.finite_mdp import FiniteMDP
    from rlberry_scool.agents.ucbvi import UCBVIAgent

    random = np.random.default_rng(0)

    def run():
        for _ in range(num_tasks):
            transitions = random.dirichlet(np.ones(STATES), (STATES, ACTIONS))
            rewards = 1 + random.standard_normal((STATES, ACTIONS))
            agent = UCBVIAgent(
                FiniteMDP(rewards, transitions, initial_state_distribution=0),
                gamma=1.0,
                horizon=HORIZON,
                bonus_scale_factor=SCALE,
                stage_dependent=False,
                real_time_dp=False,
            )
            agent.fit(budget=EPISODES)
        return num_tasks * EPISODES * HORIZON, {}

    side_by_side.serve(run)


def main() -> None:
    """Compares with each peer, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="UCB-VI, side by side.")
    parser.add_argument("--tasks", type=int, default=256, help="MDPs side by side")
    parser.add_argument("--loop-tasks", type=int, default=2, help="MDPs of a peer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--json", type=pathlib.Path, help="PEER is added to its name")
    parser.add_argument("--side", choices=["jax", *PEERS], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {
            "jax": lambda: serve_jax(args),
            "loop": lambda: serve_numpy(plan_by_loop, args.loop_tasks),
            "rows": lambda: serve_numpy(plan_by_rows, 10 * args.loop_tasks),
            "rlberry": lambda: serve_rlberry(10 * args.loop_tasks),
        }[args.side]()
    for peer in args.peers:
        if peer == "rlberry" and not importlib.util.find_spec("rlberry_scool"):
            print("rlberry: not installed (pip install rlberry-scool)")
            continue
        path = args.json and args.json.with_stem(f"{args.json.stem}_{peer}")
        side_by_side.report(
            "benchmarks.ucb_vi",
            "env steps/s",
            args,
            args.rounds,
            path,
            names=("jax", peer),
        )


if __name__ == "__main__":
    main()
