"""Does DPT find a hidden goal in the dark, and how much of the optimum is reached?

A 10x10 room, 100 steps, a reward of 1 for every step at a hidden goal. The model gives
the best action in a query state, with transitions as data. Offline, the data is 100
independent transitions, or one episode of the optimal policy. Online, it is the last
episode (the released code's rule), or the last five. Every panel has what an ideal DPT
does under the same rule: the exact posterior over goals.

With 100 random transitions the goal is among the data in 63.4 % of the data sets, and
without it a fixed policy does not find it: 57.6 is the ceiling of "offline, random" for
every policy that goes where the data says, not a weakness of a model. Online,
forgetting all but one episode costs 14 of 90.9 in return.

Source: Lee et al. 2023, arXiv 2306.14892, Figures 4a and 4b. Where `dpt` differs: a
cell is shown by one-hot coordinates beside the two numbers (theirs: the numbers alone);
every token has a query state, so that a context teaches 501 answers and not one, for
data of every length; two contexts in three are parts of rollouts of the exact
posterior, most of them in a room where nothing pays, so that its search has not ended;
half of the queries are states in them; and the label is not the goal's best action but
the probabilities of the best action given the context.

What labels know of the test: those of `dpt`, posteriors of the rewards, have the prior
that any cell may be the goal, so that test goals are known to be possible, though no
reward at one is ever seen in training. `dpt_optimal_labels` has the published labels,
the best action for the training goal; it says what that knowledge is worth. The exact
posterior has the prior of all goals in every panel. With one-hot coordinates alone, a
model takes the corner (0, 9), which no rewarded context is about, for its neighbour.
`dpt_query_first` is the published tokens with one-hot coordinates, one query a context,
and learns hard labels from 100 independent transitions alone.
Command: icrl run dpt_dark_room cpu
Cost: about 140 minutes on 2 slow cores (cpu, 3 models of 1 seed).
Expect (cpu; no run of `dpt_optimal_labels` yet): online, at episode 40, 79.3 with the
last episode in context (exact 78.5) and 86.1 with the last five (exact 88.2), the
published tokens 59.8. Offline, 56.0 on random data (published tokens 55.6, exact 56.9),
and 90.9 on an expert's (82.0; 90.9). On paired trajectories, minus the exact posterior:
0.8 [-1.2, 2.8] with the last episode, -2.1 [-3.5, -0.8] with the last five.
"""

import dataclasses

from icrl import cli, study
from icrl.config import (
    POSTERIOR_OF_REWARDS,
    DecisionPretrainingConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
    long_training,
)
from icrl.panels import REFERENCE as EXACT
from icrl.panels import Bars, Curves

FAMILY = "DarkRoom-DPT-v0"


def _draw_ceiling(ax, summary, arrays) -> None:
    """The ceiling over the bars of random data."""
    from icrl.drawing import figures

    del arrays
    best = figures.find_row(summary, "offline_random", "optimal", "return")["mean"]
    ceiling = (1 - 0.99**100) * best  # 100 random transitions: is the goal among them?
    label = f"coverage ceiling {ceiling:.1f}"
    ax.plot([-0.45, 0.45], [ceiling] * 2, "k:", linewidth=1.2, label=label)
    figures.beside(ax)


def _online(name: str, title: str = "") -> Curves:
    """A panel of returns by episode."""
    return Curves(name=name, title=title, metric="return_last_episode", bottom=0.0)


