"""What the experiments with GTrXL share: its variants, and random searches over them.

In a search every training seed has a setting of its own (`OnlineConfig.sweep`), so that
what is trained side by side is one variant in many settings, the same for all variants.
Like scripts, this does not import jax before something runs.

Source: Parisotto et al. 2020, arXiv 1910.06764, Sections 3 and 4: 25 settings a model;
they count those that diverged, and rank the others by return.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from icrl import study
from icrl.config import ExperimentConfig, TransformerConfig
from icrl.drawing import searches
from icrl.errors import DivergedError
from icrl.online_config import OnlineConfig, PpoConfig
from icrl.panels import Bars, Curves, Drawing, Panel

FAMILY = "BernoulliBandit-DPT-v0"
GTRXL = TransformerConfig(
    num_layers=2,
    num_heads=2,
    mixer=("relative",),
    join="gru",
    activation="relu",
    rectify=True,
    value_head=True,
)
GRU = TransformerConfig(num_layers=1, mixer=("gru",), value_head=True)
LSTM = dataclasses.replace(GRU, mixer=("lstm",))
DEEPER_GTRXL = dataclasses.replace(GTRXL, num_layers=4)
SMOKE_GTRXL = dataclasses.replace(GTRXL, num_layers=1, width=8)
SEARCH = PpoConfig(num_steps=200, batch_size=256, sweep=10.0)  # 0.5 million steps
# What each variant changes of GTRXL; "trxl_i" has the paper's identity map reordering.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "gtrxl": {},
    "gtrxl_output": {"join": "output"},
    "gtrxl_highway": {"join": "highway"},
    "gtrxl_sigtanh": {"join": "sigtanh"},
    "gtrxl_input": {"join": "input"},
    "trxl_i": {"join": "add"},
    "trxl": {"join": "add", "norm": "post", "rectify": False},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig(ExperimentConfig):
    """Sizes of a random search on RL²'s bandits; its settings are the seeds."""

    seeds: tuple[int, ...] = tuple(range(10))  # settings, one model each
    num_arms: int = 5  # of a bandit
    horizon: int = 10  # pulls of a trial
    num_tasks: int = 4000  # unseen bandits that every model plays
    # GTrXL, of which variants change the gate or the norm; it remembers a whole trial
    model: TransformerConfig = DEEPER_GTRXL
    # whose `sweep` says how far settings lie apart
    training: OnlineConfig = SEARCH


def train(
    run: Any,
    config: SearchConfig,
    panel: str,
    models: Mapping[str, TransformerConfig],
    *,
    number: int | None = None,
) -> dict[str, study.Trained | None]:
    """Trains variants in all settings of a search.

    Args:
        run: as in `study.train`.
        config: sizes.
        panel: tells models apart where a run searches twice.
        models: by name.
        number: of settings, the first ones; None: all.

    Returns:
        The models of each variant; None: its last setting has met a NaN.
    """
    from icrl.agents import Recipe

    changes = {"num_arms": config.num_arms, "horizon": config.horizon}
    trained: dict[str, study.Trained | None] = {}
    for name, model in models.items():
        model = dataclasses.replace(model, memory=config.horizon)
        recipe = Recipe(family=FAMILY, changes=changes, tokenizer="rl2", model=model)
        place, seeds = f"{name}_{panel}", run.config.seeds[:number]
        try:
            trained[name] = study.train_online(
                run, recipe, config.training, name=place, seeds=seeds
            )
        except DivergedError:  # is a result here
            trained[name] = None
    return trained


