"""Does the gap to the target scale as the theorem's bound says?

The theorem bounds the regret that a model trained on n trajectories loses to its target
by T² √R √(log N / n). The constants make the bound empty; its shape can be tested. One
at a time, the number of trajectories n, the horizon T and the number of arms change,
and the measured gap, paired task by task, stands beside the bound's shape and beside
the first link of the proof, which bounds the gap by total variation alone.

A second sweep over n has uniform contexts, for which R is astronomical, and tests the
coverage heuristic: the model leaves Thompson sampling at the step t where the
divergence KL_t of Thompson sampling's histories from uniform ones passes ln n. It is
taken to leave from where on its distance from Thompson sampling, on Thompson sampling's
histories, stays above twice that of the model of the same n trained on half of each.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on the performance gap
(Section 3); it has no numerical check there. The heuristic is ours.
Command: icrl run theory_scaling cpu
Cost: about 20 minutes on 2 free cores (cpu, 12 models of 1 training seed).
Expect (cpu): the first bound a hundred times what could be seen of a gap: with labels
that are Thompson sampling's probabilities, 500 trajectories teach a model that loses
0.0 ± 0.2 of 6 to its target, and more of them change nothing. Models of uniform data
leave at step 16 to 18, where coverage predicts 18 for n = 500 and 24 for 32,000: the
heuristic is right about where, and wrong about n, which does not limit these models.
"""

import dataclasses

from icrl import cli, protocol
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

