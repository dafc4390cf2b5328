"""How large must a DPT be, and how much must it see, to reach the ceiling offline?

Dark Room, 100 random transitions as data, test goals. One at a time, the number of
layers, of heads, the width and the number of training contexts change. The published
plots show the same number, 53.68, nearly everywhere, on one fixed set of data sets: it
is the coverage ceiling of that set, since without the goal in the data nobody can find
it. Here every model gets the same data sets, enough of them, and the ceiling is drawn.

Source: Lee et al. 2023, arXiv 2306.14892, appendix (sensitivity analysis, Dark Room).
Command: icrl run dpt_sensitivity cpu
Cost: about 40 minutes on 2 free cores (cpu, 12 models of 1 training seed).
Expect: (no reference run yet).
"""

import dataclasses

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
EXACT = "exact_posterior_argmax"
# Read out of the paper's figures.
PUBLISHED = {
    "layers": {2: 53.68, 4: 53.68, 6: 52.76, 8: 53.68},
    "heads": {1: 53.68, 2: 53.68, 4: 53.68, 8: 50.92},
    "width": {16: 53.68, 32: 53.68, 64: 53.68, 128: 53.68},
    "examples": {10_000: 44.87, 50_000: 53.68, 100_000: 53.68, 200_000: 52.76},
}
FIELDS = {"layers": "num_layers", "heads": "num_heads", "width": "width"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment; each sweep changes one of the base model's.

    Raises:
        ValueError: if a sweep is empty, or num_examples or a data set is given.
    """

    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    sweep_layers: tuple[int, ...] = (2, 4, 6, 8)
    sweep_heads: tuple[int, ...] = (1, 2, 4, 8)
    sweep_width: tuple[int, ...] = (16, 32, 64, 128)
    sweep_examples: tuple[int, ...] = (10_000, 50_000, 100_000, 200_000)
    num_datasets: int = 2000

    def __post_init__(self):
        super().__post_init__()
        for name in PUBLISHED:
            if not getattr(self, f"sweep_{name}"):
                raise ValueError(f"sweep_{name} must not be empty, got ()")
        self.pretraining.require_neither("is what is swept: give sweep_examples")

    def models(self) -> dict[str, tuple[TransformerConfig, DecisionPretrainingConfig]]:
        """Every model's sizes and the options of its data, by `<sweep>_<value>`."""
        most = max(self.sweep_examples)
        base = dataclasses.replace(self.pretraining, num_examples=most)
        found = {}
        for sweep, field in FIELDS.items():
            for value in getattr(self, f"sweep_{sweep}"):
                model = dataclasses.replace(self.model, **{field: value})
                found[f"{sweep}_{value}"] = model, base
        for value in self.sweep_examples:
            fewer = dataclasses.replace(self.pretraining, num_examples=value)
            found[f"examples_{value}"] = self.model, fewer
        return found


def run(run, config: Config) -> None:
    """Trains every model, and gives all of them the same data sets."""
    import envs
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.evaluation import panels, returns
    from icrl.keys import evaluation_key
    from icrl.pretraining import methods
    from icrl.pretraining.collection import independent_pairs
    from icrl.training import train_models

    family = envs.family(FAMILY)
    exact = algorithms.exact_goal_posterior(family, episodes=1, in_episode=False)
    agents = {EXACT: evaluation.fixed(algorithms.most_likely(exact))}
    learned, tokens, same, first = {}, 0, {}, {}
    for name, (model, options) in config.models().items():
        same[name] = first.setdefault((model, options), name)
        if same[name] != name:  # the base stands in every sweep
            learned[name] = learned[same[name]]
            continue
        recipe = Recipe(
            family=FAMILY, tokenizer="query_first", agent="query_table", model=model
        )
        pretraining = methods.state_query_pretraining(recipe, options)
        trained = train_models(run, recipe, pretraining, config.training, name=name)
        agents[name] = evaluation.trained(
            trained.models, pretraining.tokenizer, agent=recipe.agent, greedy=True
        )
        learned[name] = len(trained.seeds)
        tokens += trained.train_tokens
    scores = returns.offline(
        evaluation_key(config.root_seed),
        family.split().test,
        independent_pairs(family, family.horizon),
        agents,
        num_tasks=config.num_datasets,
        tasks_at_once=50,
    )
    rows, arrays = panels.curve_panel(
        "offline_random",
        scores | {name: scores[base] for name, base in same.items()},
        metric="return",
        learned=learned,
        reference=EXACT,
        published={
            f"{sweep}_{value}": mean
            for sweep, known in PUBLISHED.items()
            for value, mean in known.items()
        },
    )
    run.finish(rows, arrays, train_tokens=tokens)


def figure(summary, arrays):
    """Return by every size, below the ceiling."""
    import numpy as np

    from icrl.drawing import figures

    drawn, axes = figures.new_figure(4, 1, width=3.6, height=3.4)
    ceiling = arrays[f"offline_random/{EXACT}/mean"][0]
    for ax, sweep in zip(axes.flat, PUBLISHED, strict=True):
        start = f"offline_random/{sweep}_"
        values = sorted(int(v) for v in figures.names_in(arrays, start, "/mean"))
        curve = {
            part: np.array([arrays[f"{start}{v}/{part}"][0] for v in values])
            for part in ("mean", "low", "high")
        }
        errors = [curve["mean"] - curve["low"], curve["high"] - curve["mean"]]
        ax.errorbar(values, curve["mean"], errors, fmt="o-", color="#D55E00")
        known = {
            value: figures.find_row(
                summary, "offline_random", f"{sweep}_{value}", "return"
            )["published"]
            for value in values
        }
        marks = {v: mean for v, mean in known.items() if mean is not None}
        ax.plot(marks.keys(), marks.values(), "D", mfc="none", mec="black", ms=5)
        ax.axhline(ceiling, color="black", linestyle=":", linewidth=1.2)
        ax.set(xscale="log", xlabel=sweep, ylim=(0, 70))
        ax.set_xticks(values, [f"{v:,}" for v in values])
        ax.minorticks_off()
        ax.set_title(f"by {sweep}", loc="left", fontsize=10)
    axes[0, 0].set_ylabel("return of an episode, offline")
    axes[0, 0].annotate(
        f"exact posterior {ceiling:.1f}",
        (0.03, ceiling + 1),
        xycoords=("axes fraction", "data"),
        fontsize=8,
    )
    return drawn


EXPERIMENT = Experiment(
    name="dpt_sensitivity",
    question="How large must a DPT be, and how much must it see, in the dark?",
    presets={
        "smoke": Config(
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            sweep_layers=(1,),
            sweep_heads=(2,),
            sweep_width=(16,),
            sweep_examples=(50,),
            num_datasets=20,
        ),
        "cpu": Config(
            model=TransformerConfig(num_layers=2),
            training=cosine_training(4000, 3e-3, micro_batch=8),
            sweep_layers=(1, 2, 4),
            sweep_heads=(1, 2, 4),
            sweep_width=(16, 32, 64),
            sweep_examples=(1000, 5000, 20_000, 50_000),
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            training=cosine_training(
                100_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "40 min on 2 cores",
        "paper": "hours on one GPU (0.7 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
    figure_name="sensitivity",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
