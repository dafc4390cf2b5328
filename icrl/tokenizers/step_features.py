"""RL²'s tokens that show an action by its features."""

from envs.base import Family
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.registry import register
from icrl.tokenizers.step import step


@register("step_features")
def step_features(family: Family) -> Tokenizer:
    """`step` that shows an action by its features, not by its number.

    A model need not learn to look them up in the observation.

    Raises:
        ValueError: if the family's actions have no features.
    """
    return step(family, by_features=True)
