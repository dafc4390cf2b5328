"""What plays: algorithms, and trained models seen as algorithms."""

from icrl.agents.agent import Agent, as_agent, fixed, of_task, trained
from icrl.agents.in_context import in_context
from icrl.agents.saved import LoadedAgent, Recipe, load_agent, save_recipe

__all__ = [
    "Agent",
    "LoadedAgent",
    "Recipe",
    "as_agent",
    "fixed",
    "in_context",
    "load_agent",
    "of_task",
    "save_recipe",
    "trained",
]
