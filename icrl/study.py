"""What an experiment's script calls: train, and an `Experiment` made of panels.

A script has a header, `PANELS`, a `run` that returns scores by panel, and presets. Its
name and question come from the module; seeds, tokens, rows, intervals, paired
differences and the figure from the scores; published values from the table beside it
(`published.csv`). Like scripts, this does not import jax before something runs.
Over 300 lines: all that a script calls stands in one place.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from icrl import published, results
from icrl.config import DecisionStudyConfig, Preset, StudyConfig, TrainingConfig
from icrl.experiment import Experiment, register
from icrl.online_config import OnlineConfig
from icrl.panels import Panel
from icrl.presets import smoke_preset

Config, DecisionConfig = StudyConfig, DecisionStudyConfig  # what scripts extend
RETURNS_AT_ONCE = 50  # tasks side by side; query states take much memory


def experiment(
    module: str,
    run: Callable[[Any, Any], Mapping[str, Any]],
    panels: Sequence[Panel],
    *,
    smoke: Mapping[str, Any] | None = None,
    columns: int = 2,
    size: tuple[float, float] = (6.4, 3.8),
    figure_name: str = "regret",
    **presets: Preset,
) -> Experiment:
    """Registers the experiment that a script describes, and returns it.

    Args:
        module: `__name__` of the script. Its file names the experiment, and the first
            line of its header is the question.
        run: `(run, config) -> {panel: scores}`; trains by `train`, plays, scores. In
            place of scores it may return a function of nothing that plays the panel:
            a run that is stopped then goes on behind the panels that it has played.
        panels: what the scores become, in the order in which they are drawn.
        smoke: changes to the preset of seconds that `smoke_preset` makes of cpu.
        columns: of the figure.
        size: of one panel with its legend, inches.
        figure_name: stem of the figure's files.
        presets: by name: cpu (minutes), paper (GPU).

    Raises:
        ValueError: if the header does not begin with a question, or another experiment
            holds the name.
    """
    script = sys.modules[module]
    file, question = str(script.__file__), (script.__doc__ or "").partition("\n")[0]
    if not question.endswith("?"):
        raise ValueError(
            f"the header of {module} must begin with a question, got {question!r}"
        )
    panels = [p.with_published(published.values(file, p.name)) for p in panels]
    if "cpu" in presets:
        presets = {"smoke": smoke_preset(presets["cpu"], **smoke or {}), **presets}

    def compute(opened: Any, config: Any) -> None:
        results.finish(opened, panels, run(opened, config))

    def figure(summary: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
        return results.draw(panels, summary, arrays, columns=columns, size=size)

    return register(
        Experiment(
            name=pathlib.Path(file).stem,
            question=question,
            presets={name: preset.config for name, preset in presets.items()},
            costs={name: preset.cost for name, preset in presets.items()},
            run=compute,
            figure=figure if any(panel.title for panel in panels) else None,
            figure_name=figure_name,
            source=module,
        )
    )


@dataclasses.dataclass(frozen=True)
class Trained:
    """Models of one training, stacked over the seeds that did not diverge."""

    models: Any
    seeds: tuple[int, ...]
    recipe: Any  # family, tokenizer and model
    pretraining: Any = None  # the data; None: trained by reward

    def agent(self, **options: Any) -> Any:
        """Returns the agent that plays them; options as in `evaluation.trained`."""
        from icrl import evaluation

        how = {"agent": self.recipe.agent, **options}
        return evaluation.trained(self.models, self.recipe.make_tokenizer(), **how)

    def of_seeds(self, seeds: Sequence[int]) -> "Trained":
        """Returns the models of these seeds, of those that have one."""
        import jax
        import numpy as np

        rows = [row for row, seed in enumerate(self.seeds) if seed in seeds]
        models = jax.tree.map(lambda leaf: leaf[np.array(rows)], self.models)
        kept = tuple(self.seeds[row] for row in rows)
        return dataclasses.replace(self, models=models, seeds=kept)

    def resized(
        self, changes: Mapping[str, Any], *, memory: int | None = None
    ) -> "Trained":
        """Returns the same weights, to play another size of their family.

        Args:
            changes: to the family's fields.
            memory: of the model, in tokens; as trained if None.

        Raises:
            ValueError: if weights of that size have other shapes.
        """
        import jax

        model = self.recipe.model
        if memory is not None:
            model = dataclasses.replace(model, memory=memory)
        changes = {**self.recipe.changes, **changes}
        recipe = dataclasses.replace(self.recipe, changes=changes, model=model)
        like = jax.eval_shape(recipe.make_model, jax.random.key(0))
        leaves, kind = jax.tree.leaves(self.models), jax.tree.structure(like)
        shapes = [leaf.shape[1:] for leaf in leaves]  # of one seed
        asked = [leaf.shape for leaf in jax.tree.leaves(like)]
        if shapes != asked:
            raise ValueError(f"weights must have shapes {asked}, got {shapes}")
        models = jax.tree.unflatten(kind, leaves)
        return dataclasses.replace(self, models=models, recipe=recipe)

    def agents(self, name: str, **options: Any) -> dict[str, Any]:
        """Returns the agent that samples and its argmax twin, by name."""
        greedy = self.agent(greedy=True, **options)
        return {name: self.agent(**options), f"{name}_argmax": greedy}


def make_recipe(config: Any, family: str, **options: Any) -> Any:
    """Returns what a config's models are trained for.

    Args:
        config: has the `model`, and may have a `horizon` and a `tokenizer`.
        family: registered name.
        options: other fields of the recipe.
    """
    from icrl.agents import Recipe

    if hasattr(config, "horizon"):
        options = {"changes": {"horizon": config.horizon}, **options}
    if hasattr(config, "tokenizer"):
        options = {"tokenizer": config.tokenizer, **options}
    return Recipe(family=family, model=config.model, **options)


def train(
    run: Any, pretraining: Any, training: TrainingConfig, *, name: str = "", **more: Any
) -> Trained:
    """Trains the models of a run's seeds by imitation, or loads them.

    Args:
        run: whose folder holds them; it notes their tokens, and whether the seeds
            share one data set.
        pretraining: behaviour policy, expert and tokenizer.
        training: how they are fitted.
        name: tells models apart where a run trains several.
        more: other arguments of `train_models`.
    """
    from icrl.training import train_models

    found = train_models(run, pretraining, training, name=name, **more)
    run.train_tokens += found.train_tokens
    run.labels[name or "model"] = str(pretraining.description.get("expert", ""))
    options = pretraining.options
    if options.num_examples is not None or options.dataset is not None:
        run.shared_data = True
    return Trained(found.models, found.seeds, pretraining.recipe, pretraining)


def train_online(
    run: Any,
    recipe: Any,
    training: OnlineConfig,
    *,
    name: str,
    **more: Any,
) -> Trained:
    """Trains the models of a run's seeds by reward, or loads them.

    Args:
        run: as in `train`.
        recipe: family, trials, tokenizer and model.
        training: how they learn.
        name: tells models apart where a run trains several.
        more: other arguments of `online.train_online`.
    """
    from icrl.training import online

    found = online.train_online(run, recipe, training, name=name, **more)
    run.train_tokens += found.train_tokens
    run.labels[name] = "no labels, rewards"
    return Trained(found.models, found.seeds, recipe)


def train_labelled(
    run: Any, config: Any, make: Callable[..., Any], *, number: int | None = None
) -> dict[str, Any]:
    """Trains a DPT by a config's labels, and one as long by the published labels.

    Args:
        run: as in `train`.
        config: has the labels and the training.
        make: `options of the data -> pretraining`.
        number: of seeds, the first ones, that train by the published labels too; None:
            all.

    Returns:
        The models "dpt" and, where they are not the same, "dpt_optimal_labels".
    """
    found = {"dpt": train(run, make(config.pretraining), config.training)}
    if config.pretraining.labels != "optimal":
        name = "dpt_optimal_labels"
        published = make(dataclasses.replace(config.pretraining, labels="optimal"))
        seeds = run.config.seeds[:number]
        found[name] = train(run, published, config.training, name=name, seeds=seeds)
    return found


def train_each(
    run: Any, pretrainings: Mapping[str, Any], training: TrainingConfig
) -> dict[str, Trained]:
    """Trains the models of several pretrainings, by name.

    Raises:
        RunError: if they cannot share the data set that was asked for, before any work.
    """
    from icrl.pretraining import dataset

    dataset.check(*pretrainings.values())
    return {
        name: train(run, pretraining, training, name=name)
        for name, pretraining in pretrainings.items()
    }


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Tasks, the same in every panel, and how many of them a config asks for.

    Agents are given by name: an `Agent`, an `Algorithm`, or a function that makes one
    from each task, for whoever knows the task. The config says how many tasks in
    `num_tasks` (online, returns), `num_datasets` (offline, returns_given) or
    `num_contexts` (losses, distances). A measure of your own plays the same tasks and
    noise by `evaluation.score_agents` and `evaluation.play`, from `key` and `tasks`.
    """

    config: Any
    tasks: Any

    @property
    def key(self) -> Any:
        """The key above tasks, noise and choices."""
        from icrl.keys import evaluation_key

        return evaluation_key(self.config.root_seed)

    def online(self, agents: Mapping[str, Any], **options: Any) -> Any:
        """Returns regret, or return without gaps; see `evaluation.online`."""
        from icrl import evaluation

        options = {"num_tasks": self.config.num_tasks, **options}
        return evaluation.online(self.key, self.tasks, agents, **options)

    def offline(self, context: Any, agents: Mapping[str, Any], **options: Any) -> Any:
        """Returns suboptimality given data sets; see `evaluation.offline`."""
        from icrl import evaluation

        options = {"num_tasks": self.config.num_datasets, **options}
        return evaluation.offline(self.key, self.tasks, context, agents, **options)

    def losses(self, trained: Trained, exact: Any) -> Any:
        """Returns the loss on fresh contexts and its floor; see `evaluation.losses`."""
        from icrl import evaluation

        return evaluation.losses(
            self.key,
            trained.pretraining._replace(tasks=self.tasks),
            trained.models,
            exact,
            num_tasks=self.config.num_contexts,
        )

    def distances(self, agents: Mapping[str, Any], *target: Any) -> Any:
        """Returns how far agents are from a target, on the histories of another agent.

        Those of each agent itself if there is no other; see `divergence.distances`.
        """
        from icrl.diagnostics.divergence import distances

        number = self.config.num_contexts
        return distances(self.key, self.tasks, agents, *target, num_tasks=number)

    def returns(self, agents: Mapping[str, Any], **options: Any) -> Any:
        """Returns what every episode pays; see `returns.online`."""
        from icrl.evaluation import returns

        sizes = {
            "num_tasks": self.config.num_tasks,
            "num_episodes": getattr(self.config, "num_episodes", 1),
        }
        options = {**sizes, "tasks_at_once": RETURNS_AT_ONCE, **options}
        return returns.online(self.key, self.tasks, agents, **options)

    def returns_given(self, data: Any, agents: Mapping[str, Any], **options: Any):
        """Returns what one episode pays after a data set; see `returns.offline`."""
        from icrl.evaluation import returns

        sizes = {"num_tasks": self.config.num_datasets}
        options = {**sizes, "tasks_at_once": RETURNS_AT_ONCE, **options}
        return returns.offline(self.key, self.tasks, data, agents, **options)
