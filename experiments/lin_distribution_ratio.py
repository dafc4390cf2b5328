"""What does it cost that the data was not collected by the algorithm to be learnt?

Decision pretraining on Bernoulli bandits, 5 arms, 200 pulls, on contexts that Thompson
sampling plays with probability alpha and uniform play otherwise: alpha = 0, 0.1, 0.5,
1. All models have the same labels, the same number of trajectories and the same target,
Thompson sampling. Only the distribution ratio R between target and data differs: 1 for
alpha = 1, 1 / alpha in the end for a mixture, astronomical for alpha = 0.

With uniform data alone the model should leave Thompson sampling where n trajectories
no longer hold one that looks like Thompson sampling's: once the divergence KL_t of its
histories from uniform ones passes ln n. The step at which the model does leave is the
one from which on its distance from Thompson sampling, on Thompson sampling's histories,
stays above twice that of the model which saw just these histories.

In the cpu preset the labels are Thompson sampling's probabilities, not samples: the
minimum is the same, and what is left between the models is the data, not the noise of
labels. With sampled labels and 2,000 steps, alpha = 1 came last (19.8, and 12.6 for
0.5): its early histories teach to pull the arm that was pulled, and it takes longer to
unlearn that.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, the ablation of the distribution ratio
in Section 5 and its appendix; the heuristic is ours. The paper compares independent
simulations; here all play the same tasks with the same noise.
Command: icrl run lin_distribution_ratio cpu
Cost: about 15 minutes on 2 free cores (cpu, 4 models of 1 training seed).
Expect (cpu): regret 12.5 for alpha = 0 and 10.8 for the others, in order, beside
Thompson sampling's 10.6; alpha = 0 leaves at step 21 [19, 22], predicted 23.
"""

import dataclasses
from typing import Any

from icrl import cli, protocol
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

TARGET = "thompson_sampling"
# Read out of the paper's vector figures: one model, 500 tasks.
PUBLISHED = {
    "transformer_alpha_0.0": [(50, 7.0), (100, 12.2), (150, 17.8), (200, 24.5)],
    "transformer_alpha_0.1": [(50, 6.5), (100, 9.1), (150, 11.1), (200, 13.0)],
    "transformer_alpha_0.5": [(50, 6.4), (100, 8.7), (150, 10.1), (200, 11.1)],
    "transformer_alpha_1.0": [(50, 6.3), (100, 8.4), (150, 9.9), (200, 11.0)],
    TARGET: [(50, 6.3), (100, 8.4), (150, 9.6), (200, 10.5)],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(protocol.DecisionConfig):
    """Sizes of the experiment.

    Raises:
        ValueError: if an alpha is no probability, the first is not 0 or the last not 1,
            or no number of trajectories is given.
    """

    alphas: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0)  # shares of Thompson sampling

    def __post_init__(self):
        super().__post_init__()
        ordered = tuple(sorted({0.0, 1.0, *self.alphas}))
        if self.alphas != ordered or (ordered[0], ordered[-1]) != (0, 1):
            raise ValueError(f"alphas must rise from 0 to 1, got {self.alphas}")
        if self.pretraining.num_examples is None:
            raise ValueError("pretraining.num_examples must be given, got None")


def run(run, config: Config) -> None:
    """Trains a model for each alpha, plays them, measures ratios and distances."""
    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.diagnostics.divergence import divergence_panel
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key

    recipe = protocol.make_recipe(config, "BernoulliBandit-Lin2023-v0")
    family = recipe.make_family()
    thompson = algorithms.thompson_sampling(family)
    contexts = {
        alpha: algorithms.mixture(
            [thompson, algorithms.uniform(family)], [alpha, 1 - alpha]
        )
        for alpha in config.alphas
    }
    choices = {
        f"transformer_alpha_{alpha}": (
            recipe,
            protocol.decision_pretraining(
                config,
                recipe,
                context,
                thompson,
                f"thompson_sampling ({alpha}), uniform",
            ),
        )
        for alpha, context in contexts.items()
    }
    trained = protocol.train_each(run, choices, config.training)
    test = split_prior(family).test
    target = evaluation.fixed(thompson)
    online = evaluation.online(
        evaluation_key(config.root_seed),
        test,
        {**trained.agents, TARGET: target},
        num_tasks=config.num_tasks,
    )
    on_target = protocol.distances(config, test, trained.agents, target, target)
    log_ratios = _log_ratios(config, test, target, contexts)
    parts = [
        *protocol.regret_panels(
            online, learned=trained.learned, reference=TARGET, published=PUBLISHED
        ),
        *protocol.divergence_panels(
            config, test, trained.agents, target, {"own": None}, learned=trained.learned
        ),
        divergence_panel("on_target_histories", on_target, learned=trained.learned),
        _ratio_panel(log_ratios),
        _departure_panel(config, on_target, log_ratios),
    ]
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=trained.train_tokens)


def _log_ratios(config: Config, tasks, target, contexts):
    """Thompson sampling's histories against each context algorithm's, in nats."""
    from icrl import evaluation
    from icrl.diagnostics.distribution_ratio import log_ratios
    from icrl.keys import evaluation_key

    return {
        alpha: log_ratios(
            evaluation_key(config.root_seed),
            tasks,
            target,
            evaluation.fixed(context),
            num_tasks=config.num_contexts,
        )
        for alpha, context in contexts.items()
    }


