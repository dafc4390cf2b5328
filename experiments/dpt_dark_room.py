"""Does DPT find a hidden goal in the dark, and how much of the optimum is reached?

A 10x10 room, 100 steps, a reward of 1 for every step at a goal that nobody shows. The
model is asked for the best action in a state, given transitions as data. Offline, the
data is 100 independent transitions, or one episode of the optimal policy. Online, it is
the last episode (the released code's rule), or the last five. Every panel has what an
ideal DPT does under the same rule: the exact posterior over goals.

With 100 random transitions the goal is among the data in 63.4 % of the data sets, and
without it a fixed policy does not find it: 57.6 is the ceiling of "offline, random" for
whoever goes where the data says, not a weakness of a model. Online, forgetting all but
one episode costs 14 of 90.9 in return.

Source: Lee et al. 2023, arXiv 2306.14892, Figures 4a and 4b. Where `dpt` differs: a
cell is shown by one-hot coordinates beside the two numbers (theirs: the numbers alone);
every token asks about a state, so that a context teaches 501 answers and not one, about
data of every length; two contexts in three are cut out of lives of the exact posterior,
most of them in a room where nothing pays, so that its search has not ended; half of the
questions are about states in them; and the label is not the goal's best action but its
law given the context, with the same expectation if any cell may be the goal. No reward
at a test goal is ever seen in training; that a goal may be there is known. With one-hot
coordinates alone, a model takes the corner (0, 9), which no rewarded context is about,
for its neighbour. `dpt_query_first` is the published tokens with one-hot coordinates,
one question a context, and learns hard labels from 100 independent transitions alone.
Command: icrl run dpt_dark_room cpu
Cost: 82 minutes on 2 slow cores (cpu, 2 models of 1 seed).
Expect (cpu): online, at episode 40, 79.3 with the last episode in context (exact 78.5)
and 86.1 with the last five (exact 88.2), the published tokens 59.8. Offline,
56.0 on random data (published tokens 55.6, exact 56.9), and 90.9 on an
expert's (82.0; 90.9). On paired lives, minus the exact posterior: 0.8 [-1.2, 2.8] with
the last episode, -2.1 [-3.5, -0.8] with the last five.
"""

import dataclasses
import functools
from typing import Any

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

