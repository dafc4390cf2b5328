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
Cost: about 25 minutes of one core (cpu, 4 models of 3 training seeds).
Expect (cpu): regret 13.3 for alpha = 0, and from seed to seed very different (10.5 to
16.0 is its interval), 10.6 or 10.5 for the others, as Thompson sampling's 10.6; alpha =
0 leaves at step 22 [18, 25], predicted 23. Published: 24.5 for alpha = 0, 13.0 for 0.1.
"""

import dataclasses
import functools

from icrl import cli, lin2023, study
from icrl.config import (
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
    muon_training,
)
from icrl.drawing import departures
from icrl.panels import Distances, Drawing, Rows

TARGET = "thompson_sampling"
UNIFORM = "alpha 0"  # how the model of uniform data is called in the figure
PANELS = [
    *lin2023.regret_panels(
        TARGET, title="regret, by Thompson sampling's share of the data"
    ),
    Distances(
        name="on_target_histories",
        title="distance on Thompson sampling's histories",
        target="Thompson sampling",
        after=functools.partial(departures.draw_departure, model=UNIFORM),
    ),
    Drawing(
        name="ratio",
        title="Thompson sampling's histories seen from the data",
        function=functools.partial(departures.draw_ratios, model=UNIFORM),
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
    from icrl.agents import fixed, of_task
    from icrl.algorithms import thompson_sampling
    from icrl.diagnostics import coverage, distribution_ratio

    recipe = study.make_recipe(config, lin2023.BERNOULLI)
    family = recipe.make_family()
    thompson = thompson_sampling(family)
    pretrainings = {
        _name(alpha): lin2023.thompson_pretraining(config, recipe, alpha)
        for alpha in config.alphas
    }
    trained = study.train_each(run, pretrainings, config.training)
    models = {name: found.agent() for name, found in trained.items()}
    test = study.Evaluation(config, family.split().test)
    on_target = test.distances(models, thompson, thompson)
    log_ratios = {
        name: distribution_ratio.log_ratios(
            test.key,
            test.tasks,
            fixed(thompson),
            of_task(pretraining.context),
            num_tasks=config.num_contexts,
        )
        for name, pretraining in pretrainings.items()
    }
    return {
        **lin2023.regrets(test.online({**models, TARGET: thompson})),
        "on_own_histories": test.distances(models, thompson),
        "on_target_histories": on_target,
        "ratio": coverage.of_ratios("ratio", log_ratios),
        "departure": _departure(config, on_target.tv, log_ratios),
    }


def _name(alpha: float) -> str:
    """The model's name."""
    return f"transformer_alpha_{alpha}"


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


CPU = Config(
    seeds=(0, 1, 2),
    tokenizer="step",
    model=TransformerConfig(num_layers=2, mixer=("relu",)),
    training=muon_training(4000, 1e-2, lengths=(25, 75), micro_batch=4),
    pretraining=DecisionPretrainingConfig(num_examples=20_000, labels="posterior"),
    num_contexts=1000,
).takes("25 min on one core")
PUBLISHED = dataclasses.replace(
    CPU.config,
    seeds=(0,),
    training=cosine_training(3000, 1e-2, micro_batch=4),
    pretraining=DecisionPretrainingConfig(num_examples=20_000),
).takes("15 min on 2 cores")
PAPER = Config(
    **lin2023.PAPER,
    pretraining=DecisionPretrainingConfig(num_examples=lin2023.EXAMPLES),
).takes("hours on one GPU (10 billion tokens a seed and model)")
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    cpu=CPU,
    published=PUBLISHED,
    paper=PAPER,
    smoke={"alphas": (0.0, 1.0)},
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
