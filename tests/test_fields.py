"""Fields of families: what each is refused and accepted at, and what papers have."""

import dataclasses
import typing

import jaxtyping
import pytest
from edges import (
    ANYTHING,
    INSIDE,
    NEAR,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Edge,
    at_least,
    hold,
)

import envs
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.chain import ChainFamily
from envs.dark_room import DarkRoomFamily
from envs.ergodic_mdp import ErgodicMDPFamily
from envs.frozen_lake import FrozenLakeFamily
from envs.garnet import GarnetFamily
from envs.gaussian_bandit import GaussianBanditFamily
from envs.linear_bandit import LinearBanditFamily
from envs.memory_maze import MemoryMazeFamily
from envs.observation import Discrete
from envs.repeat_previous import RepeatPreviousFamily
from envs.river_swim import RiverSwimFamily
from envs.t_maze import TMazeFamily
from envs.template import FAMILY as CORRIDOR


def numbers():
    """Every numeric field of every registered family, once a class."""
    seen = set()
    for family in (*map(envs.family, envs.names()), CORRIDOR):
        kinds = typing.get_type_hints(type(family))
        for field in (f.name for f in dataclasses.fields(family)):
            place = type(family), field
            if kinds[field] in (int, float) and place not in seen:
                seen.add(place)
                yield family, field, kinds[field]


NUMBERS = [
    pytest.param(family, field, kind, id=f"{type(family).__name__}-{field}")
    for family, field, kind in numbers()
]


