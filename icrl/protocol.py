"""What the theory's experiments share: train, play, score against a target, draw.

Every panel that Lin, Bai and Mei 2023 (arXiv 2310.08566) print, cumulative regret and
suboptimality of each step, and what they do not: the loss against its floor, the
distance from the target, and one history with both laws side by side. Like experiments,
it does not import jax before it runs.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from icrl.config import (
    LIN2023_MODEL,
    LIN2023_RELEASED_MODEL,
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    ExperimentConfig,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.tokenizers import TOKENIZERS

AGENT = "transformer"
STEPS = (10, 25, 50, 100, 150, 200)  # where the paper's curves were read


def at_steps(*values: float) -> list[tuple[int, float]]:
    """Published regret at `STEPS`, as marks of a figure."""
    return list(zip(STEPS, values, strict=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of one experiment."""

    horizon: int = 200
    tokenizer: str = "interleaved"
    model: TransformerConfig = LIN2023_MODEL
    training: TrainingConfig
    pretraining: PretrainingConfig = dataclasses.field(
        default_factory=PretrainingConfig
    )
    num_tasks: int = 4000  # unseen bandits that every agent plays
    num_contexts: int = 2000  # fresh contexts on which the loss is measured
    soft_labels: bool = False  # the expert's law instead of its actions

    def __post_init__(self):
        super().__post_init__()
        TOKENIZERS.require(self.tokenizer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionConfig(Config):
    """The same for decision pretraining, which may leave out the empty context."""

    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )


def for_decisions(config: Config) -> DecisionConfig:
    """The same sizes for decision pretraining."""
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    options = DecisionPretrainingConfig(**vars(config.pretraining))
    return DecisionConfig(**{**fields, "pretraining": options})


SMOKE = Config(
    horizon=10,
    model=SMOKE_MODEL,
    training=SMOKE_TRAINING,
    num_tasks=50,
    num_contexts=50,
)
PAPER = Config(  # its sizes; the optimiser is ours, theirs is a constant 1e-3
    seeds=(0, 1, 2),
    training=cosine_training(
        200_000,
        1e-3,
        warmup_steps=2000,
        batch_size=128,
        checkpoint_every=5000,
    ),
    pretraining=PretrainingConfig(num_examples=80_000),
    num_tasks=20_000,
)
# What the released code makes of it: one head, whatever its configuration says.
RELEASED = dataclasses.replace(PAPER, model=LIN2023_RELEASED_MODEL)


def run(
    run: Any,
    config: Config,
    *,
    family: str,
    pretraining: Callable[[Any, Any], Any],
    target: Callable[[Any], Any],
    baselines: Callable[[Any], Mapping[str, Any]],
    reference: str,
    published: Mapping[str, Sequence[tuple[int, float]]],
) -> None:
    """Trains the theory paper's transformer, plays it and what stands beside it.

    Args:
        run: where results go.
        config: sizes.
        family: registered name.
        pretraining: `(recipe, family) -> Pretraining`.
        target: `family -> Algorithm`, which a perfectly trained model equals.
        baselines: `family -> {agent: Algorithm}`; the target is among them.
        reference: the target's name.
        published: values read out of the paper's figures.
    """
    from envs.splits import split_prior
    from icrl import evaluation
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.training import train_models

    recipe = make_recipe(config, family)
    tasks = recipe.make_family()
    choices = pretraining(recipe, tasks)
    trained = train_models(run, recipe, choices, config.training)
    seeds = len(trained.seeds)
    key = evaluation_key(config.root_seed)
    test = split_prior(tasks).test
    transformer = evaluation.trained(trained.models, choices.tokenizer)
    agents = {
        AGENT: transformer,
        f"{AGENT}_argmax": evaluation.trained(
            trained.models, choices.tokenizer, greedy=True
        ),
        **{name: evaluation.fixed(made) for name, made in baselines(tasks).items()},
    }
    losses = evaluation.losses(
        key,
        choices._replace(tasks=test),
        trained.models,
        target(tasks),
        num_tasks=config.num_contexts,
    )
    # the decision after the last step is not carried out, and has no label in AD
    losses = {name: loss[..., :-1] for name, loss in losses.items()}
    parts = [
        *regret_panels(
            evaluation.online(key, test, agents, num_tasks=config.num_tasks),
            learned={AGENT: seeds, f"{AGENT}_argmax": seeds},
            reference=reference,
            published=published,
        ),
        panels.loss_panel(losses, agent=AGENT, seeds=seeds, target=reference),
        *divergence_panels(
            config,
            test,
            {AGENT: transformer},
            evaluation.fixed(target(tasks)),
            {"own": None, "context": evaluation.of_task(choices.context)},
            learned={AGENT: seeds},
        ),
    ]
    rows, arrays = panels.join(parts)
    arrays.update(_history(key, test, target(tasks), transformer, reference))
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def make_recipe(config: Config, family: str) -> Any:
    """What a config's models are trained for."""
    from icrl.agents import Recipe

    return Recipe(
        family=family,
        changes={"horizon": config.horizon},
        tokenizer=config.tokenizer,
        model=config.model,
    )


