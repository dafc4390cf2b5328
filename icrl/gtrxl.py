"""What the experiments with GTrXL share: its variants, and random searches over them.

In a search every training seed has a setting of its own (`OnlineConfig.sweep`), so that
what is trained side by side is one variant in many settings. Like scripts, this does
not import jax before something runs.

Source: Parisotto et al. 2020, arXiv 1910.06764, Sections 3 and 4: 25 settings a model,
of which a run diverges or comes to a rank.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from icrl import study
from icrl.config import ExperimentConfig, TransformerConfig
from icrl.drawing import searches
from icrl.online_config import OnlineConfig
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

    num_arms: int = 5  # of a bandit
    horizon: int = 10  # pulls of a trial
    num_tasks: int = 4000  # unseen bandits that every model plays
    training: OnlineConfig  # whose `sweep` says how far settings lie apart


def train(
    run: Any,
    config: SearchConfig,
    panel: str,
    models: Mapping[str, TransformerConfig],
    *,
    number: int | None = None,
) -> dict[str, study.Trained]:
    """Trains variants in all settings of a search.

    Args:
        run: as in `study.train`.
        config: sizes.
        panel: tells models apart where a run searches twice.
        models: by name.
        number: of settings, the first ones; None: all.
    """
    from icrl.agents import Recipe

    changes = {"num_arms": config.num_arms, "horizon": config.horizon}
    trained = {}
    for name, model in models.items():
        model = dataclasses.replace(model, memory=config.horizon)
        recipe = Recipe(family=FAMILY, changes=changes, tokenizer="rl2", model=model)
        trained[name] = study.train_online(
            run,
            recipe,
            config.training,
            name=f"{name}_{panel}",
            seeds=run.config.seeds[:number],
        )
    return trained


def returns(
    config: SearchConfig,
    panel: str,
    trained: Mapping[str, study.Trained],
    number: int,
) -> Any:
    """Returns rows of what settings come to, and their returns by rank.

    A setting diverged if it met a NaN, or ends below uniform play plus three standard
    errors of its return.

    Args:
        config: sizes.
        panel: of the rows; the returns are `<panel>_ranked/<name>/returns`.
        trained: of `train`.
        number: of settings.
    """
    import numpy as np

    import envs
    from icrl import algorithms
    from icrl.evaluation.numbers import Numbers, add_estimate, add_row
    from icrl.evaluation.statistics import proportion

    family = envs.family(FAMILY, num_arms=config.num_arms, horizon=config.horizon)
    test = study.Evaluation(config, family.split().test)
    agents = {name: models.agent() for name, models in trained.items()}
    scores = test.returns({**agents, "uniform": algorithms.uniform(family)})
    numbers = Numbers()
    add_row(numbers, panel, "uniform", "return", scores["uniform"][..., 0], scores)
    uniform = config.horizon / 2  # what it earns in expectation
    for name, models in trained.items():
        totals = scores[name][..., 0]
        add_row(numbers, panel, name, "return", totals, scores)
        means = totals.mean(1)
        errors = totals.std(1, ddof=1) / np.sqrt(totals.shape[1])
        learnt = int((means > uniform + 3 * errors).sum())
        lost = number - learnt  # of these some have no model: they met a NaN
        share = proportion(lost, number)
        known = {"seeds": number, "tasks": totals.shape[1]}
        known["not_finite"] = number - len(models.seeds)
        add_estimate(numbers, panel, name, "diverged", share, **known)
        ranked = np.full(number, np.nan, np.float32)  # whose run has no model: last
        ranked[: len(means)] = np.sort(means)[::-1]
        numbers.arrays[f"{panel}_ranked/{name}/returns"] = ranked
    return numbers


def training(run: Any, config: SearchConfig, panel: str, names: Sequence[str]) -> Any:
    """Returns curves of the return while training, `<panel>_training/<name>`.

    The mean over settings with its interval; who met a NaN earns nothing from then on.

    Args:
        run: whose log is read.
        config: sizes.
        panel: of the search.
        names: of its variants, trained in all settings.
    """
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_curve
    from icrl.runs.metrics import read_metrics

    numbers, panel_name = Numbers(), f"{panel}_training"
    for name in names:
        paths = [run.metrics_path(group, f"{name}_{panel}") for group in run.groups]
        logs = [read_metrics(path) for path in paths]
        table = [np.array([line["return"] for line in log]).T for log in logs]
        table = np.nan_to_num(np.concatenate(table))
        add_curve(numbers, f"{panel_name}/{name}", table[:, None])
        numbers.arrays.pop(f"{panel_name}/{name}/by_seed", None)  # a hundred lines
        steps = np.array([line["step"] for line in logs[0]])
        played = steps * config.training.batch_size * config.horizon
        numbers.arrays[f"{panel_name}/steps"] = played
    return numbers


def panels(panel: str, title: str, names: Sequence[str]) -> list[Panel]:
    """Panels of a search: returns by rank, while training, and what diverged."""
    ranked = functools.partial(searches.draw_ranked, panel=panel)
    return [
        Drawing(name=panel, title=title, function=ranked, needs=f"{panel}_ranked/"),
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
            ylabel="share",
        ),
    ]
