"""What the experiments of Lin, Bai and Mei 2023 share: sizes, panels and scores.

A transformer imitates an algorithm, its target, and is drawn beside it: cumulative
regret and suboptimality of each step, as they print, and what they do not: the loss
against its floor, the distance from the target, and one history with the action
probabilities of both. Source: arXiv 2310.08566, Section 5. Like experiments, this does
not import jax before something runs.

Over 300 lines: the experiments of one paper share one file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from icrl import study
from icrl.config import (
    LIN2023_MODEL,
    LIN2023_RELEASED_MODEL,
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment
from icrl.panels import Curves, Distances, Drawing, Loss, Panel
from icrl.tokenizers import TOKENIZERS

AGENT = "transformer"
BERNOULLI = "BernoulliBandit-Lin2023-v0"  # the family of most of them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes of one experiment."""

    horizon: int = 200  # pulls
    tokenizer: str = "interleaved"  # how an interaction becomes tokens
    model: TransformerConfig = LIN2023_MODEL
    num_tasks: int = 4000  # unseen bandits that every agent plays
    num_contexts: int = 2000  # fresh contexts on which the loss is measured

    def __post_init__(self):
        super().__post_init__()
        TOKENIZERS.require(self.tokenizer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionConfig(Config):
    """The same for decision pretraining, which may leave out the empty context."""

    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )


PAPER: dict[str, Any] = {  # its sizes; the optimiser is ours, theirs a constant 1e-3
    "seeds": (0, 1, 2),
    "training": cosine_training(
        200_000, 1e-3, warmup_steps=2000, batch_size=128, checkpoint_every=5000
    ),
    "num_tasks": 20_000,
}
EXAMPLES = 80_000  # of the paper's data set


def experiment(
    module: str,
    run: Any,
    panels: Sequence[Panel],
    cpu: Config,
    cost: str,
    **others: Config,
) -> Experiment:
    """Registers an experiment with one model, and returns it; as `study.experiment`.

    Args:
        module: likewise.
        run: likewise.
        panels: likewise.
        cpu: sizes of its own preset; the others are the paper's and the released ones.
        cost: of its own preset.
        others: more presets, by name, which cost as much.
    """
    options = type(cpu.pretraining)(num_examples=EXAMPLES)
    paper = type(cpu)(**PAPER, pretraining=options)
    # one head, whatever its configuration says
    more: dict[str, Any] = {name: own.takes(cost) for name, own in others.items()}
    released = dataclasses.replace(paper, model=LIN2023_RELEASED_MODEL)
    return study.experiment(
        module,
        run,
        panels,
        cpu=cpu.takes(cost),
        paper=paper.takes("hours on one GPU (10 billion tokens a seed)"),
        released=released.takes("as paper, with the one head of the released code"),
        **more,
    )


def regret_panels(
    reference: str,
    *,
    title: str = "regret in unseen tasks",
    bernoulli_arms: int | None = None,
) -> list[Panel]:
    """The two panels of each of the paper's figures.

    Args:
        reference: the agent that the model should equal.
        title: above the first.
        bernoulli_arms: how many arms with a uniform prior there are, to draw the
            asymptote of the least Bayes regret.
    """

    def draw_asymptote(ax: Any, summary: Any, arrays: Mapping[str, Any]) -> None:
        from icrl.theory.lai_robbins import bayes_regret_asymptote

        del summary
        pulls = arrays["online/steps"]
        bound = bayes_regret_asymptote(bernoulli_arms or 0, pulls)
        label = "Lai–Robbins, averaged: c ln² t (t → ∞)"
        ax.plot(pulls, bound, ":", color="0.4", linewidth=1, label=label)

    return [
        Curves(
            name="online",
            title=title,
            reference=reference,
            before=draw_asymptote if bernoulli_arms else None,
        ),
        Curves(
            name="suboptimality",
            title="suboptimality of each pull",
            metric="final_suboptimality",
            reference=reference,
            xlabel="pulls",
            ylabel="gap of the arm pulled (reward units)",
            first_step=1,
            bottom=0.0,
        ),
    ]


def distance_panels(reference: str, *, prefix: str = "") -> list[Panel]:
    """How far the models are from their target, on two kinds of histories."""
    from icrl.drawing.styles import LABELS

    return [
        Distances(
            name=f"{prefix}on_{histories}_histories",
            title=f"distance on {whose} histories",
            target=LABELS[reference],
        )
        for histories, whose in (
            ("own", "the model's own"),
            ("context", "the context algorithm's"),
        )
    ]