@pytest.mark.parametrize(("family", "field", "kind"), NUMBERS)
def test_what_is_no_finite_number_is_refused(family, field, kind, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users run it
    bad = [float("nan"), float("inf"), -float("inf"), "5", True]
    for value in [*bad, *([2.5, -1] if kind is int and "seed" not in field else [])]:
        with pytest.raises(ValueError, match=r"got|must"):
            family.replace(**{field: value})
    if field.endswith(("_std", "probability", "scale", "concentration")):
        with pytest.raises(ValueError, match=r"got|must"):
            family.replace(**{field: -1.0})


OF_STATES = Edge("{} must lie in [1, 30], the number of states", (0, 31), (1, 30))
BELOW = "low must be below high"
EDGES = {
    "action_reward_std": NOT_NEGATIVE,
    "actions": at_least(1),
    "arms_seed": ANYTHING,
    "back": at_least(1),
    "band": at_least(1),
    "branching": OF_STATES,
    "concentration": POSITIVE,
    "decks": at_least(1),
    "hole_probability": PROBABILITY,
    "horizon": at_least(1),
    "large_reward": ANYTHING,
    "least_probability": Edge(
        "{} must lie in (0, 1/5]", (0.0, 0.2 + NEAR), (NEAR, 0.2)
    ),
    "length": at_least(2),
    "move_cost": ANYTHING,
    "noise_std": NOT_NEGATIVE,
    "num_arms": at_least(1),
    "num_landmarks": Edge("{} must lie in [1, 47]", (0, 48), (1, 47)),
    "pads": at_least(2),
    "reward_location": ANYTHING,
    "reward_scale": NOT_NEGATIVE,
    "rewarding": OF_STATES,
    "size": at_least(2),
    "slip_probability": PROBABILITY,
    "small_reward": ANYTHING,
    "split_seed": ANYTHING,
    "state_reward_std": NOT_NEGATIVE,
    "states": at_least(1),
    "test_fraction": INSIDE,
    "treasure": ANYTHING,
    "view": at_least(1),
}
OF_CLASS = {
    (BernoulliBanditFamily, "alpha"): POSITIVE,
    (BernoulliBanditFamily, "beta"): POSITIVE,
    (ChainFamily, "actions"): at_least(2),
    (ErgodicMDPFamily, "states"): Edge(
        "{} must be at least 5, the states in reach", (4,), (5,)
    ),
    (FrozenLakeFamily, "size"): at_least(3),
    (GaussianBanditFamily, "high"): Edge(BELOW, (0.0,), (NEAR,)),
    (GaussianBanditFamily, "low"): Edge(BELOW, (1.0,), (1 - NEAR,)),
    (LinearBanditFamily, "dim"): at_least(1),
    (RepeatPreviousFamily, "horizon"): Edge(
        "{} must be at least back = 4", (3,), (4, 52)
    ),
    (RiverSwimFamily, "states"): at_least(3),
    (TMazeFamily, "horizon"): at_least(2),
}
WITH = {  # so that other fields allow the smallest
    (DarkRoomFamily, "size"): {"start": (0, 0)},
    (GarnetFamily, "states"): {"branching": 1, "rewarding": 1},
    (MemoryMazeFamily, "size"): {"num_landmarks": 1},
}


@pytest.mark.parametrize(("family", "field", "kind"), NUMBERS)
def test_a_number_is_refused_from_its_edge_on(family, field, kind):
    place = type(family), field
    others = WITH.get(place, {})
    edge = OF_CLASS.get(place) or EDGES[field]
    hold(edge, field, lambda value: family.replace(**others, **{field: value}))


BERNOULLI = {"num_arms": 5, "alpha": 1.0, "beta": 1.0}
LINEAR = {"num_arms": 10, "arms_seed": 1234}
LIN2023 = {**LINEAR, "dim": 5, "noise_std": 1.5, "theta_prior": "uniform"}
DARK = {"numbers": False, "test_fraction": 0.2, "split_seed": 0}
ROOM = {**DARK, "goals": "all", "permuted": False, "reward_once": False}
DPT_ROOM = {**ROOM, "size": 10, "start": (0, 0)}
LAKE = {"hole_probability": 0.2, "slip_probability": 2 / 3}
GARNET = {"states": 30, "actions": 4, "branching": 2, "rewarding": 3, "noise_std": 0.1}

# By family: its actions and states (None: no integers), its horizon, and its fields.
PUBLISHED = {
    # Lee et al. 2023, arXiv 2306.14892, appendix
    "BernoulliBandit-DPT-v0": (5, 1, 500, BERNOULLI),
    # Lin, Bai and Mei 2023, arXiv 2310.08566, Section 5
    "BernoulliBandit-Lin2023-v0": (5, 1, 200, BERNOULLI),
    # ours
    "Chain-v0": (3, 6, 20, {"length": 5, "actions": 3}),
    # ours: as Lin et al.'s, but for the arms
    "ContextualLinearBandit-v0": (10, None, 200, {**LIN2023, "arms": "per_step"}),
    # Laskin et al. 2022, arXiv 2210.14215; the split is ours
    "DarkKeyToDoor-AD-v0": (5, 81, 50, {**DARK, "size": 9, "start": "random"}),
    "DarkRoom-AD-v0": (5, 81, 20, {**ROOM, "size": 9, "start": (4, 4)}),
    "DarkRoomHard-AD-v0": (
        *(5, 289, 20),
        {**ROOM, "size": 17, "start": (8, 8), "reward_once": True},
    ),
    # Lee et al. 2023, Section 5 and appendix; the horizon of three tasks is ours
    "DarkRoom-DPT-v0": (5, 100, 100, DPT_ROOM),
    "DarkRoomPermuted-DPT-v0": (
        *(5, 100, 100),
        {**DPT_ROOM, "goals": ((9, 9),), "permuted": True, "test_fraction": 20 / 120},
    ),
    "DarkRoomThreeTasks-DPT-v0": (5, 100, 30, {**DPT_ROOM, "permuted": True}),
    # Osband et al. 2019, arXiv 1908.03568: bsuite's deep_sea of size 10
    "DeepSea-v0": (2, 56, 10, {"move_cost": 0.01, "treasure": 1.0}),
    # ours
    "ErgodicMDP-v0": (
        *(5, 16, 20),
        {
            "states": 16,
            "actions": 5,
            "band": 2,
            "least_probability": 0.02,
            "state_reward_std": 1.0,
            "action_reward_std": 0.2,
            "noise_std": 0.1,
        },
    ),
    # Towers et al. 2024, arXiv 2407.17032: maps and slips; the horizons are ours
    "FrozenLake-4x4-v0": (4, 16, 30, {**LAKE, "size": 4}),
    "FrozenLake-8x8-v0": (4, 64, 100, {**LAKE, "size": 8}),
    # Bhatnagar et al. 2009, Automatica 45(11): GARNET(30, 4, 2, 0.1, 0)
    "Garnet-v0": (4, 30, 20, {**GARNET, "reward_prior": "normal"}),
    "Garnet-Sparse-v0": (4, 30, 20, {**GARNET, "reward_prior": "sparse"}),
    # Lee et al. 2023, Section 5
    "GaussianBandit-DPT-v0": (
        *(5, 1, 500),
        {"num_arms": 5, "noise_std": 0.3, "low": 0.0, "high": 1.0},
    ),
    "LinearBandit-DPT-v0": (
        *(10, 1, 200),
        {
            **LINEAR,
            "dim": 2,
            "noise_std": 0.3,
            "theta_prior": "normal",
            "arms": "fixed",
        },
    ),
    # Lin, Bai and Mei 2023, Section 5
    "LinearBandit-Lin2023-v0": (10, None, 200, {**LIN2023, "arms": "per_task"}),
    # Osband et al. 2020, arXiv 1908.03568: one of its lengths
    "MemoryLength-v0": (2, None, 30, {}),
    # ours, after Parisotto et al. 2020, arXiv 1910.06764
    "MemoryMaze-v0": (5, None, 150, {"size": 7, "view": 1, "num_landmarks": 6}),
    "Numpad-v0": (5, None, 100, {"pads": 2}),
    # Ni et al. 2023, arXiv 2307.03864: one of its lengths
    "PassiveTMaze-v0": (4, None, 51, {}),
    # Duan et al. 2016, arXiv 1611.02779, Section 3.2
    "RandomMDP-RL2-v0": (
        *(5, 10, 10),
        {
            "states": 10,
            "actions": 5,
            "concentration": 1.0,
            "reward_prior": "normal",
            "reward_location": 1.0,
            "reward_scale": 1.0,
            "noise_std": 1.0,
        },
    ),
    # ours
    "RandomMDP-Small-v0": (
        *(3, 5, 5),
        {
            "states": 5,
            "actions": 3,
            "concentration": 1.0,
            "reward_prior": "uniform",
            "reward_location": 0.0,
            "reward_scale": 1.0,
            "noise_std": 0.1,
        },
    ),
    # Morad et al. 2023, arXiv 2303.01859: its easy one
    "RepeatPrevious-v0": (4, 4, 51, {"back": 4, "decks": 1}),
    # Osband, Russo and Van Roy 2013, arXiv 1306.0940, Section 6
    "RiverSwim-v0": (
        *(2, 6, 20),
        {"states": 6, "small_reward": 5 / 1000, "large_reward": 1.0},
    ),
}


def test_every_family_has_its_sizes_written_above():
    """Those of this repository; other packages have more."""
    classes = {name: type(envs.family(name)).__module__ for name in envs.names()}
    assert {n for n in classes if classes[n].startswith("envs.")} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_has_the_sizes_of_its_source(name):
    actions, states, horizon, expected = PUBLISHED[name]
    family = envs.family(name)
    assert family.num_actions == actions
    shown = family.observation
    assert (shown.n if isinstance(shown, Discrete) else None) == states
    fields = {f.name: getattr(family, f.name) for f in dataclasses.fields(family)}
    del fields["name"], fields["source"]
    assert fields == {"horizon": horizon, **expected}
