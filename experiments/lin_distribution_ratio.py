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

from icrl import cli, lin2023, study
from icrl.config import DecisionPretrainingConfig, TransformerConfig, cosine_training
from icrl.panels import Distances, Drawing, Rows

TARGET = "thompson_sampling"
# Read out of the paper's vector figures: one model, 500 tasks.
PUBLISHED = {
    "transformer_alpha_0.0": {50: 7.0, 100: 12.2, 150: 17.8, 200: 24.5},
    "transformer_alpha_0.1": {50: 6.5, 100: 9.1, 150: 11.1, 200: 13.0},
    "transformer_alpha_0.5": {50: 6.4, 100: 8.7, 150: 10.1, 200: 11.1},
    "transformer_alpha_1.0": {50: 6.3, 100: 8.4, 150: 9.9, 200: 11.0},
    TARGET: {50: 6.3, 100: 8.4, 150: 9.6, 200: 10.5},
}


def _draw_step(ax, step, text: str) -> None:
    """A vertical line that says what happens at a step; none if it never does."""
    if step != step:  # NaN
        return
    ax.axvline(step, color="black", linewidth=1, linestyle=":")
    place = ax.get_xaxis_transform()
    ax.text(step, 0.02, f" {text} {int(step)}", fontsize=8, transform=place)


def _draw_departure(ax, summary, arrays) -> None:
    """The step at which the model of uniform data leaves its target."""
    del summary
    _draw_step(ax, arrays["departure/measured"], "alpha 0 leaves at")


def _draw_ratios(ax, summary, arrays) -> None:
    """KL of the histories from the data of each model."""
    del summary
    from icrl.drawing import figures, styles

    steps = arrays["ratio/steps"]
    for name in figures.names_in(arrays, "ratio/", "/kl"):
        style, label = styles.STYLE.get(name, {}), styles.LABELS.get(name, name)
        ax.plot(steps, arrays[f"ratio/{name}/kl"], **style, label=label)
    log_n = float(arrays["departure/log_num_examples"])
    ax.axhline(log_n, color="black", linewidth=1, linestyle=":")
    ax.text(steps[-1], log_n, "ln n", ha="right", va="bottom", fontsize=8)
    _draw_step(ax, arrays["departure/predicted"], "alpha 0 should leave at")
    ax.set(xlabel="pulls", ylabel="KL of the histories (nats)", ylim=(0, None))
    figures.beside(ax)


PANELS = [
    *lin2023.regret_panels(
        TARGET, PUBLISHED, title="regret, by Thompson sampling's share of the data"
    ),
    Distances(
        name="on_target_histories",
        title="distance on Thompson sampling's histories",
        target="Thompson sampling",
        after=_draw_departure,
    ),
    Drawing(
        name="ratio",
        title="Thompson sampling's histories seen from the data",
        function=_draw_ratios,
    ),
    Distances(name="on_own_histories"),
    Rows(name="departure"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(lin2023.DecisionConfig):
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


def run(run, config: Config):
    """Trains a model for each alpha, plays them, measures ratios and distances."""
    from icrl import algorithms
    from icrl.diagnostics.coverage import of_ratios
    from icrl.pretraining.methods import decision_pretraining

    recipe = study.make_recipe(config, "BernoulliBandit-Lin2023-v0")
    family = recipe.make_family()
    thompson, uniform = algorithms.thompson_sampling(family), algorithms.uniform(family)
    contexts = {
        alpha: algorithms.mixture([thompson, uniform], [alpha, 1 - alpha])
        for alpha in config.alphas
    }
    pretrainings = {
        _name(alpha): decision_pretraining(
            recipe,
            context,
            config.pretraining,
            behaviour=f"thompson_sampling ({alpha}), uniform",
            posterior=thompson if config.soft_labels else None,
        )
        for alpha, context in contexts.items()
    }
    trained = study.train_each(run, pretrainings, config.training)
    models = {name: found.agent() for name, found in trained.items()}
    test = study.Evaluation(config, family.split().test)
    on_target = test.distances(models, thompson, thompson)
    log_ratios = _log_ratios(test, thompson, contexts)
    return {
        **lin2023.regrets(test.online({**models, TARGET: thompson})),
        "on_own_histories": test.distances(models, thompson),
        "on_target_histories": on_target,
        "ratio": of_ratios("ratio", log_ratios),
        "departure": _departure(config, on_target.tv, log_ratios),
    }


def _name(alpha: float) -> str:
    """The model's name."""
    return f"transformer_alpha_{alpha}"


def _log_ratios(test: study.Evaluation, target, contexts):
    """Thompson sampling's histories against those of each model's data, in nats."""
    from icrl.agents import fixed
    from icrl.diagnostics.distribution_ratio import log_ratios

    number = test.config.num_contexts
    return {
        _name(alpha): log_ratios(
            test.key, test.tasks, fixed(target), fixed(context), num_tasks=number
        )
        for alpha, context in contexts.items()
    }


def _departure(config: Config, tv, log_ratios):
    """The step at which the model of uniform data leaves, and the predicted one."""
    import math

    from icrl.diagnostics.coverage import add_departure
    from icrl.evaluation.numbers import Numbers

    first, last = _name(config.alphas[0]), _name(1.0)
    number = config.pretraining.num_examples or 0
    numbers, kl = Numbers(), log_ratios[first][0].mean(0)
    found = add_departure(numbers, "departure", first, tv[first], tv[last], kl, number)
    numbers.arrays["departure/measured"] = found[0].step
    numbers.arrays["departure/predicted"] = found[1]
    numbers.arrays["departure/log_num_examples"] = math.log(number)
    return numbers


CPU = study.Preset(
    "15 min on 2 cores",
    Config(
        tokenizer="step",
        model=TransformerConfig(num_layers=2, mixer=("relu",)),
        training=cosine_training(3000, 1e-2, micro_batch=4),
        pretraining=DecisionPretrainingConfig(num_examples=20_000),
        num_contexts=1000,
        soft_labels=True,
    ),
)
PAPER = study.Preset(
    "hours on one GPU (10 billion tokens a seed and model)",
    Config(
        **lin2023.PAPER,
        pretraining=DecisionPretrainingConfig(num_examples=lin2023.EXAMPLES),
    ),
)
SMOKE = study.smoke(CPU, alphas=(0.0, 1.0))
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    {"smoke": SMOKE, "cpu": CPU, "paper": PAPER},
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