class TrainedAgents(NamedTuple):
    """Several trained agents, and what they took."""

    agents: dict[str, Any]
    seeds: dict[str, tuple[int, ...]]  # training seeds that did not diverge
    train_tokens: int

    @property
    def learned(self) -> dict[str, int]:
        """How many training seeds each has."""
        return {name: len(seeds) for name, seeds in self.seeds.items()}


def train_each(
    run: Any, choices: Mapping[str, tuple[Any, Any]], training: TrainingConfig
) -> TrainedAgents:
    """Trains a model for each name.

    Args:
        run: where weights go.
        choices: `(recipe, pretraining)` of each.
        training: how they are fitted.
    """
    from icrl import evaluation
    from icrl.pretraining import dataset
    from icrl.training import train_models

    dataset.check(*(pretraining for _, pretraining in choices.values()))
    agents, seeds, tokens = {}, {}, 0
    for name, (recipe, pretraining) in choices.items():
        trained = train_models(run, recipe, pretraining, training, name=name)
        agents[name] = evaluation.trained(trained.models, pretraining.tokenizer)
        seeds[name] = trained.seeds
        tokens += trained.train_tokens
    return TrainedAgents(agents, seeds, tokens)


def decision_pretraining(
    config: DecisionConfig, recipe: Any, context: Any, posterior: Any, behaviour: str
) -> Any:
    """DPT on one context algorithm, with the labels that the config asks for."""
    from icrl.pretraining import methods

    return methods.decision_pretraining(
        recipe,
        lambda task: context,
        config.pretraining,
        behaviour=behaviour,
        posterior=posterior if config.soft_labels else None,
    )


def regret_panels(
    online: Mapping[str, Any],
    *,
    learned: Mapping[str, int],
    reference: str,
    published: Mapping[str, Sequence[tuple[int, float]]] | None = None,
    prefix: str = "",
) -> list[Any]:
    """The two panels of each of the paper's figures, from cumulative regrets.

    Args:
        online: [seeds, tasks, time] for each agent.
        learned: training seeds of each agent that has some.
        reference: the agent that others are compared with.
        published: values read out of the paper's figures.
        prefix: of the panels' names.
    """
    import numpy as np

    from icrl.evaluation import panels

    horizon = online[reference].shape[-1]
    steps = {name: np.diff(r, axis=-1, prepend=0.0) for name, r in online.items()}
    return [
        panels.curve_panel(
            f"{prefix}online",
            online,
            metric="final_regret",
            learned=learned,
            reference=reference,
            published=panels.last(published or {}, horizon),
        ),
        panels.curve_panel(
            f"{prefix}suboptimality",
            steps,
            metric="final_suboptimality",
            learned=learned,
            reference=reference,
        ),
    ]


def divergence_panels(
    config: Config,
    tasks: Any,
    agents: Mapping[str, Any],
    target: Any,
    histories: Mapping[str, Any],
    *,
    learned: Mapping[str, int],
    prefix: str = "",
) -> list[Any]:
    """How far agents are from their target, on several kinds of histories.

    Args:
        config: how many histories of each kind.
        tasks: where tasks come from.
        agents: by name.
        target: what they should equal.
        histories: who plays, by the name of the panel: `on_<name>_histories`. None is
            each agent itself.
        learned: training seeds of each agent.
        prefix: of the panels' names.
    """
    from icrl.diagnostics.divergence import divergence_panel

    return [
        divergence_panel(
            f"{prefix}on_{name}_histories",
            distances(config, tasks, agents, target, who),
            learned=learned,
        )
        for name, who in histories.items()
    ]


