"""In-context reinforcement learning: experts, sequence models, training, evaluation.

Nothing heavy is imported here: `icrl --help` must answer at once.
"""

from typing import TYPE_CHECKING, Any

from icrl.gymnasium_ids import register_ids_with_gymnasium

if TYPE_CHECKING:
    from icrl.agents import load_agent

__all__ = ["load_agent"]

register_ids_with_gymnasium()  # `gymnasium.make("icrl/...")`; imports nothing now


def __getattr__(name: str) -> Any:
    """Imports what a notebook asks for when it asks for it."""
    if name == "load_agent":
        from icrl.agents import load_agent

        return load_agent
    raise AttributeError(f"module 'icrl' has no attribute {name!r}")
