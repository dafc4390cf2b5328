"""How large must a DPT be, and how much must it see, to reach the ceiling offline?

Dark Room, 100 random transitions as data, test goals. One at a time, the number of
layers, of heads, the width and the number of training contexts change. The published
plots show the same number, 53.68, nearly everywhere, on one fixed set of data sets: it
is the coverage ceiling of that set, since without the goal in the data no policy can
find it. Here every model gets the same data sets, enough of them, and the ceiling is
drawn.

Source: Lee et al. 2023, arXiv 2306.14892, appendix (sensitivity analysis, Dark Room).
Command: icrl run dpt_sensitivity cpu
Cost: about 40 minutes on 2 free cores (cpu, 12 models of 1 training seed).
Expect: (no reference run yet).
"""

import dataclasses
import functools

from icrl import cli, study
from icrl.config import (
    DecisionPretrainingConfig,
    TransformerConfig,
    cosine_training,
    long_training,
)
from icrl.drawing import sweeps
from icrl.panels import Curves, Drawing

FAMILY = "DarkRoom-DPT-v0"
EXACT = "exact_posterior_argmax"
FIELDS = {"layers": "num_layers", "heads": "num_heads", "width": "width"}
SWEEPS = (*FIELDS, "examples")
PANELS = [
    Curves(name="offline_random", metric="return", reference=EXACT),
    *(
        Drawing(
            name="offline_random",
            title=f"by {sweep}",
            function=functools.partial(
                sweeps.draw_offline_returns,
                panel="offline_random",
                sweep=sweep,
                ceiling=EXACT,
                top=70.0,
            ),
        )
        for sweep in SWEEPS
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.DecisionConfig):
    """Sizes of the experiment; each sweep changes one of the base model's.

    Raises:
        ValueError: if a sweep is empty, or num_examples or a data set is given.
    """

    sweep_layers: tuple[int, ...] = (2, 4, 6, 8)  # numbers of blocks
    sweep_heads: tuple[int, ...] = (1, 2, 4, 8)  # numbers of attention heads
    sweep_width: tuple[int, ...] = (16, 32, 64, 128)  # of the residual stream
    # training contexts, made once and kept
    sweep_examples: tuple[int, ...] = (10_000, 50_000, 100_000, 200_000)
    num_datasets: int = 2000  # that every model is given

    def __post_init__(self):
        super().__post_init__()
        for name in SWEEPS:
            if not getattr(self, f"sweep_{name}"):
                raise ValueError(f"sweep_{name} must not be empty, got ()")
        self.pretraining.require_neither("is what is swept: give sweep_examples")

    def models(self) -> dict[str, tuple[TransformerConfig, DecisionPretrainingConfig]]:
        """Every model's sizes and the options of its data, by `<sweep>_<value>`."""
        most = max(self.sweep_examples)
        base = dataclasses.replace(self.pretraining, num_examples=most)
        found = {}
        for sweep, field in FIELDS.items():
            for value in getattr(self, f"sweep_{sweep}"):
                model = dataclasses.replace(self.model, **{field: value})
                found[f"{sweep}_{value}"] = model, base
        for value in self.sweep_examples:
            fewer = dataclasses.replace(self.pretraining, num_examples=value)
            found[f"examples_{value}"] = self.model, fewer
        return found


def run(run, config: Config):
    """Trains every model, and gives all of them the same data sets."""
    import envs
    from icrl.algorithms import exact_goal_posterior, most_likely
    from icrl.pretraining.collection import independent_pairs
    from icrl.pretraining.methods import state_query_pretraining

    family = envs.family(FAMILY)
    exact = exact_goal_posterior(family, episodes=1, in_episode=False)
    agents, same, first = {EXACT: most_likely(exact)}, {}, {}
    for name, (model, options) in config.models().items():
        same[name] = first.setdefault((model, options), name)
        if same[name] != name:  # the base stands in every sweep
            continue
        sizes = dataclasses.replace(config, model=model)
        recipe = study.make_recipe(
            sizes, FAMILY, tokenizer="query_first", agent="query_table"
        )
        pretraining = state_query_pretraining(recipe, options)
        dpt = study.train(run, pretraining, config.training, name=name)
        agents[name] = dpt.agent(greedy=True)
    pairs = independent_pairs(family, family.horizon)
    scores = study.Evaluation(config, family.split().test).returns_given(pairs, agents)
    return {"offline_random": scores.named({EXACT: EXACT, **same})}


CPU = Config(
    model=TransformerConfig(num_layers=2),
    training=cosine_training(4000, 3e-3, micro_batch=8),
    sweep_layers=(1, 2, 4),
    sweep_heads=(1, 2, 4),
    sweep_width=(16, 32, 64),
    sweep_examples=(1000, 5000, 20_000, 50_000),
).takes("40 min on 2 cores")
PAPER = Config(seeds=(0, 1, 2), training=long_training(100_000)).takes(
    "hours on one GPU (0.7 billion tokens a seed and model)"
)
SMOKE = {
    "sweep_layers": (1,),
    "sweep_heads": (2,),
    "sweep_width": (16,),
    "sweep_examples": (50,),
    "num_datasets": 20,
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, paper=PAPER, smoke=SMOKE, figure_name="sensitivity"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
