"""How long must a DPT be trained before it predicts nearly as well as can be?

Three ways to train one on `quickstart`'s bandits, and their mixtures: the published
recipe in PyTorch, hard labels (the best arm, as published) with a tuned AdamW, and
ours, the mean of 8 draws from the posterior over the best arm with Muon. All minimise
the same expected loss (`icrl.pretraining.labels`), but that the published recipe has no
loss before the first pull. Measured is the loss on held-out contexts, from the first
pull on, above the least that is possible, which is the mean Kullback-Leibler divergence
from the exact posterior, over the seconds of training; looking at it is not counted,
compiling is.

Source: ours; the published recipe is that of Lee et al. 2023, arXiv 2306.14892, and of
its code, with its data for nothing (`benchmarks/published_dpt.py`). It needs PyTorch
and a clone of the repository (the extra `benchmark`); `--no-published` leaves it out.
Command: icrl run training_cost cpu
Cost: 55 minutes on one core, 34 of them the published recipe (60 at most).
Expect: ours at the target after 23 seconds, of which 18 compile; hard labels with AdamW
after 129 (5.6 times as long), with Muon after 118; the published recipe after 2,018 (87
times; one seed).
"""

import dataclasses
import functools
import importlib

from icrl import cli, study
from icrl.config import (
    TrainingConfig,
    TransformerConfig,
    cosine_training,
    muon_training,
)
from icrl.drawing.costs import draw_costs
from icrl.panels import Drawing

STYLES = {
    "ours": {"label": "8 posterior draws, Muon (ours)", "color": "#D55E00"},
    "draws_adamw": {"label": "8 posterior draws, AdamW", "color": "#E69F00"},
    "hard_muon": {"label": "hard labels, Muon", "color": "#56B4E9"},
    "hard_labels": {"label": "hard labels, tuned AdamW", "color": "#0072B2"},
    "published_recipe": {"label": "published recipe, PyTorch", "color": "#000000"},
}


