"""Lin et al.'s tokens, with an action shown by its features."""

from envs.base import Family
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.interleaved import interleaved
from icrl.tokenizers.registry import register


@register("interleaved_features")
def interleaved_features(family: Family) -> Tokenizer:
    """`interleaved` that shows an action by its features, as Lin et al.'s text does.

    Their code shows its number.

    Raises:
        ValueError: if the family's actions have no features.
    """
    return interleaved(family, by_features=True)