KINDS = ("uniform", "mixed")  # contexts: R astronomical, and R = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(protocol.DecisionConfig):
    """Sizes of the experiment; each sweep changes one of the three from its base.

    Raises:
        ValueError: if a sweep is empty, or the pretraining has its own num_examples.
    """

    num_arms: int = 5
    num_examples: int = 8000
    sweep_examples: tuple[int, ...] = (500, 2000, 8000, 32_000)
    sweep_horizon: tuple[int, ...] = (25, 50, 100)
    sweep_arms: tuple[int, ...] = (2, 5, 10)

    def __post_init__(self):
        super().__post_init__()
        for name in ("sweep_examples", "sweep_horizon", "sweep_arms"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty, got {getattr(self, name)}")
        self.pretraining.require_neither("is what is swept: give num_examples")

    def settings(self) -> dict[str, tuple[float, int, int, int]]:
        """Every model's (share of Thompson sampling, n, horizon, arms), by name."""
        base = self.num_examples, self.horizon, self.num_arms
        found = {}
        for share, kind in ((0.5, "mixed"), (0.0, "uniform")):
            for n in self.sweep_examples:
                found[f"{kind}_n{n}"] = share, n, base[1], base[2]
        for horizon in self.sweep_horizon:
            found[f"horizon_{horizon}"] = 0.5, base[0], horizon, base[2]
        for arms in self.sweep_arms:
            found[f"arms_{arms}"] = 0.5, base[0], base[1], arms
        return found


def run(run, config: Config) -> None:
    """Trains a model for each setting, and measures its gap and what bounds it."""
    from envs.splits import split_prior
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.diagnostics.performance_gap import performance_gap
    from icrl.keys import evaluation_key

    rows, arrays, gaps, tokens, first = [], {}, {}, 0, {}
    for name, (share, num_examples, horizon, arms) in config.settings().items():
        same = share, num_examples, horizon, arms
        if same in first:  # the base stands in every sweep
            _copy(rows, arrays, gaps, first[same], name)
            continue
        first[same] = name
        recipe = Recipe(
            family="BernoulliBandit-Lin2023-v0",
            changes={"horizon": horizon, "num_arms": arms},
            tokenizer=config.tokenizer,
            model=config.model,
        )
        family = recipe.make_family()
        thompson = algorithms.thompson_sampling(family)
        context = algorithms.mixture(
            [thompson, algorithms.uniform(family)], [share, 1 - share]
        )
        options = dataclasses.replace(config.pretraining, num_examples=num_examples)
        behaviour = f"thompson_sampling ({share}), uniform"
        pretraining = protocol.decision_pretraining(
            config, recipe, context, thompson, behaviour
        )
        pretraining = pretraining._replace(options=options)
        trained = protocol.train_each(
            run, {name: (recipe, pretraining)}, config.training
        )
        tokens += trained.train_tokens
        gap = performance_gap(
            evaluation_key(config.root_seed),
            split_prior(family).test,
            trained.agents[name],
            evaluation.fixed(thompson),
            evaluation.fixed(context),
            num_tasks=config.num_contexts,
        )
        gaps[name] = gap
        _record(rows, arrays, name, gap, trained.learned[name], config)
    departures = _departures(config, gaps)
    run.finish(
        [*rows, *departures[0]], {**arrays, **departures[1]}, train_tokens=tokens
    )


def _record(rows, arrays, name, gap, seeds, config: Config) -> None:
    """Appends the rows and arrays of one model."""
    import numpy as np

    from icrl.runs.saved import row

    common = {"panel": name, "agent": "transformer", "seeds": seeds}
    common["tasks"] = config.num_contexts
    metrics = {
        "regret_gap": gap.gap,
        "telescoping_bound": gap.telescoping_bound,
        "hellinger_squared": gap.hellinger_squared,
        "excess_loss": gap.excess_loss,
    }
    for metric, (mean, low, high) in metrics.items():
        rows.append(
            row(
                **common,
                metric=metric,
                mean=float(mean),
                low=float(low),
                high=float(high),
            )
        )
    arrays[f"{name}/gap"] = np.asarray([float(part) for part in gap.gap])
    arrays[f"{name}/telescoping_bound"] = float(gap.telescoping_bound.mean)


def _copy(rows, arrays, gaps, source: str, name: str) -> None:
    """The same model's numbers under another name."""
    rows += [{**one, "panel": name} for one in rows if one["panel"] == source]
    for key in [key for key in arrays if key.startswith(f"{source}/")]:
        arrays[name + key[len(source) :]] = arrays[key]
    gaps[name] = gaps[source]


def _departures(config: Config, gaps):
    """Where each model of uniform contexts leaves, and where the heuristic says."""
    import numpy as np

    from icrl.diagnostics.distribution_ratio import departure_step, measured_departure
    from icrl.runs.saved import row

    rows, measured, predicted = [], [], []
    for n in config.sweep_examples:
        tv, yardstick = (gaps[f"{kind}_n{n}"].tv_on_target for kind in KINDS)
        found = measured_departure(tv, yardstick)
        step = departure_step(gaps[f"{KINDS[0]}_n{n}"].ratio.kl, n)
        measured.append(found)
        predicted.append(np.nan if step is None else step)
        if not np.isnan(found.step):
            rows.append(
                row(
                    panel=f"uniform_n{n}",
                    agent="transformer",
                    metric="departure_step",
                    mean=found.step,
                    low=found.low,
                    high=found.high,
                    seeds=tv.shape[0],
                    tasks=tv.shape[1],
                    predicted=step,
                )
            )
    return rows, {
        "departure/num_examples": np.asarray(config.sweep_examples),
        "departure/measured": np.asarray(measured),
        "departure/predicted": np.asarray(predicted),
    }


def figure(summary, arrays):
    """The three sweeps beside the bound's shape, and departure against prediction."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 2, width=5.0)
    sweeps = (
        (axes[0, 0], "mixed_n", "number of trajectories n", -0.5, "n^{-1/2}"),
        (axes[0, 1], "horizon_", "horizon T", 2.0, "T^2"),
        (axes[1, 0], "arms_", "number of arms", None, None),
    )
    for ax, start, xlabel, slope, shape in sweeps:
        _draw_sweep(ax, arrays, start, xlabel, slope, shape)
    ax = axes[1, 1]
    n = arrays["departure/num_examples"]
    step, low, high = arrays["departure/measured"].T
    errors = [step - low, high - step]
    ax.errorbar(n, step, errors, fmt="o-", color="#D55E00", label="measured")
    ax.plot(n, arrays["departure/predicted"], "k:", label="KL_t = ln n")
    ax.set(xlabel="trajectories n", ylabel="step (pulls)", xscale="log")
    ax.set_title("uniform data: where the model leaves its target", loc="left", size=10)
    ax.set_ylim(bottom=0)
    ax.set_xticks(n, [f"{x:,}" for x in n])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8)
    return drawn


def _draw_sweep(ax, arrays, start, xlabel, slope, shape) -> None:
    """Gap, its first bound and the theorem's shape through the first bound's end."""
    import numpy as np

    from icrl.drawing import figures

    at = sorted(int(name) for name in figures.names_in(arrays, start, "/gap"))
    gaps = np.stack([arrays[f"{start}{x}/gap"] for x in at])
    bounds = np.array([arrays[f"{start}{x}/telescoping_bound"] for x in at])
    mean, low, high = gaps.T
    errors = [mean - low, high - mean]
    ax.errorbar(at, mean, errors, fmt="o-", color="#D55E00", label="measured gap")
    ax.plot(at, bounds, "s--", color="#0072B2", label="Σ (T - t) TV: first bound")
    if slope is not None:
        line = bounds[-1] * (np.array(at) / at[-1]) ** slope
        ax.plot(at, line, "k:", label=f"the theorem's shape, ${shape}$")
    ax.set(xlabel=xlabel, ylabel="regret above the target (reward units)")
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=0.1)  # a gap may be none, or negative
    ax.set_ylim(-1, 10 * bounds.max())
    ax.set_xticks(at, [f"{x:,}" for x in at])
    ax.minorticks_off()
    ax.set_title(f"gap against the {xlabel}", loc="left", size=10)
    ax.legend(frameon=False, fontsize=8)


EXPERIMENT = Experiment(
    name="theory_scaling",
    question="Does the gap to the target scale as the theorem's bound says?",
    presets={
        "smoke": Config(
            horizon=10,
            num_examples=50,
            sweep_examples=(50,),
            sweep_horizon=(10,),
            sweep_arms=(5,),
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_contexts=100,
        ),
        "cpu": Config(
            horizon=50,
            tokenizer="step",
            model=TransformerConfig(num_layers=2, mixer=("relu",)),
            training=cosine_training(2000, 1e-2, micro_batch=8),
            num_contexts=1000,
            soft_labels=True,
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            num_examples=80_000,
            sweep_examples=(1000, 5000, 20_000, 80_000),
            sweep_horizon=(50, 100, 200),
            training=protocol.PAPER.training,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "20 min on 2 cores",
        "paper": "hours on one GPU (10 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
    figure_name="scaling",
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
