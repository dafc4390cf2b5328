"""Decision pretraining, end to end: the three choices, the training, the agents.

Source: Lee et al. 2023, "Supervised Pretraining Can Learn In-Context Reinforcement
Learning", arXiv 2306.14892.
"""

from collections.abc import Callable

from envs.base import Task
from envs.splits import split_prior
from icrl.agent import Recipe, save_recipe
from icrl.algorithms.base import Algorithm
from icrl.config import TrainingConfig
from icrl.dataset import source
from icrl.pretraining import Pretraining, optimal_expert
from icrl.results import Run
from icrl.train import Trained, train


def pretraining(
    recipe: Recipe,
    context: Callable[[Task], Algorithm],
    *,
    empty_context: bool = True,
) -> Pretraining:
    """DPT's choices: some context algorithm, the optimal policy as expert.

    Args:
        recipe: the family and the layout.
        context: `task -> Algorithm`, who acts.
        empty_context: whether decision 0 is trained; DPT's code leaves it out.
    """
    return Pretraining(
        tasks=split_prior(recipe.make_family()).train,
        context=context,
        expert=optimal_expert(empty_context=empty_context),
        layout=recipe.make_layout(),
        num_episodes=recipe.num_episodes,
    )


def train_model(
    run: Run,
    recipe: Recipe,
    choices: Pretraining,
    config: TrainingConfig,
    *,
    name: str = "",
) -> Trained:
    """Trains the models of all of a run's seeds, or loads those that are trained.

    Args:
        run: whose folder holds them.
        recipe: family, layout and model; saved beside the weights.
        choices: who acts and who labels.
        config: how they are fitted.
        name: tells models apart where a run trains several.
    """
    draw, data = source(choices, config.dataset)
    save_recipe(run.folder, recipe, name)
    return train(
        run,
        make_model=recipe.make_model,
        draw=draw,
        layout=choices.layout,
        config=config,
        data=data,
        name=name,
    )
