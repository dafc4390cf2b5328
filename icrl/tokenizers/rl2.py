"""RL²'s tokens as its authors' code begins a trial."""

from envs.base import Family
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.registry import register
from icrl.tokenizers.step import step


@register("rl2")
def rl2(family: Family) -> Tokenizer:
    """`step` whose first token says that an episode has just ended with action 0.

    A trial's first token looks like that of a later episode which came after action 0
    and no reward.

    Source: the authors' launchers of Duan et al. 2016, arXiv 1611.02779: default action
    0, reward 0, terminal flag 1.
    """
    return step(family, ended=True)
