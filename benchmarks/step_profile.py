"""Where the time of a training step goes, and how near it is to what the machine can.

    python -m benchmarks.step_profile                    # quickstart's step
    python -m benchmarks.step_profile --width 128 --time 500 --batch 8

Each part is timed by itself, forward and backward, many times in one compiled loop. The
machine's peaks are measured in the same process: matrix products of two large matrices,
exponentials and copies of an array that fits the second-level cache. The share of the
peak is the time that a part's products and exponentials would take at these rates over
the time that it took; what is neither (copies, sums, random numbers) counts as waste.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from icrl import study
from icrl.algorithms import make
from icrl.config import (
    DecisionLabels,
    DecisionPretrainingConfig,
    TransformerConfig,
    muon_training,
)
from icrl.models.blocks import MLP
from icrl.pretraining import imitation_loss, sample
from icrl.pretraining.methods import decision_pretraining
from icrl.registries import MIXERS
from icrl.training.accumulation import value_and_grad_accumulated
from icrl.training.optimizer import make_optimizer

REPEATS = 5


def seconds(part: Callable[[Any], Any], argument: Any, loops: int) -> float:
    """The least time of `part(argument)`, which gives back the like of its argument."""

    @jax.jit
    def many(argument: Any) -> Any:
        return jax.lax.fori_loop(0, loops, lambda i, x: part(x), argument)

    jax.block_until_ready(many(argument))
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        jax.block_until_ready(many(argument))
        taken.append((time.perf_counter() - started) / loops)
    return min(taken)


def peaks() -> dict[str, float]:
    """Multiply-adds, exponentials and bytes that this machine does in a second."""
    square, row = jnp.full((1024, 1024), 1e-3), jnp.linspace(-5.0, 0.0, 1 << 17)
    return {
        "multiply_adds": 1024**3 / seconds(lambda x: x @ square, square, 5),
        "exponentials": row.size / seconds(lambda x: jnp.exp(x) - 1.5, row, 50),
        "bytes": 8 * row.size / seconds(lambda x: x + 1.0, row, 50),
    }


def backward(function: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A pass forward and backward, of weights and inputs, that can be repeated."""

    def loss(model: Any, x: Any) -> Any:
        return jnp.sum(jnp.square(function(model, x)))

    def step(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        grads = jax.grad(loss, argnums=(0, 1))(*carry)
        return jax.tree.map(lambda a, b: a - 1e-6 * b, carry, grads)

    return step


def parts(args: argparse.Namespace) -> dict[str, tuple[float, float, float]]:
    """Seconds, multiply-adds and exponentials of each part of a step, by name."""
    config = TransformerConfig(
        width=args.width, num_layers=args.layers, num_heads=args.heads
    )
    training = muon_training(1000, batch_size=args.batch)
    sizes = argparse.Namespace(model=config, horizon=args.time)
    recipe = study.make_recipe(sizes, "GaussianBandit-DPT-v0")
    family = recipe.make_family()

    def contexts(labels: DecisionLabels) -> Any:
        name = "dirichlet_point_mass"
        options = DecisionPretrainingConfig(labels=labels)
        return decision_pretraining(recipe, make(name, family), options, behaviour=name)

    def drawing(labels: DecisionLabels) -> Callable[[Any], Any]:
        made = contexts(labels)

        def draw(words: Any) -> Any:
            keys = jax.random.split(jax.random.wrap_key_data(words), args.batch)
            batch = jax.vmap(lambda key: sample(made, key))(keys)
            sums = jnp.stack([jnp.sum(leaf) for leaf in jax.tree.leaves(batch)])
            return words + 1 + (sums.sum() == 1.2345).astype(words.dtype)

        return draw

    loops = max(1, 200_000 // (args.batch * args.time))
    words = jax.random.key_data(jax.random.key(0))
    plain = seconds(drawing("optimal"), words, loops)
    labelled = seconds(drawing("posterior_draws"), words, loops)

    made = contexts("posterior_draws")
    keys = jax.random.split(jax.random.key(0), args.batch)
    batch = jax.jit(jax.vmap(lambda key: sample(made, key)))(keys)
    model = recipe.make_model(jax.random.key(1))

    def loss(model: Any, examples: Any) -> Any:
        def of_one(example: Any) -> Any:
            return imitation_loss(model(example.tokens), example, made.tokenizer)[0]

        return jnp.sum(jax.vmap(of_one)(examples))

    def whole(model: Any) -> Any:
        _, grads = value_and_grad_accumulated(loss, model, batch, args.micro_batch)
        return jax.tree.map(lambda a, b: a - 1e-9 * b, model, grads)

    tokens = args.batch * (args.time + 1)
    stream = jnp.ones((args.batch, args.time + 1, args.width)) / args.width
    rngs = nnx.Rngs(jax.random.key(2))
    mixer, mlp = MIXERS["softmax"](config, rngs=rngs), MLP(config, rngs=rngs)
    attend = backward(lambda model, x: jax.vmap(lambda y: model(y)[0])(x))
    feed = backward(lambda model, x: jax.vmap(model)(x))
    attention = args.layers * seconds(attend, (mixer, stream), loops)
    feeding = args.layers * seconds(feed, (mlp, stream), loops)
    both = seconds(whole, model, loops)

    optimizer = make_optimizer(training)

    def update(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        model, state = carry
        updates, state = optimizer.update(model, state, model)
        return jax.tree.map(jnp.add, model, updates), state

    updating = seconds(update, (model, optimizer.init(model)), 50)
    per_token = 3 * args.layers * tokens  # forward once, backward twice
    scores = args.layers * args.batch * args.heads * (args.time + 1) ** 2 / 2
    return {
        "contexts": (plain, 0, 0),
        "labels (8 draws)": (max(labelled - plain, 0.0), 0, 0),
        "attention": (
            attention,
            per_token * mixer.multiply_adds(args.time + 1, decode=False),
            scores,
        ),
        "MLP": (feeding, per_token * 8 * args.width**2, tokens * 4 * args.width),
        "embedding, norms, head": (max(both - attention - feeding, 0.0), 0, 0),
        "optimiser (Muon)": (updating, 0, 0),
    }


def main() -> None:
    """Prints the peaks, and a table of the parts of a step."""
    parser = argparse.ArgumentParser(description="Where a training step's time goes.")
    parser.add_argument("--time", type=int, default=50, help="pulls of a context")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--micro-batch", type=int)
    args = parser.parse_args()
    rates = peaks()
    print(
        f"peaks: {rates['multiply_adds'] / 1e9:.0f} billion multiply-adds/s, "
        f"{rates['exponentials'] / 1e9:.2f} billion exponentials/s, "
        f"{rates['bytes'] / 1e9:.0f} GB/s copied"
    )
    found = parts(args)
    total = sum(taken for taken, *_ in found.values())
    print(f"{'part':<24}{'ms a step':>10}{'share':>8}{'of the peak':>13}")
    for name, (taken, products, exponentials) in found.items():
        ideal = products / rates["multiply_adds"] + exponentials / rates["exponentials"]
        reached = f"{ideal / taken:.0%}" if ideal else ""
        print(f"{name:<24}{1e3 * taken:>10.2f}{taken / total:>8.0%}{reached:>13}")
    tokens = args.batch * (args.time + 1)
    print(f"{'whole step':<24}{1e3 * total:>10.2f}    {tokens / total:,.0f} tokens/s")


if __name__ == "__main__":
    main()