def panels(
    reference: str,
    *,
    bernoulli_arms: int | None = None,
    draws_at_random: bool = True,
    title_of_loss: str = "loss against its floor",
) -> list[Panel]:
    """All panels of an experiment with one model.

    Args:
        reference: the target.
        bernoulli_arms: as in `regret_panels`.
        draws_at_random: whether the target does, so that its probabilities along one
            history are worth drawing.
        title_of_loss: empty where it is not worth drawing.
    """

    def draw_history(ax: Any, summary: Any, arrays: Mapping[str, Any]) -> None:
        from icrl.drawing import figures

        del summary
        model, target = (arrays[f"history/{name}"] for name in (AGENT, reference))
        figures.draw_probabilities(ax, model, target, (AGENT, reference))

    title = "probabilities of the arms along one history" if draws_at_random else ""
    return [
        *regret_panels(reference, bernoulli_arms=bernoulli_arms),
        Loss(title=title_of_loss, agent=AGENT, reference=reference),
        *distance_panels(reference),
        Drawing(name="history", title=title, function=draw_history),
    ]


def distillation(config: Config, recipe: Any, algorithm: Any, *, behaviour: str) -> Any:
    """Algorithm distillation: the algorithm plays every context, and labels it.

    Args:
        config: of the run; says which labels.
        recipe: what is trained.
        algorithm: what is distilled.
        behaviour: the algorithm in words, with its settings.
    """
    from icrl.pretraining.methods import algorithm_distillation

    return algorithm_distillation(
        recipe, algorithm, config.pretraining, behaviour=behaviour
    )


def thompson_pretraining(
    config: DecisionConfig, recipe: Any, share: float, **changes: Any
) -> Any:
    """Decision pretraining, whose target is Thompson sampling.

    Args:
        config: of the run; says which labels. Thompson sampling has the family's prior.
        recipe: what is trained.
        share: of the contexts that Thompson sampling plays; uniform play has the rest.
        changes: to the config's options of the data.
    """
    from icrl import algorithms
    from icrl.pretraining.methods import decision_pretraining

    family = recipe.make_family()
    thompson, uniform = algorithms.thompson_sampling(family), algorithms.uniform(family)
    return decision_pretraining(
        recipe,
        algorithms.mixture([thompson, uniform], [share, 1 - share]),
        dataclasses.replace(config.pretraining, **changes),
        behaviour=f"thompson_sampling ({share}), uniform",
    )


def scores(
    run: Any,
    config: Config,
    pretraining: Any,
    reference: str,
    baselines: Any,
    *,
    beside: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Trains one model, and returns what the panels of its experiment show.

    Args:
        run: whose folder holds the model.
        config: of the run.
        pretraining: of the model.
        reference: the target's name among the baselines.
        baselines: algorithms by name.
        beside: other pretrainings by the name of their agent; trained as long, played.
    """
    from icrl.agents import of_task

    trained = study.train(run, pretraining, config.training)
    others = {
        name: study.train(run, other, config.training, name=name).agent()
        for name, other in (beside or {}).items()
    }
    test = study.Evaluation(config, pretraining.recipe.make_family().split().test)
    target, model = baselines[reference], {AGENT: trained.agent()}
    context = of_task(pretraining.context)
    losses = test.losses(trained, target)
    return {
        **regrets(test.online({**trained.agents(AGENT), **others, **baselines})),
        # the decision after the last step is not carried out, and has no label in AD
        "loss": losses.map(lambda loss: loss[..., :-1]),
        "on_own_histories": test.distances(model, target),
        "on_context_histories": test.distances(model, target, context),
        "history": _history(test, model[AGENT], target, reference),
    }


def regrets(online: Any) -> dict[str, Any]:
    """Cumulative regrets, and those of each step."""
    import numpy as np

    steps = online.map(lambda regret: np.diff(regret, axis=-1, prepend=0.0))
    return {"online": online, "suboptimality": steps}


def _history(test: study.Evaluation, agent: Any, target: Any, reference: str) -> Any:
    """Probabilities of the first seed's model and of its target along one history."""
    import jax

    from icrl.evaluation.numbers import Numbers
    from icrl.keys import Purpose, fold
    from icrl.replay import predictions
    from icrl.rollout import rollout

    @jax.jit
    def probabilities(models):
        key_task, key_noise, key_agent = jax.random.split(
            fold(test.key, Purpose.HISTORY), 3
        )
        task = test.tasks.sample(key_task)
        played = rollout(key_noise, key_agent, task, target)
        model = jax.tree.map(lambda leaf: leaf[0], models)
        return {
            f"history/{AGENT}": agent.action_probabilities(model, task, played),
            f"history/{reference}": predictions(target, played),
        }

    return Numbers(arrays=jax.device_get(probabilities(agent.models)))
