"""Does GTrXL learn in context by imitation as a GPT does, and what does reward add?

A GTrXL, a GPT, a GRU and an LSTM read the same tokens of Bernoulli bandits. Each is
pretrained twice: as DPT, whose ideal is Thompson sampling, and as AD, whose is UCB.
Regret and divergence from the ideal stand beside what a model costs: its parameters,
and the multiplications of one decision. Thompson sampling explores too much for 20
pulls: the DPT GTrXL then goes on by PPO, from where it stands, towards the optimum,
beside one that learns by as much reward alone.

Source: ours; GTrXL is that of Parisotto et al. 2020, arXiv 1910.06764, which has
neither pretraining nor bandits. All models are as wide and as deep. Gittins indices
stand for the optimum, which earns 14.287 in 20 pulls of 5 arms (by recursion over all
histories).
Command: icrl run gtrxl_pretrained cpu
Cost: about an hour of one core (cpu, 8 models of 3 training seeds, 2 by reward).
Expect (cpu, 20 pulls of 5 arms): all four imitate as well: as DPT 3.92 beside Thompson
sampling's 3.94 (GTrXL -0.4 % ± 1.4), 0.0001 nats from it or less, as AD 2.47 to 2.48
beside UCB's 2.47. The GPT costs half of GTrXL's multiplications. Behind reward the DPT
GTrXL is at 2.45, near Gittins' 2.37 (+0.08 ± 0.06); one that learnt as much by reward
alone is at 2.55.
"""

import dataclasses
import functools
from typing import Any

from icrl import cli, gtrxl, study
from icrl.config import (
    DecisionPretrainingConfig,
    TransformerConfig,
    muon_training,
)
from icrl.drawing.costs import draw_by_cost
from icrl.drawing.styles import LABELS
from icrl.online_config import PpoConfig
from icrl.panels import Curves, Distances, Drawing, Panel

TARGETS = {"dpt": "thompson_sampling", "ad": "ucb"}  # what each pretraining teaches
FINE_TUNED, ALONE = "dpt_gtrxl_fine_tuned", "gtrxl"  # by reward: after it, and alone


MODELS = ("gtrxl", "softmax", "gru", "lstm")


def _panels(teaching: str) -> list[Panel]:
    """Regret and distance of one pretraining, beside its target and its cost."""
    target = TARGETS[teaching]
    return [
        Curves(
            name=f"{teaching}_online",
            title=f"regret, taught by {LABELS[target]}",
            reference=target,
        ),
        Distances(
            name=f"{teaching}_on_own_histories",
            title="distance on the model's own histories",
            measure="kl",
            target=LABELS[target],
        ),
        Drawing(
            name=f"{teaching}_cost",
            title="regret above the target, by cost",
            function=functools.partial(
                draw_by_cost,
                panels=(f"{teaching}_online", f"{teaching}_cost"),
                agents=[f"{teaching}_{name}" for name in MODELS],
                metric=f"final_regret_minus_{target}",
            ),
            needs=f"{teaching}_online/",
        ),
    ]


