"""What `training_cost` reads off a curve."""

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
        ([0.08, 0.04, -0.01], (20.2, True)),  # measured on a sample, it may be below
    ],
)
def test_seconds_to_a_target(excess, expected):
    seconds, reached = training_cost.seconds_to(
        0.02, np.array([10.0, 20.0, 30.0]), np.array(excess)
    )
    assert (round(seconds, 0), reached) == (round(expected[0], 0), expected[1])


def test_sides_differ_in_labels_and_optimiser_alone():
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
    assert sides["hard_muon"][1].num_steps == sides["hard_labels"][1].num_steps