PANELS = [
    Bars(
        title="offline, test goals (Figure 4a)",
        groups={"offline_random": "random data", "offline_expert": "expert data"},
        metric="return",
        agents=["dpt", "dpt_query_first", EXACT, "uniform"],
        ylabel="return of an episode",
        after=_draw_ceiling,
    ),
    _online("online_last_episode", "online, the last episode in context (4b)"),
    _online("online_long_context", "online, more episodes in context"),
    _online("online_query_first", "the last episode, published tokens"),
    _online("online_train_goals"),
    Curves(name="offline_random", metric="return"),
    Curves(name="offline_expert", metric="return"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment.

    Raises:
        ValueError: if the long context is not longer than one episode, or longer than
            a rollout.
    """

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
    rollout_episodes: int = 20  # of each rollout that a played context is cut out of
    visited_share: float = 0.5  # of the queries: states of the context
    # of `dpt`: the exact posterior's, whose prior is that the goal may be in any cell,
    # also where no training goal is
    pretraining: DecisionPretrainingConfig = POSTERIOR_OF_REWARDS
    optimal_labels: bool = True  # a second model has the published labels
    num_episodes: int = 40  # online
    num_tasks: int = 400  # trajectories online: the test goals in turn
    num_query_first_tasks: int = 40  # the same for the published tokens, which is slow
    num_datasets: int = 2000  # of each kind, offline

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.num_remembered <= self.rollout_episodes:
            raise ValueError(
                "num_remembered must lie in "
                f"[2, rollout_episodes={self.rollout_episodes}], "
                f"got {self.num_remembered}"
            )


def run(run, config: Config):
    """Trains both models, and plays them offline and online."""
    import functools

    import envs
    from icrl import algorithms
    from icrl.pretraining import collection, dataset, demonstrations

    choices = _choices(config)
    dataset.check(*(pretraining for pretraining, _ in choices.values()))
    trained = {
        name: study.train(run, *choice, name=name) for name, choice in choices.items()
    }
    dpt, query_first = trained["dpt"], trained["dpt_query_first"]
    family, long = envs.family(FAMILY), config.num_remembered
    exact = functools.partial(algorithms.exact_goal_posterior, family, in_episode=False)
    split = family.split()
    test, train = (study.Evaluation(config, half) for half in (split.test, split.train))
    bounds = {"optimal": algorithms.optimal, "uniform": algorithms.uniform(family)}

    def online(tasks, agents, kept: int, **options):
        """Returns by episode, with `kept` whole episodes in the context."""
        known = {EXACT: exact(episodes=kept), **bounds}
        known["snake_sweep"] = algorithms.snake_sweep(family)
        return tasks.returns({**agents, **known}, **options)

    last = {
        name: models.agent(num_episodes=1)
        for name, models in trained.items()
        if models is not query_first
    }
    several = {"dpt": dpt.agent(num_episodes=long)}
    published = {"dpt_query_first": query_first.agent()}
    offline = {
        "dpt": dpt.agent(greedy=True),
        "dpt_sampled": dpt.agent(),
        "dpt_query_first": query_first.agent(greedy=True),
        EXACT: algorithms.most_likely(exact(episodes=1)),
        **bounds,
    }
    pairs = collection.independent_pairs(family, family.horizon)
    walk, number = demonstrations.straight_walk(family), config.num_query_first_tasks
    return {
        "offline_random": test.returns_given(pairs, offline),
        "offline_expert": test.returns_given(walk, offline),
        "online_last_episode": online(test, last, 1),
        "online_long_context": online(test, several, long),
        "online_train_goals": online(train, {"dpt": last["dpt"]}, 1),
        "online_query_first": online(test, published, 1, num_tasks=number),
    }


def _choices(config: Config):
    """Each model's pretraining and training."""
    from icrl.algorithms import exact_goal_posterior
    from icrl.pretraining import collection, demonstrations, methods

    long = config.num_remembered
    several = study.make_recipe(
        config,
        FAMILY,
        changes={"numbers": True},
        num_episodes=long,
        tokenizer="query_each",
        agent="query_table",
    )
    sizes = dataclasses.replace(config, model=config.query_first_model)
    one = study.make_recipe(sizes, FAMILY, tokenizer="query_first", agent="query_table")
    family = one.make_family()
    short_memory, long_memory = (
        collection.part_of_rollout(
            exact_goal_posterior(family, episodes=kept, in_episode=False),
            num_episodes=long,
            rollout_episodes=config.rollout_episodes,
        )
        for kept in (1, long)
    )
    pairs = collection.independent_pairs(family, long * family.horizon)
    # Of searches that have not ended: late contexts are rare where goals are found.
    long_memory = collection.in_other_task(
        long_memory, demonstrations.without_goal, config.search_share
    )
    played = collection.either(short_memory, long_memory, config.short_share)
    contexts = collection.either(played, pairs, config.played_share)
    behaviour = (
        f"episodes of {config.rollout_episodes} ({config.played_share}: short memory "
        f"{config.short_share}, else searches {config.search_share}), independent_pairs"
    )
    options = {"dpt": config.pretraining}
    if config.optimal_labels:
        options["dpt_optimal_labels"] = dataclasses.replace(
            config.pretraining, labels="optimal"
        )
    choices = {
        name: (
            methods.state_query_pretraining(
                several,
                labelled,
                contexts,
                behaviour=behaviour,
                posterior=exact_goal_posterior(family),
                visited=config.visited_share,
            ),
            config.training,
        )
        for name, labelled in options.items()
    }
    published = methods.state_query_pretraining(one, config.query_first_pretraining)
    return {**choices, "dpt_query_first": (published, config.query_first_training)}


CPU = Config(
    model=TransformerConfig(width=128, num_layers=3),
    training=cosine_training(3900, 3e-3, batch_size=24, micro_batch=4),
    query_first_model=TransformerConfig(num_layers=3),
    query_first_training=cosine_training(8000, 3e-3, micro_batch=16),
).takes("140 min on 2 slow cores")
PAPER = Config(
    seeds=(0, 1, 2),
    model=TransformerConfig(width=128),
    training=long_training(100_000),
    query_first_training=long_training(300_000),
    num_remembered=40,
    rollout_episodes=40,  # contexts are whole rollouts, as those that are played
    num_tasks=2000,
    num_query_first_tasks=400,
).takes("hours on one GPU (28 billion tokens a seed)")
SMOKE = {"num_remembered": 2, "rollout_episodes": 2}
SMOKE |= {"num_tasks": 20, "num_query_first_tasks": 20}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, paper=PAPER, smoke=SMOKE, figure_name="return"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