PANELS = [
    *_panels("dpt"),
    *_panels("ad"),
    Curves(
        name="fine_tuning",
        title="imitation, then reward",
        reference="gittins",
        ideal=False,
        agents=("thompson_sampling", "dpt_gtrxl", ALONE, FINE_TUNED, "gittins"),
        styles={ALONE: {"color": "#009E73", "label": "GTrXL, reward alone"}},
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment; every model has the width and depth of `model`."""

    horizon: int = 20  # pulls
    num_tasks: int = 4000  # unseen bandits that every agent plays
    num_contexts: int = 1000  # histories on which distances are measured
    models: tuple[str, ...] = MODELS  # that learn by imitation
    fine_tuning: PpoConfig  # of the DPT GTrXL

    def __post_init__(self):
        super().__post_init__()
        if set(self.models) - set(MODELS) or "gtrxl" not in self.models:
            raise ValueError(
                f"models must be of {MODELS}, with gtrxl, got {self.models}"
            )


def run(run, config: Config):
    """Trains every model on either teaching, and one of them further."""
    from icrl import algorithms
    from icrl.algorithms import make
    from icrl.pretraining.methods import algorithm_distillation, decision_pretraining

    recipes = _recipes(config)
    family = recipes["gtrxl"].make_family()
    thompson, uniform = (
        make(name, family) for name in ("thompson_sampling", "uniform")
    )
    targets = {"dpt": thompson, "ad": algorithms.ucb(family, form="shrunken")}
    contexts = algorithms.mixture([thompson, uniform], [0.5, 0.5])

    def pretraining(teaching: str, recipe):
        if teaching == "dpt":
            words = "thompson_sampling (0.5), uniform"
            options = config.pretraining
            return decision_pretraining(recipe, contexts, options, behaviour=words)
        words, options = "ucb(form=shrunken)", config.pretraining
        return algorithm_distillation(recipe, targets["ad"], options, behaviour=words)

    trained = study.train_each(
        run,
        {
            f"{teaching}_{name}": pretraining(teaching, recipe)
            for teaching in TARGETS
            for name, recipe in recipes.items()
        },
        config.training,
    )
    first = trained["dpt_gtrxl"]
    further = study.train_online(
        run,
        recipes["gtrxl"],
        config.fine_tuning,
        name=FINE_TUNED,
        start_from=first,
        seeds=first.seeds,
    )
    alone = study.train_online(run, recipes["gtrxl"], config.fine_tuning, name=ALONE)
    test = study.Evaluation(config, family.split().test)
    scores = {}
    for teaching, target in targets.items():
        names = [f"{teaching}_{name}" for name in recipes]
        models = {name: trained[name].agent() for name in names}
        played = {**models, TARGETS[teaching]: target}
        scores |= {
            f"{teaching}_online": functools.partial(test.online, played),
            f"{teaching}_on_own_histories": functools.partial(
                test.distances, models, target
            ),
            f"{teaching}_cost": _costs(config, teaching, models),
        }
    scores["fine_tuning"] = functools.partial(
        test.online,
        {
            "thompson_sampling": thompson,
            "dpt_gtrxl": first.agent(),
            FINE_TUNED: further.agent(),
            ALONE: alone.agent(),
            "gittins": make("gittins", family),
        },
    )
    return scores


def _recipes(config: Config) -> dict[str, Any]:
    """Every model reads the same tokens, and remembers a whole trial."""
    sizes = {"num_layers": config.model.num_layers, "width": config.model.width}
    kinds = {
        "gtrxl": dataclasses.replace(gtrxl.GTRXL, memory=config.horizon, **sizes),
        "softmax": config.model,
        "gru": dataclasses.replace(config.model, mixer=("gru",)),
        "lstm": dataclasses.replace(config.model, mixer=("lstm",)),
    }
    return {
        name: study.make_recipe(
            dataclasses.replace(config, model=kinds[name]),
            gtrxl.FAMILY,
            tokenizer="rl2",
        )
        for name in config.models
    }


def _costs(config: Config, teaching: str, models):
    """Rows of what each model costs: parameters, and one decision's multiplications."""
    import jax

    from icrl.evaluation.numbers import add_estimate, of_sizes

    panel = f"{teaching}_cost"
    numbers = of_sizes(panel, models)
    for name, agent in models.items():
        model = jax.tree.map(lambda leaf: leaf[0], agent.models)
        cost = model.multiply_adds(config.horizon, decode=True)
        known = {"seeds": agent.num_seeds, "tasks": 0}
        add_estimate(numbers, panel, name, "multiply_adds", [cost] * 3, **known)
    return numbers


CPU = Config(
    seeds=(0, 1, 2),
    model=TransformerConfig(num_layers=2),
    training=muon_training(1500, 1e-2),
    pretraining=DecisionPretrainingConfig(labels="posterior"),
    fine_tuning=PpoConfig(
        num_steps=400, batch_size=512, value_steps=50, schedule="linear"
    ),
).takes("an hour of one core")
SMOKE = {"num_contexts": 20, "models": ("gtrxl",)}
EXPERIMENT = study.experiment(__name__, run, PANELS, cpu=CPU, smoke=SMOKE, columns=3)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
