"""A run's folder: what it holds, who may write to it, and when it is done.

    results/<experiment>/<preset>-<config hash>/
        config.json    the resolved config, and the seeds in the order they came
        env.json       versions and devices
        metrics.jsonl  one line per logged chunk of training
        checkpoints/   newest and best; weights/ holds a safetensors file per seed
        panels/        what is played already, while more is to be played
        summary.json, figure.npz, scores.npz, regret.png, regret.pdf
        DONE           last of all: the seeds that the summary covers

Files are written whole or not at all, one process writes at a time, and a finished
folder is left alone: it is read without a lock, and may be read-only. Seeds can be
added (`icrl.runs.claim`). A run that is refused leaves nothing behind.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from icrl.config import ExperimentConfig
from icrl.errors import RunError
from icrl.experiment import Experiment
from icrl.runs import claim, files, kept, saved, serialization, tables
from icrl.runs.claim import Claim, SeedGroup

SECONDS = {"wall_seconds": float}


@dataclasses.dataclass(kw_only=True)
class Run:
    """An open run; made by `open_run`, passed to the experiment's `run`."""

    experiment: Experiment
    preset: str
    config: ExperimentConfig  # with the seeds of all groups
    folder: pathlib.Path
    groups: tuple[SeedGroup, ...]
    done: bool  # the summary covers all seeds that were asked for
    _claim: Claim | None  # none on a finished run, which is only read
    _earlier_seconds: float  # of sessions before this one
    _started: float
    train_tokens: int = 0  # trained on in this run, over all seeds
    shared_data: bool = False  # whether its seeds learn from one data set
    # what labelled the data of each model, by its name; "model" where there is but one
    labels: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def wall_seconds(self) -> float:
        """Seconds of all sessions; one that was killed counts to its last tick."""
        return self._earlier_seconds + time.monotonic() - self._started

    def tick(self) -> None:
        """Notes the seconds so far; each saved checkpoint does so too."""
        seconds = {"wall_seconds": self.wall_seconds}
        files.write_json(self.folder / "clock.json", seconds)

    def checkpoints(self, group: SeedGroup, name: str = "") -> Any:
        """Returns the `Checkpoints` of a seed group's model.

        Args:
            group: seeds that train together.
            name: tells models apart where a run trains several.
        """
        from icrl.runs.checkpoint import Checkpoints

        folder = self.folder / f"checkpoints{self._suffix(group)}" / name
        return Checkpoints(folder, on_save=self.tick)

    def metrics(self, group: SeedGroup, resume_step: int = 0, name: str = "") -> Any:
        """Returns the `MetricsLog` of a group's model, cut back to `resume_step`."""
        from icrl.runs.metrics import MetricsLog

        return MetricsLog(
            self.folder,
            extra=self.config.log,
            name=self.metrics_path(group, name).stem,
            resume_step=resume_step,
        )

    def metrics_path(self, group: SeedGroup, name: str = "") -> pathlib.Path:
        """Returns where the lines of a group's training stand."""
        stem = f"metrics_{name}" if name else "metrics"
        return self.folder / f"{stem}{self._suffix(group)}.jsonl"

    def weights(self, seed: int, name: str = "") -> pathlib.Path:
        """Returns where the weights of one seed's model lie, or will."""
        stem = f"{name}_seed_{seed}" if name else f"seed_{seed}"
        return self.folder / "weights" / f"{stem}.safetensors"

    def is_trained(self, seeds: Iterable[int], name: str = "") -> bool:
        """Tells whether each of these seeds has its weights."""
        return all(self.weights(seed, name).exists() for seed in seeds)

    def finish(
        self,
        rows: Sequence[Mapping[str, Any]],
        arrays: Mapping[str, Any],
        finals: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the numbers, then the figure from them, then `DONE`.

        Args:
            rows: made by `saved.row`.
            arrays: small arrays that the figure is drawn from.
            finals: the values [seeds, tasks] behind the rows, and their tasks' hashes,
                from which runs are compared.

        Raises:
            ValueError: if a row lacks an entry.
            OSError: if the disk is full.
        """
        summary = {
            "experiment": self.experiment.name,
            "preset": self.preset,
            "config_hash": serialization.config_hash(self.config),
            "wall_seconds": self.wall_seconds,
            "train_tokens": self.train_tokens,
            "labels": self.labels,
            "rows": list(rows),
        }
        saved.write_numbers(self.folder, summary, arrays, finals or {})
        saved.draw(self.experiment, self.folder)
        files.write_json(self.folder / "DONE", {"seeds": self.config.seeds})
        kept.clear(self.folder)
        self.done = True

    def print_table(self) -> None:
        """Prints the rows of the summary, where it lies and where the figure does."""
        print(tables.rows_table(saved.read_summary(self.folder)["rows"]))
        print(f"\nnumbers  {self.folder / 'summary.json'}")
        figure = self.folder / f"{self.experiment.figure_name}.png"
        if figure.exists():
            print(f"figure   {figure}")

    def close(self, *, failed: bool = False) -> None:
        """Lets another process open the folder.

        Args:
            failed: whether the run was refused or broke off; then nothing stays of it,
                unless something is trained.
        """
        if self._claim is not None:
            self._claim.release(failed=failed and not self.done)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.close(failed=error[0] is not None)

    def _suffix(self, group: SeedGroup) -> str:
        if group not in self.groups:
            raise ValueError(f"group must be one of {self.groups}, got {group}")
        return claim.suffix_of(group, self.groups)


def open_run(
    experiment: Experiment,
    preset: str,
    config: ExperimentConfig,
    root: pathlib.Path | None = None,
) -> Run:
    """Opens the folder of a run: a new one, one to resume, or a finished one.

    Args:
        experiment: whose run it is.
        preset: name that the config began as.
        config: resolved.
        root: folder of all results; `$ICRL_RESULTS`, else `results` here, if None.

    Raises:
        RunError: if another process has the folder, if it holds a run with another
            config, or an unfinished one from other versions or devices.
        OSError: if the folder cannot be written.
    """
    started = time.monotonic()
    name = f"{preset}-{serialization.config_hash(config)}"
    folder = (root or results_root()) / experiment.name / name
    done = set(config.seeds) <= claim.finished_seeds(folder)
    held = None if done else claim.take(folder, experiment.name, preset, config)
    groups = held.groups if held else claim.begun_groups(folder, config)
    try:
        return Run(
            experiment=experiment,
            preset=preset,
            config=dataclasses.replace(config, seeds=sum(groups, ())),
            folder=folder,
            groups=groups,
            done=done,
            _claim=held,
            _earlier_seconds=_earlier_seconds(folder),
            _started=started,
        )
    except BaseException:
        if held:
            held.release(failed=True)
        raise


def results_root() -> pathlib.Path:
    """The folder of all results: `$ICRL_RESULTS`, else `results` here.

    Raises:
        RunError: if `ICRL_RESULTS` is there and empty, which names no folder.
    """
    named = os.environ.get("ICRL_RESULTS", "results")
    if not named.strip():
        raise RunError(f"ICRL_RESULTS must name a folder, got {named!r}")
    return pathlib.Path(named)


def _earlier_seconds(folder: pathlib.Path) -> float:
    for name in ("clock.json", "summary.json"):
        if (folder / name).exists():
            return files.read_json(folder / name, SECONDS)["wall_seconds"]
    return 0.0
