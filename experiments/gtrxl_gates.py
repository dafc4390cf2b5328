"""Which of GTrXL's gates trains in most settings, and how deep?

Seven variants of a transformer with memory learn RL²'s bandits by PPO, each in ten
random settings: learning rate and entropy coefficient, log-uniform over two decades.
Five have a gate where a block adds to the stream; two have none: the post-norm
Transformer-XL, and the identity map reordering ("TrXL-I"). At depths 2, 8 and 12 the
GRU gate and TrXL-I stand alone, in three settings.

A run diverged if it met a NaN or ends below uniform play plus three standard errors.
Ten settings cannot tell 0 from 16 %, so that no order of the variants is claimed.

Source: Parisotto et al. 2020, arXiv 1910.06764, Figure 5 and the table of diverged runs
(of 25: TrXL 0, TrXL-I 16 %, GRU 0, Output 12 %), by V-MPO on tasks far larger.
Command: icrl run gtrxl_gates cpu
Cost: (an estimate) an hour on 2 cores.
Expect: (no reference run yet).
"""

import dataclasses
import functools

from icrl import cli, gtrxl, study
from icrl.config import TransformerConfig
from icrl.drawing import searches
from icrl.online_config import PpoConfig
from icrl.panels import Drawing

DEEP = ("gtrxl", "trxl_i")  # what is trained at other depths
PANELS = [
    *gtrxl.panels(
        "gates", "random settings of each variant, best first", tuple(gtrxl.VARIANTS)
    ),
    Drawing(
        name="depths",
        title="deeper: the same three settings at each depth",
        function=functools.partial(searches.draw_depths, start="depth_", names=DEEP),
        needs="depth_",
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(gtrxl.SearchConfig):
    """Sizes of the experiment."""

    model: TransformerConfig  # GTrXL, of which the variants change gate or norm
    variants: tuple[str, ...] = tuple(gtrxl.VARIANTS)  # at the model's depth
    depths: tuple[int, ...] = (2, 4, 8, 12)  # of the GRU gate and TrXL-I
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

    number = config.num_settings_deep
    trained = gtrxl.train(
        run, config, "gates", variants(config.variants, config.model.num_layers)
    )
    deep = {
        panel: gtrxl.train(run, config, panel, variants(DEEP, depth), number=number)
        for depth in config.depths
        for panel in [f"depth_{depth}"]
    }

    def depths():
        from icrl.evaluation import numbers

        found = (gtrxl.returns(config, *item, number) for item in deep.items())
        return numbers.join(found)

    settings = len(run.config.seeds)
    found = {
        "gates": functools.partial(gtrxl.returns, config, "gates", trained, settings),
        "gates_training": gtrxl.training(run, config, "gates", config.variants),
    }
    return {**found, "depths": depths} if deep else found


CPU = Config(
    seeds=tuple(range(10)),  # settings
    model=dataclasses.replace(gtrxl.GTRXL, num_layers=4),
    training=PpoConfig(num_steps=200, batch_size=256, sweep=10.0),
).takes("an hour on 2 cores")
SMOKE = {
    "seeds": (0, 1),
    "model": dataclasses.replace(gtrxl.GTRXL, num_layers=1, width=8),
    "variants": ("gtrxl",),
    "depths": (),
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, figure_name="returns"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
