"""Agents on the same tasks with the same noise, and their exact scores."""

from icrl.agents import Agent, fixed, of_task, trained
from icrl.evaluation.scores import (
    AGENTS,
    TASKS,
    Regrets,
    key_for,
    losses,
    metric_of,
    offline,
    online,
    over_seeds_and_tasks,
    play,
    task_at,
)

__all__ = [
    "AGENTS",
    "TASKS",
    "Agent",
    "Regrets",
    "fixed",
    "key_for",
    "losses",
    "metric_of",
    "of_task",
    "offline",
    "online",
    "over_seeds_and_tasks",
    "play",
    "task_at",
    "trained",
]
