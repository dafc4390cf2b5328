"""Does a model that watches an algorithm commit itself commit itself?

Source: none; it shows what a package outside icrl looks like.
Command: icrl run distil_commitment
Cost: seconds.
Expect: regret near that of explore_then_commit.
"""

import dataclasses

from icrl import cli, study
from icrl.config import TrainingConfig, TransformerConfig
from icrl.panels import Curves

MODEL = TransformerConfig(width=16, num_layers=1, num_heads=2, mixer=("fading",))
PANELS = [Curves(name="online", title="regret", reference="explore_then_commit")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes."""

    tokenizer: str = "with_goodbye"
    model: TransformerConfig = MODEL
    num_tasks: int = 50


def run(run, config: Config):
    """Distils, plays, scores."""
    from icrl.algorithms import make
    from icrl.pretraining.methods import algorithm_distillation

    recipe = study.make_recipe(config, "LeaningBandit-v0")
    family = recipe.make_family()
    expert = make("explore_then_commit", family)
    pretraining = algorithm_distillation(
        recipe, expert, config.pretraining, behaviour="explore_then_commit"
    )
    ad = study.train(run, pretraining, config.training)
    test = study.Evaluation(config, family.split().test)
    return {"online": test.online({"ad": ad.agent(), "explore_then_commit": expert})}


LARGE = TrainingConfig(
    num_steps=2000, batch_size=64, steps_per_call=10, checkpoint_every=10
)
CPU = Config(training=LARGE).takes("a minute")
EXPERIMENT = study.experiment(__name__, run, PANELS, cpu=CPU, smoke={"model": MODEL})

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
