"""Training by imitation: the models of a run's seeds, from a pretraining's examples."""

import dataclasses

from icrl.agents import Recipe, save_recipe
from icrl.config import TrainingConfig
from icrl.pretraining import Pretraining
from icrl.pretraining.dataset import source
from icrl.runs import Run
from icrl.training.fit import Trained, train


def train_models(
    run: Run,
    recipe: Recipe,
    pretraining: Pretraining,
    config: TrainingConfig,
    *,
    name: str = "",
) -> Trained:
    """Trains the models of all of a run's seeds, or loads those that are trained.

    Args:
        run: whose folder holds them.
        recipe: family, tokenizer and model; saved beside the weights.
        pretraining: who acts and who labels.
        config: how they are fitted.
        name: tells models apart where a run trains several.
    """
    if all(run.is_trained(cohort, name) for cohort in run.cohorts):
        # what is there is only loaded: no need to make its data again
        config = dataclasses.replace(config, num_examples=None, dataset=None)
    draw, data = source(pretraining, config)
    save_recipe(run.folder, recipe, name)
    return train(
        run,
        make_model=recipe.make_model,
        draw=draw,
        tokenizer=pretraining.tokenizer,
        config=config,
        data=data,
        name=name,
    )
