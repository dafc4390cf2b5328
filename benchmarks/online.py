"""Training by reward: keys and values kept here, the window read again at every step.

    python -m benchmarks.online                   # 3 minutes on 2 cores
    python -m benchmarks.online --time 400

Both sides are PPO of a GTrXL in our code. "again" acts as much published code does: one
forward pass over the whole window of tokens for every step of the environment. The rate
counts steps of the environment, with what is learnt from them. Below it stands what
acting alone costs early and late in a trial.
"""

import argparse
import dataclasses
import pathlib
import time
from typing import NamedTuple

from benchmarks import side_by_side
from icrl.gtrxl import FAMILY, GTRXL
from icrl.online_config import PpoConfig

STEPS = 2  # of training in a round


def serve(args: argparse.Namespace) -> None:
    """Steps of training, one jitted program; its model acts as the side says."""
    import jax
    from jaxtyping import Array

    from icrl.agents import Recipe
    from icrl.training import experience
    from icrl.training.online import online_learner

    class Window(NamedTuple):
        """The tokens so far, in a buffer as long as a trial."""

        tokens: Array
        length: Array

    @dataclasses.dataclass
    class Again:
        """A model that reads the whole window for every token."""

        model: object

        def step(self, window: Window, token: Array):
            tokens = window.tokens.at[window.length].set(token)
            logits = self.model(tokens)[window.length]  # type: ignore[operator]
            return Window(tokens, window.length + 1), logits

        def __getattr__(self, name: str):
            return getattr(self.model, name)

    if args.side == "again":
        play, begin = experience.in_context, experience.begin_context

        def begin_window(cache, tokenizer):
            tokens = jax.numpy.zeros((args.time, tokenizer.token_size))
            return begin(Window(tokens, jax.numpy.zeros((), int)), tokenizer)

        experience.in_context = lambda model, tokenizer: play(Again(model), tokenizer)
        experience.begin_context = begin_window
    recipe = Recipe(
        family=FAMILY,
        changes={"num_arms": 5, "horizon": args.time},
        tokenizer="rl2",
        model=dataclasses.replace(GTRXL, memory=args.time),
    )
    config = PpoConfig(num_steps=1000, batch_size=args.trials)
    learner = online_learner(recipe, config)
    state = jax.jit(learner.init)(jax.random.key(0))
    step = jax.jit(lambda state, key: learner.step(state, key, None))
    numbers = iter(range(10**6))

    def run():
        nonlocal state
        for _ in range(STEPS):
            key = jax.random.fold_in(jax.random.key(1), next(numbers))
            state, logged = step(state, key)
        earned = round(float(logged["return"]), 2)
        return STEPS * args.trials * args.time, {"return of a trial": earned}

    costs = acting(recipe, state, args) if args.side == "kept" else {}

    def with_costs():
        units, details = run()
        return units, {**details, **costs}

    side_by_side.serve(with_costs)


def acting(recipe, state, args: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Microseconds of a step of one trial, with so many steps before it."""
    import jax

    model, chunk = state.learned.model, 20
    caches = jax.vmap(lambda _: model.init_cache())(jax.numpy.arange(args.trials))
    tokens = jax.numpy.ones((args.trials, recipe.make_tokenizer().token_size))

    @jax.jit
    def play(model, caches):
        def step(caches, _):
            caches, logits = jax.vmap(model.step)(caches, tokens)
            return caches, logits.sum()

        return jax.lax.scan(step, caches, None, chunk)

    found = {}
    for _ in range(2):  # compiles, also for what its results look like
        caches, _ = jax.block_until_ready(play(model, caches))
    for position in range(2 * chunk, args.time - chunk + 1, chunk):
        start = time.perf_counter()
        caches, sums = play(model, caches)
        sums.block_until_ready()
        seconds = time.perf_counter() - start
        found[position] = round(seconds / chunk / args.trials * 1e6, 1)
    return {"microseconds of acting one step, by position": found}


def main() -> None:
    """Compares, prints a table, writes JSON if asked."""
    parser = argparse.ArgumentParser(description="PPO of a GTrXL, side by side.")
    parser.add_argument("--time", type=int, default=100, help="steps of a trial")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--side", choices=["kept", "again"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return serve(args)
    names = ("kept", "again")
    module = "benchmarks.online"
    side_by_side.report(module, "steps/s", args, args.rounds, args.json, names)


if __name__ == "__main__":
    main()