def returns(
    config: SearchConfig,
    panel: str,
    trained: Mapping[str, study.Trained | None],
    seeds: Sequence[int],
    published: Mapping[str, float] | None = None,
) -> Any:
    """Returns rows of what settings come to, and the return of each.

    All are compared with the first variant, setting by setting and bandit by bandit.

    A setting that met a NaN has no model; it counts as uniform play, whose mean is half
    the pulls. A setting diverged if it met a NaN, or ends below uniform play plus three
    standard errors: also one that learns too slowly to leave it.

    Args:
        config: sizes.
        panel: of the rows; the returns are `<panel>_settings/<name>/returns`.
        trained: of `train`.
        seeds: of the settings that were trained.
        published: shares that diverged.
    """
    import numpy as np

    import envs
    from icrl import algorithms
    from icrl.evaluation.numbers import Numbers, add_estimate, add_row
    from icrl.evaluation.statistics import proportion

    family = envs.family(FAMILY, num_arms=config.num_arms, horizon=config.horizon)
    test = study.Evaluation(config, family.split().test)
    models = {name: found for name, found in trained.items() if found is not None}
    agents = {name: found.agent() for name, found in models.items()}
    scores = test.returns({**agents, "uniform": algorithms.uniform(family)})
    numbers = Numbers(finals={f"{panel}/tasks_hash": scores.tasks_hash})
    of_uniform, of_first = scores["uniform"][..., 0], None
    first = next(iter(trained))
    add_row(numbers, panel, "uniform", "return", of_uniform, scores)
    uniform = config.horizon / 2
    for name in trained:
        totals = np.full((len(seeds), of_uniform.shape[1]), uniform)
        found = models[name].seeds if name in models else ()
        if found:
            totals[[seeds.index(seed) for seed in found]] = scores[name][..., 0]
        add_row(numbers, panel, name, "return", totals, scores, seeds=len(seeds))
        if of_first is None:
            of_first = totals
        else:  # in the same settings and bandits
            gap, metric = totals - of_first, f"return_minus_{first}"
            add_row(numbers, panel, name, metric, gap, scores, seeds=len(seeds))
        means = totals.mean(1)
        errors = totals.std(1, ddof=1) / np.sqrt(totals.shape[1])
        diverged = int((means <= uniform + 3 * errors).sum())
        share = proportion(diverged, len(seeds))
        known: dict[str, Any] = {"seeds": len(seeds), "tasks": totals.shape[1]}
        known["not_finite"] = len(seeds) - len(found)
        known["published"] = (published or {}).get(name)
        add_estimate(numbers, panel, name, "diverged", share, **known)
        numbers.arrays[f"{panel}_settings/{name}/returns"] = means.astype(np.float32)
    return numbers


def training(run: Any, config: SearchConfig, panel: str, names: Sequence[str]) -> Any:
    """Returns curves of the return while training, `<panel>_training/<name>`.

    The mean over settings with its interval. From a loss that is not finite on, a
    setting counts as uniform play.

    Args:
        run: whose log is read.
        config: sizes.
        panel: of the search.
        names: of its variants, trained in all settings.
    """
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_curve
    from icrl.runs.metrics import read_metrics

    def of_log(log: list[dict[str, Any]]) -> Any:
        loss, earned = (
            np.array([line[x] for line in log], float).T for x in ("loss", "return")
        )
        lost = ~np.isfinite(np.cumsum(loss, axis=1))
        return np.where(lost, config.horizon / 2, earned)

    numbers, place = Numbers(), f"{panel}_training"
    for name in names:
        paths = [run.metrics_path(group, f"{name}_{panel}") for group in run.groups]
        logs = [read_metrics(path) for path in paths]
        shortest = min(map(len, logs))  # where all settings of a group were lost
        table = np.concatenate([of_log(log[:shortest]) for log in logs])
        steps = np.array([line["step"] for line in logs[0][:shortest]])
        if len(steps) == config.training.num_steps // config.training.steps_per_call:
            add_curve(numbers, f"{place}/{name}", table[:, None])
            numbers.arrays.pop(f"{place}/{name}/by_seed", None)  # too many lines
            played = steps * config.training.batch_size * config.horizon
            numbers.arrays[f"{place}/steps"] = played
    return numbers


def panels(panel: str, title: str, names: Sequence[str]) -> list[Panel]:
    """Panels of a search: returns by rank, while training, and what diverged."""
    ranked = functools.partial(searches.draw_ranked, panel=panel)
    return [
        Drawing(name=panel, title=title, function=ranked, needs=f"{panel}_settings/"),
        Curves(
            name=f"{panel}_training",
            title="while training: mean over settings",
            xlabel="steps of the environment, of each setting",
            ylabel="return of a trial",
        ),
        Bars(
            title="share of settings that diverged (Wilson's interval)",
            groups={panel: ""},
            metric="diverged",
            agents=names,
            optional=True,
            ylabel="share",
        ),
    ]
