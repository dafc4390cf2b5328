"""In-context reinforcement learning: experts, sequence models, training, evaluation.

A newcomer reads six files, in this order:

1. `envs/base.py`: what a task is, and a family of tasks.
2. `icrl/rollout.py`: the one loop in which everything that acts meets a task.
3. `icrl/algorithms/bandits/ucb.py`: an algorithm, as a record of pure functions.
4. `icrl/tokenizers/base.py`: how an interaction becomes tokens.
5. `icrl/agents/in_context.py`: a trained model, seen as an algorithm.
6. `icrl/pretraining/examples.py`: behaviour policy and expert: the pretraining data.

Nothing heavy is imported here: `icrl --help` must answer at once.
"""

import pathlib
import sys
from typing import TYPE_CHECKING, Any

from icrl.gymnasium_ids import register_ids_with_gymnasium
from icrl.packages import ShadowedError, require_own

if TYPE_CHECKING:
    from icrl.agents import load_agent

__all__ = ["load_agent"]

try:
    require_own("envs", "register")
except ShadowedError as error:
    if pathlib.Path(sys.argv[0]).stem != "icrl":
        raise
    print(f"error: {error}", file=sys.stderr)  # the command shows no traceback
    raise SystemExit(2) from None

register_ids_with_gymnasium()  # `gymnasium.make("icrl/...")`; imports nothing now


def __getattr__(name: str) -> Any:
    """Imports what a notebook asks for when it asks for it."""
    if name == "load_agent":
        from icrl.agents import load_agent

        return load_agent
    raise AttributeError(f"module 'icrl' has no attribute {name!r}")
