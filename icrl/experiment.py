"""An experiment is a record: a question, its presets, what it computes and draws.

One script in `experiments/` registers one, under the script's name; a script of another
package is named under the entry-point group `icrl.experiments`. Nothing here imports
jax, so that the command line answers at once.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from envs.registry import Registry
from icrl.config import ExperimentConfig
from icrl.errors import unknown
from icrl.packages import require_own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question, and how to answer it at several sizes.

    Args:
        name: the script's name; also the folder in `results/`.
        question: one sentence that ends with a question mark.
        presets: a full config per size; smoke (seconds), cpu (minutes), paper (GPU).
        costs: what each preset takes, for the reader: "40 min on 2 cores".
        run: `run(run, config)` computes, and ends with `run.finish(rows, arrays)`.
        figure: `figure(summary, arrays)` draws from saved numbers alone, and returns a
            matplotlib figure; None where there is nothing to draw.
        figure_name: stem of the figure's files.
        default_preset: the one that runs when none is named.
        source: the module that it is written in; that of `run` if empty.

    Raises:
        ValueError: if a preset has no cost, or the default is not a preset.
    """

    name: str
    question: str
    presets: Mapping[str, ExperimentConfig]
    costs: Mapping[str, str]
    run: Callable[..., None]
    figure: Callable[..., Any] | None = None
    figure_name: str = "regret"
    default_preset: str = "cpu"
    source: str = ""

    def __post_init__(self):
        if not self.source:
            object.__setattr__(self, "source", self.run.__module__)
        if set(self.costs) != set(self.presets):
            raise ValueError(
                f"each preset of {self.name} needs a cost, and no other does: "
                f"presets {sorted(self.presets)}, costs {sorted(self.costs)}"
            )
        if self.default_preset not in self.presets:
            raise ValueError(
                f"the default preset of {self.name} must be one of "
                f"{sorted(self.presets)}, got {self.default_preset!r}"
            )

    def preset(self, name: str) -> ExperimentConfig:
        """Returns the config of a preset.

        Raises:
            RunError: if there is none of this name.
        """
        if name not in self.presets:
            raise unknown(f"preset of {self.name}", name, self.presets)
        return self.presets[name]


class _Scripts(Registry[Experiment]):
    """The scripts in our `experiments`, not those in another folder of that name."""

    def _files(self) -> set[str]:
        require_own("experiments")
        return super()._files()


EXPERIMENTS: Registry[Experiment] = _Scripts(
    "experiment", "icrl.experiments", "experiments", named_by_file=True
)


def register(experiment: Experiment) -> Experiment:
    """Makes an experiment known by its name, which is that of its file; returns it.

    Raises:
        ValueError: if another experiment holds the name.
    """
    held = EXPERIMENTS.held(experiment.name)
    if held is not None and "__main__" in (held.source, experiment.source):
        return experiment  # the script that runs, imported once more by its name
    return EXPERIMENTS.add(experiment.name, experiment)
