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
Cost: about 40 minutes of one core (cpu, 12 models of 3 training seeds).
Expect: the first bound fifty times what could be seen of a gap: with labels that are
Thompson sampling's probabilities, 500 trajectories teach a model that loses -0.05 ± 0.2
of 6 to its target, and more of them change nothing; nor do the horizon and the number
of arms, with which the bound grows 40- and 10-fold. Models of uniform data leave at
step 17 to 19, where coverage predicts 17 for n = 500 and 23 for 32,000: the heuristic
is right about where, and wrong about n, which does not limit these models.
"""

import dataclasses
import functools

from icrl import cli, lin2023, study
from icrl.config import DecisionPretrainingConfig, TransformerConfig, muon_training
from icrl.drawing import departures, sweeps
from icrl.panels import Drawing

KINDS = ("uniform", "mixed")  # contexts: R astronomical, and R = 2
SWEEPS = {  # how its models are called: what changes, and the theorem's shape
    "mixed_n": ("number of trajectories n", -0.5, "n^{-1/2}"),
    "horizon_": ("horizon T", 2.0, "T^2"),
    "arms_": ("number of arms", None, ""),
}
PANELS = [
    *(
        Drawing(
            name="gaps",
            title=f"gap against the {label}",
            function=functools.partial(
                sweeps.draw_gaps, start=start, xlabel=label, slope=slope, shape=shape
            ),
            needs=start,
        )
        for start, (label, slope, shape) in SWEEPS.items()
    ),
    Drawing(
        name="departure",
        title="uniform data: where the model leaves its target",
        function=departures.draw_departures,
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(lin2023.DecisionConfig):
    """Sizes of the experiment; each sweep changes one of the three from its base.

    Raises:
        ValueError: if a sweep is empty, or the pretraining has its own num_examples.
    """

    num_arms: int = 5  # of the base
    num_examples: int = 8000  # training trajectories of the base
    # training trajectories, for contexts of both kinds
    sweep_examples: tuple[int, ...] = (500, 2000, 8000, 32_000)
    # steps of a trajectory
    sweep_horizon: tuple[int, ...] = (25, 50, 100)
    # arms of a bandit
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


def run(run, config: Config):
    """Trains a model for each setting, and measures its gap and what bounds it."""
    from icrl.diagnostics.performance_gap import of_gaps

    gaps, first = {}, {}
    for name, setting in config.settings().items():
        if setting not in first:  # the base stands in every sweep
            first[setting] = _measure(run, config, name, *setting)
        gaps[name] = first[setting]
    return {
        "gaps": of_gaps(gaps, lin2023.AGENT),
        "departure": _departures(config, gaps),
    }


def _measure(run, config: Config, name: str, share, n, horizon, arms):
    """The performance gap of the model of one setting, trained on n trajectories."""
    from icrl import algorithms
    from icrl.agents import fixed, of_task
    from icrl.diagnostics.performance_gap import performance_gap

    changes = {"horizon": horizon, "num_arms": arms}
    recipe = study.make_recipe(config, lin2023.BERNOULLI, changes=changes)
    pretraining = lin2023.thompson_pretraining(config, recipe, share, num_examples=n)
    trained = study.train(run, pretraining, config.training, name=name)
    family = recipe.make_family()
    test = study.Evaluation(config, family.split().test)
    return performance_gap(
        test.key,
        test.tasks,
        trained.agent(),
        fixed(algorithms.thompson_sampling(family)),
        of_task(pretraining.context),
        num_tasks=config.num_contexts,
    )


def _departures(config: Config, gaps):
    """Where each model of uniform contexts leaves, and where the heuristic says."""
    from icrl.diagnostics.coverage import add_departure
    from icrl.evaluation.numbers import Numbers

    numbers, found = Numbers(), []
    for n in config.sweep_examples:
        uniform, mixed = (gaps[f"{kind}_n{n}"] for kind in KINDS)
        tv, yardstick = uniform.tv_on_target, mixed.tv_on_target
        panel, kl = f"uniform_n{n}", uniform.ratio.kl
        found.append(add_departure(numbers, panel, "transformer", tv, yardstick, kl, n))
    numbers.arrays["departure/num_examples"] = config.sweep_examples
    numbers.arrays["departure/measured"] = [measured for measured, _ in found]
    numbers.arrays["departure/predicted"] = [predicted for _, predicted in found]
    return numbers


CPU = Config(
    seeds=(0, 1, 2),
    horizon=50,
    tokenizer="step",
    model=TransformerConfig(num_layers=2, mixer=("relu",)),
    training=muon_training(2000, 1e-2, micro_batch=16),
    pretraining=DecisionPretrainingConfig(labels="posterior"),
    num_contexts=1000,
).takes("40 min of one core")
PAPER = Config(
    seeds=(0, 1, 2),
    num_examples=lin2023.EXAMPLES,
    sweep_examples=(1000, 5000, 20_000, 80_000),
    sweep_horizon=(50, 100, 200),
    training=lin2023.PAPER["training"],
).takes("hours on one GPU (10 billion tokens a seed and model)")
SMOKE = {
    "num_examples": 50,
    "sweep_examples": (50,),
    "sweep_horizon": (10,),
    "sweep_arms": (5,),
    "num_contexts": 100,
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, paper=PAPER, smoke=SMOKE, figure_name="scaling"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
