"""Does DPT adapt to actions whose meanings it has never seen in this order?

The goal is known, the far corner, but the five actions mean right, left, up, down and
stay in a hidden order; 20 of the 120 orders are held out. One random episode shows
every action many times, so that an agent that reads it well plays the optimum, 83, from
the second episode on. The released code has the environment and no data for it.

Source: Lee et al. 2023, arXiv 2306.14892, appendix (Dark Room, permuted); online, the
last episode is the context, as in the released code. As in `dpt_dark_room`, every token
has a query state, half of the training contexts are episodes that the exact posterior
played, and its probabilities of the best action are the label.

What labels and lines know of the test: the posterior that labels, collects and is drawn
knows the 100 orders of training and no other; a held-out order is outside its prior, as
it is outside the model's training. `exact_posterior_all_orders` knows that there are
120.
Command: icrl run dpt_dark_room_permuted cpu
Cost: 11 minutes on 2 cores (cpu, 1 training seed).
Expect (cpu): on held-out orders 80.3 at episode 5 (published 78.8) and 80.6 at episode
40 (80.5), above the posterior that labelled it (68.8 and 73.2), which gives up where an
order is none of its own: the model reads off what each action did, and comes near the
posterior that knows all orders (77.8 and 81.7). The posteriors swing: an episode that
is played well shows few of the actions, and is all that the next one knows. Argmax
play, 29, is caught by its own data.
"""

import dataclasses

from icrl import cli, study
from icrl.config import (
    POSTERIOR_OF_REWARDS,
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
    long_training,
)
from icrl.panels import REFERENCE as EXACT
from icrl.panels import Curves

FAMILY = "DarkRoomPermuted-DPT-v0"
PANELS = [
    Curves(
        name=f"online_{half}",
        title=f"online, {orders}",
        metric="return_last_episode",
        bottom=0.0,
    )
    for half, orders in (
        ("test", "held-out orders of the actions"),
        ("train", "training orders"),
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment."""

    pretraining: DecisionPretrainingConfig = POSTERIOR_OF_REWARDS
    rollout_episodes: int = 4  # of each rollout; a played context is one of them
    num_episodes: int = 40  # that are played
    num_tasks: int = 200  # trajectories: the held-out orders in turn


def run(run, config: Config):
    """Trains, and plays held-out orders and those of training."""
    from icrl import algorithms
    from icrl.algorithms.dark_room.goal_posterior import exact_permutation_posterior
    from icrl.pretraining.collection import either, independent_pairs, part_of_rollout
    from icrl.pretraining.methods import state_query_pretraining

    recipe = study.make_recipe(
        config, FAMILY, tokenizer="query_each", agent="query_table"
    )
    family = recipe.make_family()
    known, every = (
        exact_permutation_posterior(
            family, episodes=1, in_episode=False, permutations=orders
        )
        for orders in ("train", "all")
    )
    pretraining = state_query_pretraining(
        recipe,
        config.pretraining,
        either(
            part_of_rollout(
                known, num_episodes=1, rollout_episodes=config.rollout_episodes
            ),
            independent_pairs(family, family.horizon),
            0.5,
        ),
        behaviour=f"1 episode of {config.rollout_episodes}, or independent_pairs",
        posterior=exact_permutation_posterior(family, permutations="train"),
        visited=0.5,
    )
    dpt = study.train(run, pretraining, config.training)
    agents = {
        **dpt.agents("dpt"),
        EXACT: known,
        "exact_posterior_all_orders": every,
        "optimal": algorithms.optimal,
        "uniform": algorithms.uniform(family),
    }
    split = family.split()
    return {
        "online_test": study.Evaluation(config, split.test).returns(agents),
        "online_train": study.Evaluation(config, split.train).returns(agents),
    }


CPU = Config(
    model=TransformerConfig(width=64, num_layers=3),
    training=cosine_training(2000, 3e-3, micro_batch=4),
).takes("11 min on 2 cores")
PAPER = Config(seeds=(0, 1, 2), training=long_training(300_000), num_tasks=2000).takes(
    "hours on one GPU (2 billion tokens a seed)"
)
SMOKE = {"num_tasks": 20}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, paper=PAPER, smoke=SMOKE, figure_name="return"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
