"""Does a transformer that watched learning go on to learn, without a weight update?

Algorithm Distillation in dark rooms: a model is trained on histories of Q-learning, of
which every few episodes one is kept, and is then played in rooms whose goals no history
had. It has learnt to learn if its return rises from episode to episode while its
weights stand still. Beside it: Q-learning itself, episode by kept episode; sampling
from the exact posterior over goals; and the snake sweep, which explores better. With
`--source annealed_optimal` there is no learner at all, only an optimal policy behind
noise that clears (AD-ε).

Source: Laskin et al. 2022, arXiv 2210.14215, Section 5 (Dark Room, Dark Room Hard, Dark
Key-to-Door; histories of A3C there); Zisman et al. 2023, arXiv 2312.12275 (AD-ε). The
published returns were read out of the figures, after 20,000 steps in context (50,000
for the key): there AD goes on learning beyond what its context holds.
Command: icrl run ad_dark_room cpu
Cost: about 15 minutes on 2 free cores (cpu, 1 training seed).
Expect (cpu): 0.9 in the first episode of an unseen room and 10.4 in the 16th (rooms of
training 11.0; Q-learning, whose every sixth episode it saw, 2.3 and 14.6; published
14.1 after 1,000 episodes). Argmax play stops exploring: 8.3.
"""

import dataclasses
from typing import Literal

from icrl import cli, published, study
from icrl.config import (
    DistillationConfig,
    TransformerConfig,
    cosine_training,
    require_positive,
)
from icrl.panels import REFERENCE as EXACT
from icrl.panels import Curves

PANELS = [
    Curves(
        name=f"online_{half}",
        title=f"no weight update: return in {rooms}",
        metric="return_last_episode",
        reference="q_learning",
        bottom=0.0,
    )
    for half, rooms in (
        ("test", "unseen rooms"),
        ("train", "rooms of the training histories"),
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes of the experiment.

    Raises:
        ValueError: if the optimal policy of the family cannot be read off its cells.
    """

    family: str = "DarkRoom-AD-v0"  # of dark rooms, or with a key
    # whose histories are distilled: a learner, or an optimal policy whose noise clears
    source: Literal["q_learning", "annealed_optimal"] = "q_learning"
    num_episodes: int = 16  # in a context, and played
    every: int = 6  # one of so many episodes of a history is kept
    epsilon: float = 0.1  # Q-learning's share of uniform actions
    num_tasks: int = 1000  # rooms that every agent plays, in turn

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "every")
        hidden = self.family != "DarkRoom-AD-v0"
        if self.source == "annealed_optimal" and hidden:
            raise ValueError(
                "source annealed_optimal needs cells that show the state, as in "
                f"DarkRoom-AD-v0, got {self.family}"
            )


def run(run, config: Config):
    """Trains, and plays in rooms of both halves of the split."""
    from icrl import algorithms
    from icrl.pretraining import methods

    recipe = study.make_recipe(
        config, config.family, num_episodes=config.num_episodes, tokenizer="step"
    )
    family = recipe.make_family()
    learner = algorithms.q_learning(
        family,
        learning_rate=1.0,
        epsilon=config.epsilon,
        start=1.0,  # the value of the best reward
        discount=0.9,
        random_ties=True,
    )
    if config.source == "q_learning":
        pretraining = methods.algorithm_distillation(
            recipe,
            learner,
            config.pretraining,
            behaviour=f"q_learning(epsilon={config.epsilon})",
            every=config.every,
        )
    else:
        pretraining = methods.choices(
            recipe,
            lambda task: algorithms.annealed_optimal(
                task, num_episodes=config.num_episodes
            ),
            methods.taken_actions_expert,
            config.pretraining,
            behaviour="annealed_optimal",
            labels="its actions",
        )
    ad = study.train(run, pretraining, config.training)
    agents = {
        **ad.agents("ad"),
        "uniform": algorithms.uniform(family),
        **_references(family),
    }
    scores = {}
    for half in ("test", "train"):
        test = study.Evaluation(config, getattr(family.split(), half))
        history = test.returns(
            {"q_learning": learner},
            num_episodes=config.num_episodes * config.every,
            tasks_at_once=500,
        )
        kept = slice(config.every - 1, None, config.every)
        scores[f"online_{half}"] = test.returns(agents, tasks_at_once=500).join(
            history.map(lambda episodes, kept=kept: episodes[..., kept])
        )
    known = published.values(__file__, config.family)
    if known:
        at_the_end = {config.num_episodes: known["ad"][1000]}
        panel = PANELS[0].with_published({"ad": at_the_end})
        scores["online_test"] = panel.numbers(scores["online_test"])
    return scores


def _references(family):
    """What knows the room, where goals are all that is hidden; and the optimum."""
    from envs.dark_room import DarkRoomFamily
    from icrl import algorithms

    if not isinstance(family, DarkRoomFamily):
        return {}
    found = {
        EXACT: algorithms.exact_goal_posterior(family),
        "snake_sweep": algorithms.snake_sweep(family),
    }
    return found if family.reward_once else {**found, "optimal": algorithms.optimal}


CPU = Config(
    model=TransformerConfig(num_layers=3),
    training=cosine_training(3000, 3e-3, batch_size=32, micro_batch=4),
    pretraining=DistillationConfig(num_examples=4000),
)
KEY = dataclasses.replace(CPU, family="DarkKeyToDoor-AD-v0", num_episodes=10, every=60)
HARD = dataclasses.replace(CPU, family="DarkRoomHard-AD-v0", every=100)
PAPER = Config(
    seeds=(0, 1, 2),
    num_episodes=40,
    every=10,
    model=TransformerConfig(width=64, num_layers=4),
    training=cosine_training(50_000, 3e-4, warmup_steps=1000, batch_size=128),
    num_tasks=2000,
)
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU.takes("15 min on 2 cores"),
    cpu_key_to_door=KEY.takes("40 min on 2 cores"),
    cpu_hard=HARD.takes("40 min on 2 cores"),
    paper=PAPER.takes("hours on one GPU (5 billion tokens a seed)"),
    smoke={"every": 2, "num_tasks": 20},
    figure_name="return",
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
