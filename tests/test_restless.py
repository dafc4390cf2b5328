"""Channels that change by themselves, in a package of somebody else's."""

import itertools
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plugins import TESTS, icrl, install

from envs.base import TimeStep
from icrl import algorithms, evaluation

NAME, FAMILY = "distil_index", "Channels-Liu2010-v0"
STAYS, BECOMES = 0.9, 0.25  # good channels that stay good, bad ones that become so


@pytest.fixture(scope="module")
def package():
    """The package, imported here too; its names are forgotten afterwards."""
    from envs.registry import FAMILIES
    from icrl.algorithms import ALGORITHMS

    known = [(held, dict(held._entries)) for held in (FAMILIES, ALGORITHMS)]
    sys.path.insert(0, str(TESTS / "restless"))
    from restless_lab import channels, largest_belief

    yield channels, largest_belief
    sys.path.remove(str(TESTS / "restless"))
    for held, entries in known:
        held._entries.clear()
        held._entries.update(entries)


def beliefs_by_enumeration(actions, rewards, num_channels):
    """P(channel good now | what was seen), from all paths of all hidden states."""
    steps = len(actions)
    share = BECOMES / (1 - STAYS + BECOMES)
    total, good_now = 0.0, np.zeros(num_channels)
    for bits in itertools.product([0, 1], repeat=(steps + 1) * num_channels):
        path = np.array(bits).reshape(steps + 1, num_channels)
        if any(path[t, actions[t]] != rewards[t] for t in range(steps)):
            continue
        chance = np.prod(np.where(path[0], share, 1 - share))
        for before, after in itertools.pairwise(path):
            becomes_good = np.where(before, STAYS, BECOMES)
            chance *= np.prod(np.where(after, becomes_good, 1 - becomes_good))
        total += chance
        good_now += chance * path[-1]
    return good_now / total


def test_the_belief_is_that_of_enumerating_all_hidden_states(package):
    channels, largest_belief = package
    family = channels.ChannelsFamily(horizon=4, num_channels=2)
    policy = largest_belief.informed(family.task(STAYS, BECOMES))
    actions = (0, 0, 1, 0)
    for rewards in itertools.product([0, 1], repeat=len(actions)):
        belief = policy.init()
        for action, reward in zip(actions, rewards, strict=True):
            step = TimeStep(None, jnp.asarray(float(reward)), None, None)
            belief = policy.update(belief, None, jnp.asarray(action), step)
        expected = beliefs_by_enumeration(actions, rewards, 2)
        np.testing.assert_allclose(belief, expected, rtol=1e-5)
        law = policy.action_probabilities(belief, None)
        assert law.tolist() == [float(i == expected.argmax()) for i in range(2)]


def test_the_index_policy_earns_most_and_needs_no_probabilities(package):
    channels, largest_belief = package
    family = channels.ChannelsFamily(horizon=20)
    guessed = largest_belief.largest_belief(family)
    stay = guessed._replace(act=lambda key, belief, obs: (belief, jnp.asarray(0)))
    agents = {
        "informed": largest_belief.informed,
        "guessed": guessed,
        "stay": stay,
        "uniform": algorithms.uniform(family),
    }
    scores = evaluation.online(
        jax.random.key(0), family.split().test, agents, num_tasks=300
    )
    assert scores.by_return
    # only the order of the beliefs counts, which p11 > p01 alone decides
    np.testing.assert_array_equal(scores["informed"], scores["guessed"])
    last = {name: table[0, :, -1] for name, table in scores.items()}
    for worse in ("stay", "uniform"):  # both earn what a channel does on average
        lead = last["informed"] - last[worse]
        assert lead.mean() > 5 * lead.std() / np.sqrt(lead.size) > 0
        assert 0.4 * 20 < last[worse].mean() < 0.6 * 20


def test_impossible_probabilities_are_refused(package):
    channels, largest_belief = package
    with pytest.raises(ValueError, match="becomes_good < stays_good"):
        channels.ChannelsFamily(horizon=5, stays_good=(0.2, 0.9))
    with pytest.raises(ValueError, match="becomes_good < stays_good"):
        largest_belief.largest_belief(
            channels.ChannelsFamily(horizon=5), stays_good=0.1
        )


def test_the_command_line_lists_checks_runs_draws_and_evaluates_it(tmp_path):
    folders = [tmp_path / name for name in ("site", "results")]
    for folder in folders:
        folder.mkdir()
    lab = install("restless", *folders)
    listed, checked, ran, drawn, evaluated = icrl(
        lab,
        ["list"],
        ["check-env", FAMILY],
        ["run", NAME, "smoke"],
        ["figure", NAME],
        ["evaluate", NAME, "--family", FAMILY, "--num-tasks", "20"],
    )
    assert f"{NAME}: Does a transformer that watches an index policy" in listed
    assert "FAIL" not in checked and "scored by return" in checked
    means = {tuple(line.split()[:3]): line.split()[3:] for line in ran.splitlines()}
    assert ("online", "ad", "return") in means
    # it comes back to a channel that failed when all others have failed since
    for who in ("informed", "largest_belief"):
        assert float(means["visits", who, "early_visits"][0]) == 0
    assert float(means["visits", "uniform", "early_visits"][0]) > 0.5
    written = [line.split()[1] for line in drawn.splitlines() if "wrote" in line]
    assert [pathlib.Path(path).name for path in written] == ["return.png", "return.pdf"]
    assert "return" in evaluated and "regret" not in evaluated
