"""Trained agents: what was trained for what, so that anybody can play it again."""

import dataclasses
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import envs
from envs.base import Family, Key, require
from envs.fields import check_fields
from icrl import errors
from icrl.agents.agent import AGENTS, Agent, require_agent, trained
from icrl.algorithms.base import Algorithm
from icrl.config import TransformerConfig
from icrl.errors import RunError
from icrl.models import ModelConfig
from icrl.registries import MODELS
from icrl.runs import files, serialization
from icrl.runs.weights import load_weights
from icrl.tokenizers import TOKENIZERS
from icrl.tokenizers.base import Tokenizer

RECIPE = {"family": str, "model": {"type": str}}  # what a recipe's file must hold


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a model's weights need to be a model again, and to be played.

    Raises:
        ValueError: if no tokenizer, or no agent, has that name, or a field is of
            another type.
    """

    family: str  # registered name of the family that it was trained on
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)  # to its fields
    num_episodes: int = 1  # in a context
    tokenizer: str = "query_first"
    agent: str = "in_context"  # the agent that plays the model
    model: ModelConfig = dataclasses.field(default_factory=TransformerConfig)

    def __post_init__(self):
        check_fields(self)
        TOKENIZERS.require(self.tokenizer)
        require_agent(self.agent)

    def make_family(self, **changes: Any) -> Family:
        """The family that the model was trained on, with further changes."""
        return envs.family(self.family, **{**self.changes, **changes})

    def make_tokenizer(self) -> Tokenizer:
        """How its tokens are written."""
        return TOKENIZERS[self.tokenizer](self.make_family())

    def make_model(self, key: Key, *, num_steps: int | None = None) -> Any:
        """A model with fresh weights.

        Args:
            key: draws the weights.
            num_steps: longest context in environment steps; what it was trained with
                if None.
        """
        tokenizer = self.make_tokenizer()
        if num_steps is None:
            num_steps = self.num_episodes * self.make_family().horizon
        return self.model.make(
            token_size=tokenizer.token_size,
            num_actions=tokenizer.family.num_actions,
            max_tokens=tokenizer.num_tokens(num_steps),
            arm_features=tokenizer.arm_features,
            rngs=nnx.Rngs(key),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedAgent:
    """A trained agent, ready to be played; made by `icrl.load_agent`.

    Attributes:
        recipe: what was trained for what.
        seeds: training seeds, in the order of the models.
        models: their models, stacked along a leading axis.
    """

    recipe: Recipe
    seeds: tuple[int, ...]
    models: Any

    @property
    def family(self) -> Family:
        """The family that it was trained on."""
        return self.recipe.make_family()

    @property
    def tokenizer(self) -> Tokenizer:
        """The one that it was trained with."""
        return self.recipe.make_tokenizer()

    def model(self, seed: int) -> Any:
        """The model of one training seed.

        Raises:
            ValueError: if there is none of that seed.
        """
        if seed not in self.seeds:
            raise ValueError(f"seed must be one of {self.seeds}, got {seed}")
        index = self.seeds.index(seed)
        return jax.tree.map(lambda leaf: leaf[index], self.models)

    def algorithm(self, seed: int | None = None, *, greedy: bool = False) -> Algorithm:
        """One seed's model (the first if None) as an algorithm for `rollout`."""
        chosen = self.model(self.seeds[0] if seed is None else seed)
        play = AGENTS[self.recipe.agent]
        return play(chosen, self.tokenizer, greedy=greedy)

    def agent(self, *, greedy: bool = False, **options: Any) -> Agent:
        """All seeds' models for `evaluation`, with the options of `trained`."""
        return trained(
            self.models,
            self.tokenizer,
            agent=self.recipe.agent,
            greedy=greedy,
            **options,
        )


def save_recipe(folder: pathlib.Path, recipe: Recipe, name: str = "") -> None:
    """Writes the recipe beside a run's weights."""
    encoded = serialization.encode(recipe)
    files.write_json(_recipe_path(folder, name), encoded)


