"""What does it cost that the data was not collected by the algorithm to be learnt?

Decision pretraining on Bernoulli bandits, 5 arms, 200 pulls, on contexts that Thompson
sampling plays with probability alpha and uniform play otherwise: alpha = 0, 0.1, 0.5,
1. All models have the same labels, the same number of trajectories and the same target,
Thompson sampling. Only the distribution ratio R between target and data differs: 1 for
alpha = 1, 1 / alpha in the end for a mixture, astronomical for alpha = 0.

With uniform data alone the model should leave Thompson sampling where n trajectories
no longer hold one that looks like Thompson sampling's: once the divergence KL_t of its
histories from uniform ones passes ln n. The step at which the model does leave is the
first one where its distance from Thompson sampling, on Thompson sampling's histories,
is twice that of the model which saw just these histories.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, the ablation of the distribution ratio
in Section 5 and its appendix; the heuristic is ours. The paper compares independent
simulations; here all play the same tasks with the same noise.
Command: icrl run lin_distribution_ratio cpu
Cost: about 25 minutes on 2 free cores (cpu, 4 models of 1 training seed).
Expect (cpu): regret far the highest for alpha = 0, then 0.1, and 0.5 about 1.
"""

import dataclasses

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment
from icrl.theory import protocol

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
class Config(protocol.Config):
    """Sizes of the experiment.

    Raises:
        ValueError: if an alpha is no probability, the first is not 0 or the last not 1,
            or no number of trajectories is given.
    """

    alphas: tuple[float, ...] = (0.0, 0.1, 0.5, 1.0)  # shares of Thompson sampling

    def __post_init__(self):
        super().__post_init__()
        ordered = tuple(sorted(set(self.alphas)))
        if self.alphas != ordered or self.alphas[0] != 0 or self.alphas[-1] != 1:
            raise ValueError(f"alphas must rise from 0 to 1, got {self.alphas}")
        if self.training.num_examples is None:
            raise ValueError("training.num_examples must be given, got None")


def run(run, config: Config) -> None:
    """Trains a model for each alpha, plays them, measures ratios and distances."""
    import jax

    from envs.splits import split_prior
    from icrl import algorithms, evaluation, imitation, panels

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
            imitation.decision_pretraining(recipe, lambda task, played=played: played),
        )
        for alpha, played in contexts.items()
    }
    agents, learned, tokens = protocol.train_each(run, choices, config.training)
    test = split_prior(family).test
    target = evaluation.fixed(thompson)
    online = evaluation.online(
        jax.random.key(config.root_seed),
        test,
        {**agents, TARGET: target},
        num_tasks=config.num_tasks,
    )
    parts = [
        *protocol.regret_panels(
            online, learned=learned, reference=TARGET, published=PUBLISHED
        ),
        *protocol.divergence_panels(
            config, test, agents, target, target, learned=learned
        ),
    ]
    ratios = _ratios(config, test, target, contexts)
    parts += [_ratio_panel(config, ratios), _departure_panel(config, parts, ratios)]
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=tokens)


def _ratios(config: Config, tasks, target, contexts):
    """R of Thompson sampling's histories over each context algorithm's."""
    import jax

    from icrl import evaluation
    from icrl.theory.distribution_ratio import log_ratios, ratio

    return {
        alpha: ratio(
            log_ratios(
                jax.random.key(config.root_seed),
                tasks,
                target,
                evaluation.fixed(context),
                num_tasks=config.num_contexts,
            )[0]
        )
        for alpha, context in contexts.items()
    }


def _ratio_panel(config: Config, ratios):
    """Rows of R and of KL at the horizon, and their curves."""
    import numpy as np

    from icrl.saved import row

    rows = []
    arrays = {"ratio/steps": np.arange(1, config.horizon + 1)}
    for alpha, found in ratios.items():
        arrays[f"ratio/alpha_{alpha}/kl"] = found.kl
        arrays[f"ratio/alpha_{alpha}/value"] = found.value
        arrays[f"ratio/alpha_{alpha}/trusted"] = found.trusted
        value, error = float(found.value[-1]), float(2 * found.std_error[-1])
        rows.append(
            row(
                panel="ratio",
                agent=f"transformer_alpha_{alpha}",
                metric="distribution_ratio",
                mean=value,
                low=value - error,
                high=value + error,
                seeds=0,
                tasks=config.num_contexts,
                trusted=bool(found.trusted[-1]),
            )
        )
    return rows, arrays