def distances(
    config: Config, tasks: Any, agents: Mapping[str, Any], target: Any, histories: Any
) -> dict[str, Any]:
    """`Divergences` of every agent from the target on the same histories."""
    from icrl.diagnostics.divergence import divergences
    from icrl.keys import evaluation_key

    key = evaluation_key(config.root_seed)
    return {
        name: divergences(
            key, tasks, agent, target, histories, num_tasks=config.num_contexts
        )
        for name, agent in agents.items()
    }


def _history(key, tasks, target, agent, reference) -> dict[str, Any]:
    """Laws of the first seed's model and of its target along one target's history."""
    import jax
    import numpy as np

    from icrl.keys import Purpose, fold
    from icrl.rollout import predictions, rollout

    @jax.jit
    def laws(models):
        key_history = fold(key, Purpose.HISTORY)
        key_task, key_noise, key_agent = jax.random.split(key_history, 3)
        task = tasks.sample(key_task)
        life = rollout(key_noise, key_agent, task, target)
        model = jax.tree.map(lambda leaf: leaf[0], models)
        return agent.law(model, task, life), predictions(target, life)

    model_law, target_law = laws(agent.models)
    return {
        f"history/{AGENT}": np.asarray(model_law),
        f"history/{reference}": np.asarray(target_law),
    }


def draw_regrets(
    axes: Any,
    arrays: Mapping[str, Any],
    *,
    title: str = "regret in unseen tasks",
    marks: Mapping[str, Any] | None = None,
) -> None:
    """The two panels of `regret_panels`, on two axes."""
    from icrl.drawing import figures

    figures.draw_curves(
        axes[0],
        arrays,
        "online",
        title=title,
        xlabel="pulls",
        ylabel="cumulative regret (reward units)",
        marks=marks,
    )
    figures.draw_curves(
        axes[1],
        arrays,
        "suboptimality",
        title="suboptimality of each pull",
        xlabel="pulls",
        ylabel="gap of the arm pulled (reward units)",
    )
    axes[1].set_ylim(bottom=0)


def figure(
    arrays: Mapping[str, Any],
    marks: Mapping[str, Any],
    *,
    reference: str,
    bernoulli_arms: int | None = None,
):
    """The paper's two panels, loss, divergence, and the two laws on one history.

    Args:
        arrays: of the run.
        marks: published values.
        reference: the agent that the model should equal.
        bernoulli_arms: how many arms with a uniform prior there are, to draw the
            asymptote of the least Bayes regret.
    """
    from icrl.drawing import figures, styles
    from icrl.theory.lai_robbins import bayes_regret_asymptote

    drawn, axes = figures.new_figure(3, 2)
    if bernoulli_arms is not None:
        pulls = arrays["online/steps"]
        bound = bayes_regret_asymptote(bernoulli_arms, pulls)
        label = "Lai–Robbins, averaged: c ln² t (t → ∞)"
        axes[0, 0].plot(pulls, bound, ":", color="0.4", linewidth=1, label=label)
    draw_regrets(axes[0, :2], arrays, marks=marks)
    figures.draw_loss(
        axes[0, 2], arrays, "loss", title="loss against its floor", agent=AGENT
    )
    for ax, panel, title in (
        (axes[1, 0], "own", "distance on the model's own histories"),
        (axes[1, 1], "context", "distance on the context algorithm's histories"),
    ):
        figures.draw_curves(
            ax,
            arrays,
            f"on_{panel}_histories_tv",
            title=title,
            xlabel="transitions known",
            ylabel=f"total variation to {styles.LABELS[reference]}",
        )
        ax.set_ylim(bottom=0)
    figures.draw_laws(
        axes[1, 2],
        arrays["history/" + AGENT],
        arrays["history/" + reference],
        title="probabilities of the arms along one history",
        names=(AGENT, reference),
    )
    return drawn
