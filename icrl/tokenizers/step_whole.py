"""RL²'s tokens that also show where the last action was taken, and the clock."""

from envs.base import Family
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.registry import register
from icrl.tokenizers.step import step


@register("step_whole")
def step_whole(family: Family) -> Tokenizer:
    """`step` that shows the state the action was taken in, and the step to come.

    The step of the episode is one-hot. RL² leaves both to the model's memory; a model
    without positions can neither look at the token before nor count.
    """
    return step(family, whole=True)