FAMILY = "DarkRoom-DPT-v0"
EXACT = "exact_posterior_sampling"
# Read out of the paper's vector figures: 20 test goals, one trial each.
PUBLISHED_ONLINE = {
    "dpt": [
        (1, 0.8),
        (2, 18.6),
        (3, 39.2),
        (5, 61.1),
        (10, 65.4),
        (20, 64.8),
        (30, 66.6),
        (40, 75.1),
    ]
}
PUBLISHED_OFFLINE = {"random": {"dpt": 61.45}, "expert": {"dpt": 87.02}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment.

    Raises:
        ValueError: if the long context is not longer than one episode, or longer than
            a life.
    """

    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    query_first_model: TransformerConfig = dataclasses.field(
        default_factory=TransformerConfig
    )
    query_first_training: TrainingConfig  # of the published tokens
    query_first_pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    num_remembered: int = 5  # episodes in the longer context
    played_share: float = 0.65  # of the training contexts: episodes, not single steps
    short_share: float = 0.15  # of these: by an agent that remembers one episode only
    search_share: float = 0.7  # of the others: in a room where nothing pays
    life: int = 20  # episodes; a played context is cut out of one
    visited_share: float = 0.5  # of the questions: about states of the context
    num_episodes: int = 40  # online
    num_tasks: int = 400  # lives online: the test goals in turn
    num_query_first_tasks: int = 40  # the same for the published tokens, which is slow
    num_datasets: int = 2000

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.num_remembered <= self.life:
            raise ValueError(
                f"num_remembered must lie in [2, life={self.life}], "
                f"got {self.num_remembered}"
            )


def run(run, config: Config) -> None:
    """Trains both models, and plays them offline and online."""
    from icrl import evaluation
    from icrl.evaluation import panels
    from icrl.pretraining import dataset
    from icrl.training import train_models

    play, learned, tokens = {}, {}, 0
    choices = _choices(config)
    dataset.check(*(pretraining for _, pretraining, _ in choices.values()))
    for name, (recipe, pretraining, training) in choices.items():
        trained = train_models(run, recipe, pretraining, training, name=name)
        play[name] = functools.partial(
            evaluation.trained,
            trained.models,
            pretraining.tokenizer,
            agent=recipe.agent,
        )
        learned[name] = len(trained.seeds)
        tokens += trained.train_tokens
    long = config.num_remembered
    dpt, query_first = play["dpt"], play["dpt_query_first"]
    online = functools.partial(_online, config, learned)
    rows, arrays = panels.join(
        [
            *_offline(config, play, learned),
            online("online_last_episode", {"dpt": dpt(num_episodes=1)}, 1),
            online("online_long_context", {"dpt": dpt(num_episodes=long)}, long),
            online("online_train_goals", {"dpt": dpt(num_episodes=1)}, 1, "train"),
            online("online_query_first", {"dpt_query_first": query_first()}, 1),
        ]
    )
    run.finish(rows, arrays, train_tokens=tokens)


def _choices(config: Config):
    """Each model's recipe, pretraining and training."""
    from icrl.agents import Recipe
    from icrl.algorithms.dark_room.goal_posterior import exact_goal_posterior
    from icrl.pretraining import methods
    from icrl.pretraining.collection import (
        either,
        in_other_task,
        independent_pairs,
        some_of_life,
    )

    long = config.num_remembered
    one = Recipe(
        family=FAMILY,
        tokenizer="query_first",
        agent="query_table",
        model=config.query_first_model,
    )
    several = dataclasses.replace(
        one,
        changes={"numbers": True},
        num_episodes=long,
        tokenizer="query_each",
        model=config.model,
    )
    family = one.make_family()
    short_memory, long_memory = (
        some_of_life(
            exact_goal_posterior(family, episodes=kept, in_episode=False),
            num_episodes=long,
            life=config.life,
        )
        for kept in (1, long)
    )
    pairs = independent_pairs(family, long * family.horizon)
    # Of searches that have not ended: late contexts are rare where goals are found.
    long_memory = in_other_task(long_memory, _without_goal, config.search_share)
    lives = either(short_memory, long_memory, config.short_share)
    contexts = either(lives, pairs, config.played_share)
    behaviour = (
        f"episodes of {config.life} ({config.played_share}: short memory "
        f"{config.short_share}, else searches {config.search_share}), independent_pairs"
    )
    return {
        "dpt": (
            several,
            methods.state_query_pretraining(
                several,
                config.pretraining,
                contexts,
                behaviour=behaviour,
                posterior=exact_goal_posterior(family),
                visited=config.visited_share,
            ),
            config.training,
        ),
        "dpt_query_first": (
            one,
            methods.state_query_pretraining(one, config.query_first_pretraining),
            config.query_first_training,
        ),
    }


def _online(config: Config, learned, panel: str, agents, kept: int, half="test"):
    """Returns by episode, with `kept` whole episodes in the context."""
    from icrl import algorithms, evaluation
    from icrl.algorithms.dark_room.goal_posterior import exact_goal_posterior
    from icrl.algorithms.dark_room.snake_sweep import snake_sweep
    from icrl.evaluation import returns
    from icrl.keys import evaluation_key

    family = _family()
    exact = exact_goal_posterior(family, episodes=kept, in_episode=False)
    slow = panel == "online_query_first"
    return returns.online_panel(
        panel,
        evaluation_key(config.root_seed),
        getattr(family.split(), half),
        {
            **agents,
            EXACT: evaluation.fixed(exact),
            "optimal": evaluation.of_task(algorithms.optimal),
            "snake_sweep": evaluation.fixed(snake_sweep(family)),
            "uniform": evaluation.fixed(algorithms.uniform(family)),
        },
        num_tasks=config.num_query_first_tasks if slow else config.num_tasks,
        num_episodes=config.num_episodes,
        learned=learned,
        published=PUBLISHED_ONLINE if panel == "online_last_episode" else None,
    )


def _offline(config: Config, play, learned):
    """The return of one episode, given a data set: of random play, of an expert."""
    import jax

    from icrl import algorithms, evaluation
    from icrl.algorithms.dark_room.goal_posterior import exact_goal_posterior
    from icrl.evaluation import returns
    from icrl.keys import evaluation_key
    from icrl.pretraining.collection import independent_pairs

    family = _family()
    exact = exact_goal_posterior(family, episodes=1, in_episode=False)
    agents = {
        "dpt": play["dpt"](greedy=True),
        "dpt_sampled": play["dpt"](),
        "dpt_query_first": play["dpt_query_first"](greedy=True),
        EXACT: evaluation.fixed(algorithms.most_likely(exact)),
        "optimal": evaluation.of_task(algorithms.optimal),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
    }
    ways = {
        "random": independent_pairs(family, family.horizon),
        "expert": _straight_walk(family),
    }
    return [
        returns.offline_panel(
            f"offline_{name}",
            jax.random.fold_in(evaluation_key(config.root_seed), number),
            family.split().test,
            collect,
            agents,
            num_tasks=config.num_datasets,
            learned={**learned, "dpt_sampled": learned["dpt"]},
            published=PUBLISHED_OFFLINE[name],
        )
        for number, (name, collect) in enumerate(ways.items())
    ]


def _family():
    import envs

    return envs.family(FAMILY)


def _straight_walk(family):
    """An episode of the released code's expert: along x, along y, then it stays."""
    import jax.numpy as jnp

    from envs import grid
    from icrl.algorithms.dark_room.goal_posterior import best_actions
    from icrl.pretraining.collection import demonstration

    best = best_actions(family)
    start = grid.cell_at(jnp.asarray(family.start), family.size)

    def walk(task: Any, obs):
        return best[grid.cell_at(task.goal, family.size), obs]

    return demonstration(lambda key, task: start, walk)


def _without_goal(room):
    """The same room, where nothing pays: its goal lies outside."""
    import jax.numpy as jnp

    return dataclasses.replace(room, goal=jnp.full_like(room.goal, -1))


def coverage_ceiling(best: float) -> float:
    """What 100 random transitions are worth: the optimum, if the goal is seen."""
    return (1 - 0.99**100) * best


def figure(summary, arrays):
    """Offline bars below their ceiling, and returns over episodes."""
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 2, width=5.2)
    figures.draw_bars(
        axes[0, 0],
        summary,
        {"offline_random": "random data", "offline_expert": "expert data"},
        metric="return",
        agents=["dpt", "dpt_query_first", EXACT, "uniform"],
        title="4a  offline, test goals",
        ylabel="return of an episode",
    )
    best = figures.find_row(summary, "offline_random", "optimal", "return")["mean"]
    ceiling = coverage_ceiling(best)
    axes[0, 0].plot([-0.45, 0.45], [ceiling] * 2, "k:", linewidth=1.2)
    axes[0, 0].annotate(
        f"coverage ceiling {ceiling:.1f}", (0.12, ceiling + 1.5), fontsize=8
    )
    for ax, panel, title in (
        (axes[0, 1], "online_last_episode", "4b  online, the last episode in context"),
        (axes[1, 0], "online_long_context", "online, more episodes in context"),
        (axes[1, 1], "online_query_first", "the last episode, published tokens"),
    ):
        marks = PUBLISHED_ONLINE if panel == "online_last_episode" else None
        figures.draw_returns(ax, arrays, panel, title=title, marks=marks)
    return drawn


EXPERIMENT = Experiment(
    name="dpt_dark_room",
    question="Does DPT find a hidden goal in the dark, and what keeps it from that?",
    presets={
        "smoke": Config(
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            query_first_model=SMOKE_MODEL,
            query_first_training=SMOKE_TRAINING,
            num_remembered=2,
            life=2,
            num_episodes=2,
            num_tasks=20,
            num_query_first_tasks=20,
            num_datasets=20,
        ),
        "cpu": Config(
            model=TransformerConfig(width=128, num_layers=3),
            training=cosine_training(3900, 3e-3, batch_size=24, micro_batch=4),
            query_first_model=TransformerConfig(num_layers=3),
            query_first_training=cosine_training(8000, 3e-3, micro_batch=16),
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            model=TransformerConfig(width=128),
            training=cosine_training(
                100_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            query_first_training=cosine_training(
                300_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_remembered=40,
            life=40,  # contexts are whole lives, as those that are played
            num_tasks=2000,
            num_query_first_tasks=400,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "80 min on 2 slow cores",
        "paper": "hours on one GPU (28 billion tokens a seed)",
    },
    run=run,
    figure=figure,
    figure_name="return",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
