"""Frozen pretraining data: the generator's examples on disk, hashed, with a card.

Fresh examples for ever are the default; a frozen set reproduces the papers' setting (a
fixed number of trajectories, seen many times) and can be handed to others. A folder
holds one `.npy` file for each part of the examples, `manifest.json` and `README.md`.
"""

import functools
import hashlib
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.base import Key
from icrl import algorithms
from icrl.agents import Recipe
from icrl.config import DecisionPretrainingConfig
from icrl.errors import RunError
from icrl.keys import dataset_key
from icrl.pretraining import methods
from icrl.pretraining.examples import Example, Pretraining, sample
from icrl.runs import files, serialization
from icrl.tokenizers.base import Tokenizer

EXAMPLES_AT_ONCE = 1000
MANIFEST = {"pretraining": dict, "sha256": str}
Draw = Callable[[Any, Key], Example]  # (data, key) -> one example


def freeze(
    folder: pathlib.Path,
    pretraining: Pretraining,
    *,
    num_examples: int,
    seed: int,
) -> dict[str, Any]:
    """Writes `num_examples` examples of the generator, and returns their manifest.

    Args:
        folder: must not exist, or be empty.
        pretraining: the generator.
        num_examples: trajectories.
        seed: of the generator; example i depends on it and on i alone.

    Raises:
        RunError: if the folder is not empty.
        ValueError: if `num_examples` is less than 1.
        OSError: if the disk is full; a set without its manifest counts as absent.
    """
    if num_examples < 1:
        raise ValueError(f"num_examples must be at least 1, got {num_examples}")
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; a frozen data set is never overwritten")
    arrays = _generate(pretraining, num_examples, seed)
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        digest.update(buffer.getvalue())
        files.write_atomic(folder / f"{name}.npy", buffer.getvalue())
    manifest = {
        "pretraining": dict(pretraining.description),
        "seed": seed,
        "num_examples": num_examples,
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
        "dtypes": {name: str(array.dtype) for name, array in arrays.items()},
        "sha256": digest.hexdigest(),
    }
    files.write_atomic(folder / "README.md", _card(manifest).encode())
    files.write_json(folder / "manifest.json", manifest)
    return manifest


