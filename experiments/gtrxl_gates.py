"""Which of GTrXL's gates trains in most settings, and how deep?

Seven variants of a transformer with memory learn RL²'s bandits by PPO, each in ten
random settings: learning rate and entropy coefficient, log-uniform over two decades.
Five have a gate where a block adds to the stream; two have none: the post-norm
Transformer-XL, and the identity map reordering ("TrXL-I"). At depths 2, 8 and 12 the
GRU gate and TrXL-I stand alone, in three settings.

A run diverged if it met a NaN or ends below uniform play plus three standard errors:
one that learns too slowly to leave it counts, too. Ten settings cannot tell 0 from 16
%, so that no order of the variants is claimed. A trial is short enough to be one
segment: the models read all of it, and carry nothing from segment to segment.

Source: Parisotto et al. 2020, arXiv 1910.06764, Figure 5 and the table of diverged runs
(of 25: TrXL 0, TrXL-I 16 %, GRU 0, Output 12 %), by V-MPO on tasks far larger.
Command: icrl run gtrxl_gates cpu
Cost: two hours of one core.
Expect: TrXL diverged in three settings of ten (11 to 60 %), three of the four whose
learning rate is above 0.005, and comes to 6.02; no other in any of ten (0 to 28 %). All
gates but one and TrXL-I come to 6.49 to 6.52 and cannot be told apart; the input gate
to 6.40, the lowest where rates are high. With 2 to 12 blocks GTrXL has 6.44 to 6.52,
TrXL-I 6.46 to 6.50. Ten settings prove no order; but what fails here is the norm behind
the maps, and not a lack of gates.
"""

import dataclasses
import functools

from icrl import cli, gtrxl, published, study
from icrl.drawing import searches
from icrl.panels import Drawing

DEEP = ("gtrxl", "trxl_i")  # what is trained at other depths
PANELS = [
    *gtrxl.panels(
        "gates", "random settings of each variant, best first", tuple(gtrxl.VARIANTS)
    ),
    Drawing(
        name="depths",
        title="deeper: the same settings at each depth",
        function=functools.partial(searches.draw_depths, panel="depths"),
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(gtrxl.SearchConfig):
    """Sizes of the experiment."""

    variants: tuple[str, ...] = tuple(gtrxl.VARIANTS)  # at the model's depth
    # others, of the GRU gate and TrXL-I, where they are among the variants
    depths: tuple[int, ...] = (2, 8, 12)
    num_settings_deep: int = 3  # there, the first ones

    def __post_init__(self):
        super().__post_init__()
        unknown = sorted(set(self.variants) - set(gtrxl.VARIANTS))
        if unknown or not self.variants:
            raise ValueError(
                f"variants must be of {', '.join(gtrxl.VARIANTS)}, "
                f"got {', '.join(unknown) or 'none'}"
            )


def run(run, config: Config):
    """Trains every variant in every setting."""

    def variants(names, depth: int):
        model = dataclasses.replace(config.model, num_layers=depth)
        change = dataclasses.replace
        return {name: change(model, **gtrxl.VARIANTS[name]) for name in names}

    depth, seeds = config.model.num_layers, run.config.seeds
    gates = gtrxl.train(run, config, "gates", variants(config.variants, depth))
    few = seeds[: config.num_settings_deep]
    names = [name for name in DEEP if name in config.variants]
    deep = {depth: {name: _of_seeds(gates[name], few) for name in names}}
    for depth in config.depths:
        models, panel = variants(names, depth), f"depth_{depth}"
        deep[depth] = gtrxl.train(run, config, panel, models, number=len(few))
    shares = published.values(__file__, "gates")
    shares = {name: next(iter(points.values())) for name, points in shares.items()}
    play = functools.partial(gtrxl.returns, config)
    return {
        "gates": functools.partial(play, "gates", gates, seeds, shares),
        "gates_training": functools.partial(
            gtrxl.training, run, config, "gates", config.variants
        ),
        "depths": functools.partial(_depths, play, deep, few),
    }


def _of_seeds(trained, seeds):
    """The models of these settings; none, if none has one."""
    found = None if trained is None else trained.of_seeds(seeds)
    return found if found is not None and found.seeds else None


def _depths(play, deep, seeds):
    """Rows of each depth, and the returns of its settings."""
    import numpy as np

    from icrl.evaluation.numbers import join

    depths = sorted(deep)
    numbers = join(play(f"depth_{depth}", deep[depth], seeds) for depth in depths)
    for name in deep[depths[0]]:
        table = [
            numbers.arrays.pop(f"depth_{depth}_settings/{name}/returns")
            for depth in depths
        ]
        numbers.arrays[f"depths/{name}/returns"] = np.array(table)
    numbers.arrays["depths/depths"] = np.array(depths)
    return numbers


CPU = Config().takes("two hours of one core")
SMOKE = {
    "seeds": (0, 1),
    "model": gtrxl.SMOKE_GTRXL,
    "variants": ("trxl_i",),
    "depths": (2,),
    "num_settings_deep": 1,
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, figure_name="returns"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