PANELS = [
    Drawing(
        name="cost",
        title="what a minute of training buys",
        function=functools.partial(draw_costs, styles=STYLES),
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes; the labels are what is compared.

    Raises:
        ValueError: if labels are given.
    """

    horizon: int = 50  # pulls
    num_contexts: int = 2000  # held-out, on which the loss is measured
    target: float = 0.02  # nats above the least possible
    hard_training: TrainingConfig  # with hard labels, tuned
    published: bool = True  # whether the published recipe is run, too
    published_minutes: float = 60.0  # of its training
    published_examples: int = 100_000  # contexts, made once

    def __post_init__(self):
        super().__post_init__()
        if self.pretraining.labels != "optimal":
            raise ValueError(
                "labels are what is compared, got pretraining.labels "
                f"{self.pretraining.labels!r}"
            )

    def sides(self):
        """Labels and training of each side, by name."""
        ours, hard = self.training, self.hard_training
        muon = {"optimizer": ours.optimizer, "learning_rate": ours.learning_rate}
        # on such labels 1e-2 ends lower than 2e-2, and needs nearly twice the steps
        adamw = {"optimizer": hard.optimizer, "learning_rate": 1e-2}
        longer = dataclasses.replace(ours, **adamw, num_steps=2 * ours.num_steps)
        return {
            "ours": ("posterior_draws", ours),
            "draws_adamw": ("posterior_draws", longer),
            "hard_muon": ("optimal", dataclasses.replace(hard, **muon)),
            "hard_labels": ("optimal", hard),
        }


def run(run, config: Config):
    """Trains each side, looking at its loss on the same held-out contexts."""
    from icrl.evaluation.numbers import Numbers
    from icrl.runs.runtime import compiled_anew

    # each seed by itself and compiled for itself, as one who trains one model does
    run.groups = tuple((seed,) for seed in run.config.seeds)
    kept = run.folder / "published_recipe.json"
    if config.published and not kept.exists():
        _published_dpt()  # before all work
    recipe = study.make_recipe(config, "GaussianBandit-DPT-v0")
    held_out, floor = _held_out(config, recipe)
    numbers = Numbers(arrays={"cost/target": config.target})
    for name, (labels, training) in config.sides().items():
        pretraining = _pretraining(config, recipe, labels)
        look = _look(pretraining, held_out, floor)
        with compiled_anew():
            study.train(run, pretraining, training, name=name, look=look)
        curves = [_read_curve(run, group, name) for group in run.groups]
        _add(numbers, config, name, curves)
    if config.published:
        curve = _published_curve(kept, config, recipe, held_out, floor)
        _add(numbers, config, "published_recipe", [curve])
    return {"cost": numbers}


def _pretraining(config: Config, recipe, labels: str):
    """The paper's contexts, labelled so."""
    from icrl.algorithms import make
    from icrl.pretraining.methods import decision_pretraining

    name = "dirichlet_point_mass"
    contexts = make(name, recipe.make_family())
    options = dataclasses.replace(config.pretraining, labels=labels)
    return decision_pretraining(recipe, contexts, options, behaviour=name)


def _held_out(config: Config, recipe):
    """Contexts in unseen tasks labelled by the exact posterior, and its entropy.

    Without the decision before the first pull, of which not every side learns.
    """
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import entr

    from icrl.algorithms import exact_posterior_sampling
    from icrl.keys import evaluation_key
    from icrl.pretraining import sample
    from icrl.pretraining.experts import probabilities_expert

    family = recipe.make_family()
    exact = exact_posterior_sampling(family)
    pretraining = _pretraining(config, recipe, "optimal")._replace(
        tasks=family.split().test,
        expert=probabilities_expert(exact, empty_context=False),
    )
    keys = jax.random.split(evaluation_key(config.root_seed), config.num_contexts)
    examples = jax.jit(jax.vmap(lambda key: sample(pretraining, key)))(keys)
    return examples, float(jnp.sum(entr(examples.labels[:, 1:]), axis=-1).mean())


def _look(pretraining, held_out, floor: float):
    """`models -> {"excess": nats of each seed}`."""
    import jax
    import jax.numpy as jnp

    from icrl.pretraining import imitation_loss

    @jax.jit
    @jax.vmap
    def excess(model):
        def of_one(example):
            tokens = example.tokens
            return imitation_loss(model(tokens), example, pretraining.tokenizer)

        loss, weight = jax.lax.map(of_one, held_out, batch_size=100)
        return jnp.sum(loss) / jnp.sum(weight) - floor

    return lambda models: {"excess": excess(models)}


def _read_curve(run, group, name: str):
    """Seconds of training, and the excess, at each look at a group of one seed."""
    import numpy as np

    from icrl.runs.metrics import read_metrics

    lines = read_metrics(run.metrics_path(group, name))
    lines = [line for line in lines if "excess" in line]
    seconds = np.array([line["train_seconds"] for line in lines])
    return seconds, np.array([line["excess"][0] for line in lines])


def _published_dpt():
    """The module that trains by the published recipe.

    Raises:
        ValueError: if it or PyTorch is not here.
    """
    try:
        return importlib.import_module("benchmarks.published_dpt")
    except ImportError as error:
        raise ValueError(
            "published needs PyTorch (the extra 'benchmark') and a clone of the "
            f"repository, or --no-published, got {error}"
        ) from error


def _published_curve(kept, config: Config, recipe, held_out, floor: float):
    """The same of the published recipe, which stops at the target; kept in a file."""
    import jax
    import numpy as np

    from icrl.keys import dataset_key
    from icrl.pretraining import sample
    from icrl.runs import files

    if kept.exists():
        looks = files.read_json(kept)["looks"]
    else:
        pretraining = _pretraining(config, recipe, "optimal")
        examples = jax.jit(
            lambda keys: jax.lax.map(
                lambda key: sample(pretraining, key), keys, batch_size=1000
            )
        )(jax.random.split(dataset_key(config.root_seed), config.published_examples))
        looks = []
        for steps, seconds, loss in _published_dpt().train(
            (np.asarray(examples.tokens), np.asarray(examples.labels)),
            (np.asarray(held_out.tokens), np.asarray(held_out.labels)),
            seconds=60 * config.published_minutes,
            num_looks=60,
            threads=jax.device_count(),  # as many cores as the other sides
        ):
            looks.append((seconds, loss - floor))
            print(f"published: step {steps}, {loss - floor:.4f} nats above the least")
            if loss - floor <= config.target:
                break
        files.write_json(kept, {"looks": looks})
    seconds, excess = np.array(looks).T
    return seconds, excess


def _add(numbers, config: Config, agent: str, curves) -> None:
    """Rows of an agent: seconds to the target, and the excess at the end.

    Where a seed does not reach the target, its seconds are those of its whole training,
    and `reached` says no: "at least".
    """
    import numpy as np

    from icrl.evaluation.numbers import add_values

    found = [seconds_to(config.target, *curve) for curve in curves]
    times, reached = (np.array(values) for values in zip(*found, strict=True))
    seconds, excess = (np.array(values) for values in zip(*curves, strict=True))
    numbers.arrays[f"cost/{agent}/seconds"] = seconds
    numbers.arrays[f"cost/{agent}/excess"] = excess
    of_seeds = {"seconds_to_target": times, "final_excess": excess[:, -1]}
    for metric, values in of_seeds.items():
        # one unit a seed: the contexts are the same for all
        known = {"tasks": config.num_contexts, "reached": bool(reached.all())}
        add_values(numbers, "cost", agent, metric, values[:, None], **known)


def seconds_to(target: float, seconds, excess) -> tuple[float, bool]:
    """When a curve first falls to the target, on a line between logarithms of looks.

    Returns:
        Seconds, and whether it was reached; if not, all seconds there are.
    """
    import numpy as np

    (below,) = np.nonzero(excess <= target)
    if not len(below):
        return float(seconds[-1]), False
    last = below[0]
    if last == 0:
        return float(seconds[0]), True
    before, after = np.log(np.maximum(excess[last - 1 : last + 1], 1e-9))
    share = (before - np.log(target)) / (before - after)
    start, end = seconds[last - 1 : last + 1]
    return float(start + share * (end - start)), True


CPU = Config(
    seeds=(0, 1, 2),
    model=TransformerConfig(num_layers=2, num_heads=4),
    training=muon_training(350, micro_batch=16, steps_per_call=25, checkpoint_every=25),
    hard_training=cosine_training(
        3000,
        5e-3,  # of 5e-3, 1e-2 and 2e-2 the one that ends lowest
        warmup_steps=100,
        batch_size=128,
        micro_batch=16,
        checkpoint_every=100,
    ),
).takes("55 min on one core, 34 of them the published recipe")
SMOKE = {"published": False}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, figure_name="cost"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
