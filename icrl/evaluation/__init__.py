"""Agents on the same tasks with the same noise, and their exact scores."""

from icrl.agents import Agent, fixed, of_task, trained
from icrl.evaluation.cross_entropy import losses
from icrl.evaluation.playing import (
    AGENTS,
    TASKS,
    Agents,
    key_for,
    metric_of,
    offline,
    online,
    over_seeds_and_tasks,
    play,
    score_agents,
    task_at,
)
from icrl.evaluation.scores import Regrets, Scores

__all__ = [
    "AGENTS",
    "TASKS",
    "Agent",
    "Agents",
    "Regrets",
    "Scores",
    "fixed",
    "key_for",
    "losses",
    "metric_of",
    "of_task",
    "offline",
    "online",
    "over_seeds_and_tasks",
    "play",
    "score_agents",
    "task_at",
    "trained",
]
