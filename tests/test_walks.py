"""Where demonstrations and agents went in one room."""

import jax
import numpy as np

import envs
from icrl.agents import of_task
from icrl.algorithms import optimal
from icrl.evaluation.walks import walks
from icrl.pretraining.demonstrations import along_and_up, goals_off_the_walls

FAMILY = envs.family("DarkRoom-DPT-v0", horizon=20)


def test_a_walk_begins_where_it_starts_and_ends_where_it_leads():
    room, demonstrations = FAMILY.task((4, 7)), along_and_up(10, row=0)
    found = walks(jax.random.key(0), room, demonstrations, "agent", of_task(optimal))
    assert set(found) == {"along", "up", "agent"}
    ends = {name: (way[0].tolist(), way[-1].tolist()) for name, way in found.items()}
    assert ends == {
        "along": ([0, 0], [9, 0]),
        "up": ([4, 0], [4, 7]),
        "agent": ([0, 0], [4, 7]),
    }
    for way in found.values():  # a step is one cell along one axis, or none
        assert abs(np.diff(way, axis=0)).sum(-1).max() <= 1


def test_goals_at_the_walls_need_no_turn():
    tasks = FAMILY.split().test
    kept = goals_off_the_walls(tasks).tasks.goal
    assert 0 < len(kept) < len(tasks) and kept.min() > 0
    left_out = tasks.tasks.goal[(tasks.tasks.goal == 0).any(-1)]
    assert len(kept) + len(left_out) == len(tasks)
