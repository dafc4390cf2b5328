"""Observation spaces: values that are compared, checked and written."""

import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.observation import Arms, Box, Discrete


def test_spaces_are_equal_if_a_model_sees_the_same():
    one_hot, coordinates = Discrete(4), Discrete(4, np.eye(4)[:, :2])
    assert one_hot == Discrete(4) and one_hot not in (Discrete(5), coordinates)
    assert coordinates == Discrete(4, np.eye(4)[:, :2])
    assert coordinates != Discrete(4, np.eye(4)[:, 2:])
    assert len({one_hot, Discrete(4), Box((4,)), Arms(2, 2)}) == 3
    assert Arms(2, 2) != Box((2, 2))


def test_a_space_says_what_a_model_sees():
    assert np.array_equal(Discrete(3).encode(jnp.asarray(1)), [0, 1, 0])
    features = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    shown = Discrete(3, features)
    assert shown.size == 2 and np.array_equal(shown.encode(jnp.asarray(2)), [4, 5])
    for space in (Box((2, 3)), Arms(2, 3)):
        assert space.size == 6 and space.shape == (2, 3)
        assert space.encode(jnp.ones((2, 3))).shape == (6,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Discrete(0),
        lambda: Discrete(3, np.eye(2)),
        lambda: Box((0,)),
        lambda: Box((2,), low=1.0, high=1.0),
        lambda: Arms(0, 1),
        lambda: Arms(1, 0),
    ],
)
def test_a_space_of_impossible_sizes_is_refused(make):
    with pytest.raises(ValueError, match="got"):
        make()


def test_every_family_says_what_it_shows():
    assert envs.family("GaussianBandit-DPT-v0").observation == Discrete(1)
    shown = envs.family("LinearBandit-Lin2023-v0").observation
    assert shown == Arms(10, 5, low=-1.0, high=1.0)
    assert envs.family("DarkRoom-DPT-v0").observation.n == 100
