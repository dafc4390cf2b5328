"""Playing bandits online: a cache here, the whole prefix at every step in PyTorch.

    python -m benchmarks.decoding                   # 4 minutes on 2 cores
    python -m benchmarks.decoding --time 200

PyTorch does what the published code of DPT does: one forward pass of all tasks over
the prefix so far at each step (here without gradients, with fused attention). Its
rounds time a sample of prefix lengths and sum over all, since a whole game takes
minutes.
"""

import argparse
import os
import pathlib
import time

from benchmarks import side_by_side
from icrl.config import TransformerConfig

ACTIONS, TOKEN, NOISE = 5, 8, 0.3
CHUNK = 20  # steps timed together at each position


def serve_jax(args: argparse.Namespace) -> None:
    """One jitted rollout, vmapped over tasks."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from icrl.models import Transformer

    model = Transformer(
        config_of(args),
        token_size=TOKEN,
        num_actions=ACTIONS,
        max_tokens=args.time + 1,
        rngs=nnx.Rngs(0),
    )
    query = jnp.zeros(TOKEN).at[0].set(1.0)

    def play(model, key, means, carry, first, steps):
        def step(carry, t):
            cache, logits = carry
            key_action, key_reward = jax.random.split(jax.random.fold_in(key, t))
            action = jax.random.categorical(key_action, logits)
            reward = means[action] + NOISE * jax.random.normal(key_reward)
            one_hot = jax.nn.one_hot(action, ACTIONS)
            token = jnp.concatenate([jnp.ones(1), one_hot, jnp.ones(1), reward[None]])
            return model.step(cache, token), reward

        return jax.lax.scan(step, carry, first + jnp.arange(steps))

    def game(model, key, means):
        carry = model.step(model.init_cache(), query)
        return play(model, key, means, carry, 0, args.time)[1]

    def chunk(model, key, means, position):
        cache, logits = model.step(model.init_cache(), query)
        mixers = tuple(m._replace(length=position) for m in cache.mixers)
        carry = cache._replace(position=position, mixers=mixers), logits
        return play(model, key, means, carry, position, CHUNK)[1]

    keys = jax.random.split(jax.random.key(0), args.tasks)
    means = jax.random.uniform(jax.random.key(1), (args.tasks, ACTIONS))
    games = jax.jit(jax.vmap(game, (None, 0, 0)))
    chunks = jax.jit(jax.vmap(chunk, (None, 0, 0, None)))

    def cost(position):
        start = time.perf_counter()
        chunks(model, keys, means, position).block_until_ready()
        return round((time.perf_counter() - start) / CHUNK * 1e3, 3)

    def run():
        rewards = games(model, keys, means)
        return args.tasks * args.time, {"mean reward": float(rewards.mean())}

    cost(0)
    costs = {position: cost(position) for position in positions(args)}
    side_by_side.serve(lambda: with_costs(run, costs))


def serve_torch(args: argparse.Namespace) -> None:
    """A forward pass of every task over the whole prefix, at each step."""
    import torch

    from benchmarks.torch_transformer import Transformer, use_threads

    use_threads(os.cpu_count() or 1)
    model = Transformer(config_of(args), TOKEN, ACTIONS).eval()

    @torch.no_grad()
    def step(prefix):
        logits = model(torch.randn(args.tasks, prefix, TOKEN))[:, -1]
        action = torch.distributions.Categorical(logits=logits).sample()
        return action + NOISE * torch.randn(args.tasks)

    def seconds(prefix):
        start = time.perf_counter()
        step(prefix)
        return time.perf_counter() - start

    step(args.time)
    costs = {p: round(seconds(p + 1) * 1e3, 3) for p in positions(args)}
    sample = range(args.sample // 2, args.time, args.sample)

    def run():
        for position in sample:
            step(position + 1)
        return args.tasks * len(sample), {"prefixes timed": len(sample)}

    side_by_side.serve(lambda: with_costs(run, costs))


def with_costs(run, costs: dict[int, float]) -> tuple[int, dict]:
    """A round whose details also tell what a step costs, by its position."""
    units, details = run()
    return units, {**details, "ms a step of all tasks, by position": costs}


def positions(args: argparse.Namespace) -> list[int]:
    """Where in a game a step is timed."""
    return [round(f * (args.time - CHUNK)) for f in (0.0, 0.25, 0.5, 0.75, 1.0)]


def config_of(args: argparse.Namespace) -> TransformerConfig:
    """The model of both sides."""
    return TransformerConfig(num_layers=args.layers, num_heads=args.heads)


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="Playing bandits, side by side.")
    parser.add_argument("--time", type=int, default=500, help="steps of a game")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument(
        "--sample", type=int, default=25, help="PyTorch plays every n-th step only"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=["jax", "torch"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return {"jax": serve_jax, "torch": serve_torch}[args.side](args)
    side_by_side.report("benchmarks.decoding", "steps/s", args, args.rounds, args.json)


if __name__ == "__main__":
    main()