def _ratio_panel(log_ratios):
    """Rows of KL at the horizon and of R, where its estimate can be trusted."""
    import numpy as np

    from icrl.diagnostics.distribution_ratio import ratio
    from icrl.evaluation.statistics import interval
    from icrl.runs.saved import row

    rows, arrays = [], {}
    for alpha, values in log_ratios.items():
        found, kl = ratio(values[0]), interval(values)
        arrays["ratio/steps"] = np.arange(1, values.shape[-1] + 1)
        arrays[f"ratio/alpha_{alpha}/kl"] = kl.mean
        common: dict[str, Any] = {
            "panel": "ratio",
            "agent": f"transformer_alpha_{alpha}",
            "seeds": 0,
            "tasks": values.shape[1],
        }
        ends = [float(part[-1]) for part in kl]
        rows.append(
            row(
                metric="kl_of_histories",
                mean=ends[0],
                low=ends[1],
                high=ends[2],
                **common,
            )
        )
        if found.trusted[-1]:
            value, error = float(found.value[-1]), 1.96 * float(found.std_error[-1])
            rows.append(
                row(
                    metric="distribution_ratio",
                    mean=value,
                    low=value - error,
                    high=value + error,
                    **common,
                )
            )
    return rows, arrays


def _departure_panel(config: Config, on_target, log_ratios):
    """The step at which the model of uniform data leaves, and the predicted one."""
    import numpy as np

    from icrl.diagnostics.distribution_ratio import departure_step, measured_departure
    from icrl.runs.saved import row

    first, last = (f"transformer_alpha_{a}" for a in (config.alphas[0], 1.0))
    found = measured_departure(on_target[first].tv, on_target[last].tv)
    num_examples = config.pretraining.num_examples
    assert num_examples is not None  # for type checkers
    predicted = departure_step(log_ratios[config.alphas[0]][0].mean(0), num_examples)
    rows = []
    if not np.isnan(found.step):
        rows.append(
            row(
                panel="departure",
                agent=first,
                metric="departure_step",
                mean=found.step,
                low=found.low,
                high=found.high,
                seeds=on_target[first].tv.shape[0],
                tasks=config.num_contexts,
                predicted=predicted,
            )
        )
    return rows, {
        "departure/measured": np.asarray(found.step),
        "departure/predicted": np.asarray(np.nan if predicted is None else predicted),
        "departure/log_num_examples": np.asarray(np.log(num_examples)),
    }


def figure(summary, arrays):
    """Regret, suboptimality, distance from the target, coverage of its histories."""
    del summary
    from icrl.drawing import figures, styles

    drawn, axes = figures.new_figure(2, 2, width=5.4)
    protocol.draw_regrets(
        axes[0],
        arrays,
        title="regret in unseen tasks, by Thompson sampling's share of the data",
        marks=PUBLISHED,
    )
    figures.draw_curves(
        axes[1, 0],
        arrays,
        "on_target_histories_tv",
        title="distance on Thompson sampling's histories",
        xlabel="transitions known",
        ylabel="total variation to Thompson sampling",
    )
    axes[1, 0].set_ylim(bottom=0)
    _draw_step(axes[1, 0], arrays["departure/measured"], "alpha 0 leaves at")
    ax = axes[1, 1]
    steps = arrays["ratio/steps"]
    for name in figures.names_in(arrays, "ratio/", "/kl"):
        style = styles.STYLE.get(f"transformer_{name}", {})
        label = styles.LABELS.get(f"transformer_{name}", name)
        ax.plot(steps, arrays[f"ratio/{name}/kl"], **style, label=label)
    log_n = float(arrays["departure/log_num_examples"])
    ax.axhline(log_n, color="black", linewidth=1, linestyle=":")
    ax.text(steps[-1], log_n, "ln n", ha="right", va="bottom", fontsize=8)
    _draw_step(ax, arrays["departure/predicted"], "alpha 0 should leave at")
    ax.set(xlabel="pulls", ylabel="KL of the histories (nats)", yscale="symlog")
    ax.set_title(
        "Thompson sampling's histories seen from the data", loc="left", size=10
    )
    ax.legend(frameon=False, fontsize=8)
    return drawn


def _draw_step(ax, step, text: str) -> None:
    """A vertical line that says what happens at a step; none if it never does."""
    if step != step:  # NaN
        return
    ax.axvline(step, color="black", linewidth=1, linestyle=":")
    place = ax.get_xaxis_transform()
    ax.text(step, 0.02, f" {text} {int(step)}", fontsize=8, transform=place)


EXPERIMENT = Experiment(
    name="lin_distribution_ratio",
    question="What does it cost that the data is not the target algorithm's own?",
    presets={
        "smoke": Config(
            alphas=(0.0, 1.0),
            horizon=10,
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            pretraining=DecisionPretrainingConfig(num_examples=100),
            num_tasks=50,
            num_contexts=50,
        ),
        "cpu": Config(
            tokenizer="step",
            model=TransformerConfig(num_layers=2, mixer=("relu",)),
            training=cosine_training(3000, 1e-2, micro_batch=4),
            pretraining=DecisionPretrainingConfig(num_examples=20_000),
            num_contexts=1000,
            soft_labels=True,
        ),
        "paper": Config(
            seeds=protocol.PAPER.seeds,
            training=protocol.PAPER.training,
            pretraining=DecisionPretrainingConfig(num_examples=80_000),
            num_tasks=protocol.PAPER.num_tasks,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "15 min on 2 cores",
        "paper": "hours on one GPU (10 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
