"""Does a gate that begins nearly closed make GTrXL easier to train?

GTrXL's gates begin with a bias of 2, which lets 88 % of the stream pass each of them.
A GTrXL of four blocks learns RL²'s bandits by PPO with this bias and with none (half
of the stream passes), each in ten random settings: learning rate and entropy
coefficient, log-uniform over two decades, the same for both.

Source: Parisotto et al. 2020, arXiv 1910.06764, Figure 7: ten settings of a 4-layer
GTrXL on Memory Maze, where all with the bias reach the human level and two without.
Command: icrl run gtrxl_bias cpu
Cost: 25 minutes of one core.
Expect: after half a million steps 6.50 with the bias and 6.47 without, in the same
settings -0.04 (-0.07 to -0.00); after 100,000 steps 6.21 and 5.97. No setting diverged,
of ten either way (0 to 28 %): in tasks this small the bias saves steps, little more.
"""

import dataclasses
import functools

from icrl import cli, gtrxl, study

BIASES = {"gtrxl": None, "gtrxl_no_bias": 0.0}  # None: as published
PANELS = gtrxl.panels(
    "bias", "random settings with either bias, best first", (*BIASES,)
)


def run(run, config: gtrxl.SearchConfig):
    """Trains both in every setting."""
    models = {
        name: dataclasses.replace(config.model, join_bias=bias)
        for name, bias in BIASES.items()
    }
    trained = gtrxl.train(run, config, "bias", models)
    play = functools.partial(gtrxl.returns, config, "bias", trained)
    return {
        "bias": functools.partial(play, run.config.seeds),
        "bias_training": functools.partial(
            gtrxl.training, run, config, "bias", tuple(trained)
        ),
    }


CPU = gtrxl.SearchConfig().takes("25 min of one core")
SMOKE = {"seeds": (0, 1), "model": gtrxl.SMOKE_GTRXL}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, figure_name="returns"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
