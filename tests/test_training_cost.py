"""What `training_cost` reads off a curve."""

import dataclasses

import numpy as np
import pytest

from experiments import training_cost


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        ([0.08, 0.04, 0.01], (25.0, True)),  # half way on a logarithmic scale
        ([0.01, 0.04, 0.01], (10.0, True)),
        ([0.08, 0.04, 0.03], (30.0, False)),
        ([0.08, 0.02, 0.01], (20.0, True)),
        ([0.08, 0.04, -0.01], (20.4, True)),  # measured on a sample, it may be below
    ],
)
def test_seconds_to_a_target(excess, expected):
    seconds, reached = training_cost.seconds_to(
        0.02, np.array([10.0, 20.0, 30.0]), np.array(excess)
    )
    assert seconds == pytest.approx(expected[0], abs=0.05) and reached == expected[1]


def test_an_optimiser_is_compared_with_the_same_batches_and_schedule():
    sides = training_cost.CPU.config.sides()
    assert {name: labels for name, (labels, _) in sides.items()} == {
        "ours": "posterior_draws",
        "draws_adamw": "posterior_draws",
        "hard_muon": "optimal",
        "hard_labels": "optimal",
    }
    optimizers = {name: training.optimizer for name, (_, training) in sides.items()}
    assert optimizers == {
        "ours": "muon",
        "draws_adamw": "adamw",
        "hard_muon": "muon",
        "hard_labels": "adamw",
    }
    for name, other in (("hard_muon", "hard_labels"), ("draws_adamw", "ours")):
        like = {
            field: getattr(sides[other][1], field)
            for field in ("optimizer", "learning_rate", "num_steps")
        }
        assert dataclasses.replace(sides[name][1], **like) == sides[other][1]
    assert sides["hard_muon"][1].num_steps == sides["hard_labels"][1].num_steps
    assert sides["draws_adamw"][1].num_steps > sides["ours"][1].num_steps