def freeze_dpt(
    folder: pathlib.Path,
    *,
    family: str,
    horizon: int | None = None,
    num_episodes: int = 1,
    context: str = "dirichlet_point_mass",
    tokenizer: str = "query_first",
    empty_context: bool = True,
    num_examples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Freezes contexts of a named algorithm, labelled by the optimal policy.

    Raises:
        ValueError: if a name is unknown, or a number breaks its rule.
        RunError: if the folder is not empty.
    """
    recipe = Recipe(
        family=family,
        changes={} if horizon is None else {"horizon": horizon},
        num_episodes=num_episodes,
        tokenizer=tokenizer,
    )
    algorithm = algorithms.make(context, recipe.make_family())
    pretraining = methods.decision_pretraining(
        recipe,
        lambda task: algorithm,
        DecisionPretrainingConfig(empty_context=empty_context),
        behaviour=context,
    )
    return freeze(folder, pretraining, num_examples=num_examples, seed=seed)


def load(folder: pathlib.Path) -> Example:
    """Reads a frozen data set into memory and checks its hash.

    Raises:
        RunError: if there is none, or its files are not those of its manifest.
    """
    manifest = files.read_json(folder / "manifest.json", MANIFEST)
    digest, arrays = hashlib.sha256(), {}
    for name in Example._fields:
        try:
            data = (folder / f"{name}.npy").read_bytes()
        except FileNotFoundError:
            raise RunError(f"{folder / name}.npy is missing") from None
        digest.update(data)
        arrays[name] = data
    if digest.hexdigest() != manifest["sha256"]:
        raise RunError(
            f"{folder} is not the data set of its manifest: sha256 is "
            f"{digest.hexdigest()[:16]}..., not {manifest['sha256'][:16]}..."
        )
    try:
        return Example(**{k: np.load(io.BytesIO(v)) for k, v in arrays.items()})
    except (ValueError, EOFError) as error:
        raise RunError(f"{folder} cannot be read ({error})") from None


def source(pretraining: Pretraining) -> tuple[Draw, Any]:
    """Where training examples come from: `draw` and the data that it reads.

    Rows of a data set, made here or frozen, are drawn with replacement. One made here
    is the same for all training seeds.

    Args:
        pretraining: the generator; its options choose.

    Raises:
        RunError: if a frozen data set is broken, or was frozen by another pretraining
            or for other sizes.
    """
    check(pretraining)
    folder, num_examples = pretraining.options.dataset, pretraining.options.num_examples
    if num_examples is not None:
        made = _generate(pretraining, num_examples, seed=0)
        return _draw_row, Example(**jax.tree.map(jnp.asarray, made))
    if folder is None:
        return _draw_fresh(pretraining), None
    data = jax.tree.map(jnp.asarray, load(pathlib.Path(folder)))
    expected = jax.eval_shape(functools.partial(sample, pretraining), jax.random.key(0))
    for name, have, want in zip(Example._fields, data, expected, strict=True):
        if have.shape[1:] != want.shape:
            raise RunError(
                f"{folder} was frozen for other sizes: {name} is {have.shape[1:]} "
                f"there and {want.shape} here"
            )
    return _draw_row, data


def beginnings(draw: Draw, tokenizer: Tokenizer, num_steps: int) -> Draw:
    """The same rows, of which the first steps alone are read.

    Args:
        draw: of a data set.
        tokenizer: of its rows.
        num_steps: after which a row is cut.
    """
    num_tokens = tokenizer.num_tokens(num_steps)

    def shorter(data: Example, key: Key) -> Example:
        row = draw(data, key)
        decisions = num_steps + 1
        return Example(
            tokens=row.tokens[:num_tokens],
            labels=row.labels[:decisions],
            weights=row.weights[:decisions],
        )

    return shorter


def check(*pretrainings: Pretraining) -> None:
    """Returns if a frozen data set, where one is named, was made by that pretraining.

    Raises:
        RunError: if it was made by another one, or there is none.
    """
    for pretraining in pretrainings:
        if pretraining.options.dataset is None:
            continue
        folder = pathlib.Path(pretraining.options.dataset)
        there = files.read_json(folder / "manifest.json", MANIFEST)["pretraining"]
        here = json.loads(json.dumps(dict(pretraining.description)))
        different = serialization.first_difference(there, here)
        if different:
            what, frozen, wanted = different
            raise RunError(
                f"{folder} was frozen by another pretraining: {what} is {frozen!r} "
                f"there and {wanted!r} here"
            )


def _draw_fresh(pretraining: Pretraining) -> Draw:
    def draw(data: None, key: Key) -> Example:
        del data
        return sample(pretraining, key)

    return draw


def _draw_row(data: Example, key: Key) -> Example:
    row = jax.random.randint(key, (), 0, data.tokens.shape[0])
    return jax.tree.map(lambda leaf: leaf[row], data)


def _generate(
    pretraining: Pretraining, num_examples: int, seed: int
) -> dict[str, np.ndarray]:
    @jax.jit
    def run(root: Key) -> Example:
        return jax.lax.map(
            lambda index: sample(pretraining, jax.random.fold_in(root, index)),
            jnp.arange(num_examples),
            batch_size=min(EXAMPLES_AT_ONCE, num_examples),
        )

    return {k: np.asarray(v) for k, v in run(dataset_key(seed))._asdict().items()}


def _card(manifest: dict[str, Any]) -> str:
    lines = ["# A frozen pretraining data set", ""]
    lines += ["| | |", "| --- | --- |"]
    flat = {**manifest["pretraining"], **manifest}
    del flat["pretraining"]
    lines += [f"| {name} | {value} |" for name, value in flat.items()]
    lines += [
        "",
        "Row i of `tokens.npy`, `labels.npy` and `weights.npy` is one trajectory: its "
        "tokens, the expert's probabilities at every decision, and the weight of each "
        "decision in the loss. Written by the generator that training uses; the same "
        "seed and versions write the same bytes.",
    ]
    return "\n".join(lines) + "\n"
