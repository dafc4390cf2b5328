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

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    ExperimentConfig,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

EXACT = "exact_posterior_sampling"
PUBLISHED = {
    "DarkRoom-AD-v0": 14.1,
    "DarkRoomHard-AD-v0": 0.68,
    "DarkKeyToDoor-AD-v0": 1.81,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment.

    Raises:
        ValueError: if the optimal policy of the family cannot be read off its cells.
    """

    family: str = "DarkRoom-AD-v0"
    source: Literal["q_learning", "annealed_optimal"] = "q_learning"
    num_episodes: int = 16  # in a context, and played
    every: int = 6  # one of so many episodes of a history is kept
    epsilon: float = 0.1  # Q-learning's share of uniform actions
    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: PretrainingConfig = dataclasses.field(
        default_factory=PretrainingConfig
    )
    num_tasks: int = 1000

    def __post_init__(self):
        super().__post_init__()
        hidden = self.family != "DarkRoom-AD-v0"
        if self.source == "annealed_optimal" and hidden:
            raise ValueError(
                "source annealed_optimal needs cells that show the state, as in "
                f"DarkRoom-AD-v0, got {self.family}"
            )


def run(run, config: Config) -> None:
    """Trains, and plays in rooms of both halves of the split."""
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.algorithms.annealed_optimal import annealed_optimal
    from icrl.evaluation import panels, returns
    from icrl.keys import evaluation_key
    from icrl.pretraining import methods
    from icrl.training import train_models

    recipe = Recipe(
        family=config.family,
        num_episodes=config.num_episodes,
        tokenizer="step",
        model=config.model,
    )
    family = recipe.make_family()
    learner = _learner(family, config)
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
            lambda task: annealed_optimal(task, num_episodes=config.num_episodes),
            methods.taken_actions_expert,
            config.pretraining,
            behaviour="annealed_optimal",
            labels="its actions",
        )
    trained = train_models(run, recipe, pretraining, config.training)
    seeds = len(trained.seeds)
    agents = {
        "ad": evaluation.trained(trained.models, pretraining.tokenizer),
        "ad_argmax": evaluation.trained(
            trained.models, pretraining.tokenizer, greedy=True
        ),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
        **_references(family),
    }
    parts = []
    for half in ("test", "train"):
        tasks, key = getattr(family.split(), half), evaluation_key(config.root_seed)
        scores = returns.online(
            key,
            tasks,
            agents,
            num_tasks=config.num_tasks,
            num_episodes=config.num_episodes,
        )
        history = returns.online(
            key,
            tasks,
            {"q_learning": evaluation.fixed(learner)},
            num_tasks=config.num_tasks,
            num_episodes=config.num_episodes * config.every,
        )
        kept = slice(config.every - 1, None, config.every)
        scores |= {name: score[..., kept] for name, score in history.items()}
        parts.append(
            panels.curve_panel(
                f"online_{half}",
                scores,
                metric="return_last_episode",
                learned={"ad": seeds, "ad_argmax": seeds},
                reference="q_learning",
                published=_published(config) if half == "test" else {},
            )
        )
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def _learner(family, config: Config):
    """Q-learning that hopes for a reward of 1 from everything it has not tried."""
    from icrl.algorithms.mdp.q_learning import q_learning

    return q_learning(
        family,
        learning_rate=1.0,
        epsilon=config.epsilon,
        start=1.0,
        discount=0.9,
        random_ties=True,
    )


def _published(config: Config):
    known = PUBLISHED.get(config.family)
    return {} if known is None else {"ad": known}


def _references(family):
    """What knows the room, where goals are all that is hidden; and the optimum."""
    from envs.dark_room import DarkRoomFamily
    from icrl import algorithms, evaluation
    from icrl.algorithms.dark_room.goal_posterior import exact_goal_posterior

    if not isinstance(family, DarkRoomFamily):
        return {}
    found = {
        EXACT: evaluation.fixed(exact_goal_posterior(family)),
        "snake_sweep": evaluation.fixed(algorithms.snake_sweep(family)),
    }
    if not family.reward_once:
        found["optimal"] = evaluation.of_task(algorithms.optimal)
    return found


def figure(summary, arrays):
    """Return by episode, in rooms of both halves."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 1, width=5.4, height=4.2)
    for ax, half, rooms in (
        (axes[0, 0], "test", "unseen rooms"),
        (axes[0, 1], "train", "rooms of the training histories"),
    ):
        title = f"no weight update: return in {rooms}"
        figures.draw_returns(ax, arrays, f"online_{half}", title=title)
    return drawn


CPU = Config(
    model=TransformerConfig(num_layers=3),
    training=cosine_training(3000, 3e-3, batch_size=32, micro_batch=4),
    pretraining=PretrainingConfig(num_examples=4000),
)
EXPERIMENT = Experiment(
    name="ad_dark_room",
    question="Does a transformer that watched learning go on to learn by itself?",
    presets={
        "smoke": Config(
            num_episodes=2,
            every=2,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_tasks=20,
        ),
        "cpu": CPU,
        "cpu_key_to_door": dataclasses.replace(
            CPU, family="DarkKeyToDoor-AD-v0", num_episodes=10, every=60
        ),
        "cpu_hard": dataclasses.replace(CPU, family="DarkRoomHard-AD-v0", every=100),
        "paper": Config(
            seeds=(0, 1, 2),
            num_episodes=40,
            every=10,
            model=TransformerConfig(width=64, num_layers=4),
            training=cosine_training(50_000, 3e-4, warmup_steps=1000, batch_size=128),
            num_tasks=2000,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "15 min on 2 cores",
        "cpu_key_to_door": "40 min on 2 cores",
        "cpu_hard": "40 min on 2 cores",
        "paper": "hours on one GPU (5 billion tokens a seed)",
    },
    run=run,
    figure=figure,
    figure_name="return",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