def load_agent(
    run: str | pathlib.Path, which: str = "", *, num_steps: int | None = None
) -> LoadedAgent:
    """The trained agent of a run, for a notebook or a new evaluation.

    Args:
        run: a run's folder, or an experiment's name: its newest finished run.
        which: name of the model, where a run trained several.
        num_steps: longest context to be played, in environment steps; as trained if
            None. A model with learned positions has no longer one.

    Raises:
        RunError: if there is no such run or model, or a file of it is broken.
        ValueError: if `num_steps` is no whole number from 1 on, or exceeds what a model
            with learned positions has.
    """
    if num_steps is not None:
        whole = isinstance(num_steps, int | np.integer) and not isinstance(
            num_steps, bool
        )
        require(whole, "num_steps must be a whole number", num_steps)
        require(num_steps >= 1, "num_steps must be at least 1", num_steps)
    folder = find_weights(run)
    recipe = read_recipe(folder, which)
    trained_steps = recipe.num_episodes * recipe.make_family().horizon
    steps = trained_steps if num_steps is None else num_steps
    if not recipe.model.plays_longer:
        if steps > trained_steps:
            raise ValueError(
                f"a horizon of {steps} steps is beyond the model's learned positions "
                f"for {trained_steps}"
            )
        steps = trained_steps  # the table keeps its size
    like = jax.eval_shape(
        lambda key: recipe.make_model(key, num_steps=steps), jax.random.key(0)
    )
    paths = _weights(folder, which)
    if not paths:
        raise RunError(f"{folder} has not finished training: it has no weights yet")
    models = [load_weights(paths[seed], like) for seed in sorted(paths)]
    for seed, model in zip(sorted(paths), models, strict=True):
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model)):
            raise RunError(f"{paths[seed]} holds weights that are not finite")
    return LoadedAgent(
        recipe=recipe,
        seeds=tuple(sorted(paths)),
        models=jax.tree.map(lambda *leaves: jnp.stack(leaves), *models),
    )


def read_recipe(folder: pathlib.Path, which: str = "") -> Recipe:
    """The recipe of one of a run's models.

    Raises:
        RunError: if there is no such model, or its recipe is broken.
    """
    path = _recipe_path(folder, which)
    if not path.exists():
        known = [p.stem.removeprefix("recipe").strip("_") for p in _recipes(folder)]
        if not which and known:
            raise RunError(
                f"which (--which) must name one of the models in {folder}: "
                f"{', '.join(known)}"
            )
        raise errors.unknown(f"model in {folder}", which, known)
    encoded = files.read_json(path, RECIPE)
    model = encoded.pop("model")
    try:
        kind = MODELS[model["type"]]
        recipe = serialization.decode(Recipe, encoded)
        recipe = dataclasses.replace(recipe, model=serialization.decode(kind, model))
        recipe.make_family()  # that there is one, with such fields
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error
    return recipe


def find_weights(run: str | pathlib.Path) -> pathlib.Path:
    """The folder of a run that has trained weights.

    Raises:
        RunError: if there is none.
    """
    from icrl.runs.run import results_root

    folder = pathlib.Path(run)
    if folder.is_dir():
        if not _recipes(folder):
            raise RunError(f"{folder} holds no trained weights")
        return folder
    found = [p.parent.parent for p in (results_root() / run).glob("*/weights/recipe*")]
    done = [folder for folder in found if (folder / "DONE").exists()]
    if not done:
        raise RunError(
            f"no trained run of {str(run)!r} in {results_root()}: icrl run {run}"
        )
    return max(done, key=lambda folder: (folder / "DONE").stat().st_mtime)


def _weights(folder: pathlib.Path, which: str) -> dict[int, pathlib.Path]:
    """The weight files of a model by training seed; other files beside them are not."""
    name = re.compile(rf"{re.escape(which + '_' if which else '')}seed_(0|[1-9]\d*)")
    files_there = (folder / "weights").glob("*.safetensors")
    named = ((name.fullmatch(path.stem), path) for path in files_there)
    return {int(found[1]): path for found, path in named if found}


def _recipe_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / "weights" / (f"recipe_{name}.json" if name else "recipe.json")


def _recipes(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / "weights").glob("recipe*.json"))