def _departure_panel(config: Config, parts, ratios):
    """The step at which the model of uniform data leaves, and the predicted one."""
    import numpy as np

    from icrl import panels
    from icrl.saved import row
    from icrl.theory.distribution_ratio import departure_step

    _, arrays = panels.join(parts)
    at_ends = [
        arrays[f"on_contexts_tv/transformer_alpha_{alpha}/mean"]
        for alpha in (config.alphas[0], config.alphas[-1])
    ]
    twice = at_ends[0] > 2 * at_ends[1]
    measured = int(np.argmax(twice)) if twice.any() else config.horizon
    assert config.training.num_examples is not None  # for type checkers
    predicted = departure_step(
        ratios[config.alphas[0]].kl, config.training.num_examples
    )
    one = row(
        panel="departure",
        agent=f"transformer_alpha_{config.alphas[0]}",
        metric="departure_step",
        mean=measured,
        low=measured,
        high=measured,
        seeds=len(config.seeds),
        tasks=config.num_contexts,
        predicted=predicted,
    )
    return [one], {
        "departure/measured": measured,
        "departure/predicted": -1 if predicted is None else predicted,
        "departure/log_num_examples": np.log(config.training.num_examples),
    }


def figure(summary, arrays):
    """Regret, suboptimality, distance from the target, coverage of its histories."""
    del summary
    from icrl import figures, styles

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
        "on_contexts_tv",
        title="distance on Thompson sampling's histories",
        xlabel="transitions known",
        ylabel="total variation to Thompson sampling",
    )
    axes[1, 0].set_ylim(bottom=0)
    measured, predicted = arrays["departure/measured"], arrays["departure/predicted"]
    _draw_step(axes[1, 0], int(measured), "alpha 0 leaves at")
    ax = axes[1, 1]
    steps = arrays["ratio/steps"]
    for name in figures.names_in(arrays, "ratio/", "/kl"):
        style = styles.STYLE.get(f"transformer_{name}", {})
        label = styles.LABELS.get(f"transformer_{name}", name)
        ax.plot(steps, arrays[f"ratio/{name}/kl"], **style, label=label)
    log_n = float(arrays["departure/log_num_examples"])
    ax.axhline(log_n, color="black", linewidth=1, linestyle=":")
    ax.text(steps[-1], log_n, "ln n", ha="right", va="bottom", fontsize=8)
    if predicted >= 0:
        _draw_step(ax, int(predicted), "alpha 0 should leave at")
    ax.set(xlabel="pulls", ylabel="KL of the histories (nats)", yscale="symlog")
    ax.set_title(
        "Thompson sampling's histories seen from the data", loc="left", size=10
    )
    ax.legend(frameon=False, fontsize=8)
    return drawn


def _draw_step(ax, step: int, text: str) -> None:
    """A vertical line that says what happens at a step."""
    ax.axvline(step, color="black", linewidth=1, linestyle=":")
    place = ax.get_xaxis_transform()
    ax.text(step, 0.02, f" {text} {step}", fontsize=8, transform=place)


EXPERIMENT = Experiment(
    name="lin_distribution_ratio",
    question="What does it cost that the data is not the target algorithm's own?",
    presets={
        "smoke": Config(
            alphas=(0.0, 1.0),
            horizon=10,
            model=SMOKE_MODEL,
            training=dataclasses.replace(SMOKE_TRAINING, num_examples=100),
            num_tasks=50,
            num_contexts=50,
        ),
        "cpu": Config(
            layout="step",
            model=TransformerConfig(num_layers=2, attention="relu"),
            training=cosine_training(2000, 1e-2, micro_batch=4, num_examples=20_000),
            num_contexts=1000,
        ),
        "paper": Config(
            seeds=protocol.PAPER.seeds,
            training=protocol.PAPER.training,
            num_tasks=protocol.PAPER.num_tasks,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "25 min on 2 cores",
        "paper": "hours on one GPU (10 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
