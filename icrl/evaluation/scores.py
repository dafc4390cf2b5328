"""What agents scored on the same tasks with the same noise."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from icrl.evaluation.statistics import by_distinct_task

Regrets = Float[np.ndarray, "seeds trajectories *time"]


@dataclasses.dataclass(frozen=True)
class Scores(Mapping[str, Any]):
    """A table [seeds, trajectories, time] for each agent, by name.

    Attributes:
        tables: by agent. An algorithm that is not trained has one row.
        learned: the agents whose rows are training seeds.
        task_ids: the task of each trajectory; the same number, the same task.
        tasks_hash: names the tasks and their noise: equal where two tables can be
            compared trajectory by trajectory.
        by_return: whether they are rewards, of which more is better, not regret.
    """

    tables: Mapping[str, Regrets]
    learned: frozenset[str]
    task_ids: Int[np.ndarray, " trajectories"]
    tasks_hash: str = ""
    by_return: bool = False

    def __getitem__(self, agent: str) -> Regrets:
        return self.tables[agent]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    @property
    def num_trajectories(self) -> int:
        """Trajectories of each seed."""
        return len(self.task_ids)

    @property
    def num_tasks(self) -> int:
        """Distinct tasks among them."""
        return len(np.unique(self.task_ids))

    def seeds(self, agent: str) -> int:
        """Training seeds of an agent; 0 if it is not trained."""
        return self.tables[agent].shape[0] if agent in self.learned else 0

    def by_task(self, agent: str) -> Float[np.ndarray, "seeds tasks *time"]:
        """An agent's means over the trajectories in each distinct task."""
        return by_distinct_task(self.tables[agent], self.task_ids)

    def map(self, function: Callable[[Any], Any]) -> "Scores":
        """The same with `function` of every agent's table."""
        tables = {name: function(table) for name, table in self.tables.items()}
        return dataclasses.replace(self, tables=tables)

    def named(self, sources: Mapping[str, str]) -> "Scores":
        """The same under other names: `{new name: name here}`."""
        return dataclasses.replace(
            self,
            tables={new: self[name] for new, name in sources.items()},
            learned=frozenset(n for n, name in sources.items() if name in self.learned),
        )

    def join(self, other: "Scores") -> "Scores":
        """Both tables, of agents that met the same tasks.

        Raises:
            ValueError: if they met others.
        """
        if self.tasks_hash != other.tasks_hash:
            raise ValueError(
                "scores join where the tasks are the same, got tasks "
                f"{self.tasks_hash} and {other.tasks_hash}"
            )
        return dataclasses.replace(
            self,
            tables={**self.tables, **other.tables},
            learned=self.learned | other.learned,
        )
