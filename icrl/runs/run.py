"""A run's folder: what it holds, who may write to it, and when it is done.

    results/<experiment>/<preset>-<config hash>/
        config.json    the resolved config, and the seeds in the order they came
        env.json       versions and devices
        metrics.jsonl  one line per logged chunk of training
        checkpoints/   newest and best; weights/ holds a safetensors file per seed
        summary.json, figure.npz, scores.npz, regret.png, regret.pdf
        DONE           last of all: the seeds that the summary covers

Files are written whole or not at all, one process writes at a time, and a finished
folder is left alone. Seeds come in cohorts, each trained as one job: the seeds of the
first command, then those that a later command added.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from icrl.config import ExperimentConfig
from icrl.errors import RunError
from icrl.experiment import Experiment
from icrl.runs import files, provenance, saved, serialization, tables

Cohort: TypeAlias = tuple[int, ...]  # seeds that train together; at least one


@dataclasses.dataclass(kw_only=True)
class Run:
    """An open run; made by `open_run`, passed to the experiment's `run`."""

    experiment: Experiment
    preset: str
    config: ExperimentConfig  # with the seeds of all cohorts
    folder: pathlib.Path
    cohorts: tuple[Cohort, ...]
    done: bool  # the summary covers all seeds that were asked for
    _lock: Any
    _earlier_seconds: float  # of sessions before this one
    _started: float
    train_tokens: int = 0  # trained on in this run, over all seeds

    @property
    def wall_seconds(self) -> float:
        """Seconds of all sessions; one that was killed counts to its last tick."""
        return self._earlier_seconds + time.monotonic() - self._started

    def tick(self) -> None:
        """Notes the seconds so far; each saved checkpoint does so too."""
        seconds = {"wall_seconds": self.wall_seconds}
        files.write_json(self.folder / "clock.json", seconds)

    def checkpoints(self, cohort: Cohort, name: str = "") -> Any:
        """Returns the `Checkpoints` of a cohort's model.

        Args:
            cohort: seeds that train together.
            name: tells models apart where a run trains several.
        """
        from icrl.runs.checkpoint import Checkpoints

        folder = self.folder / f"checkpoints{self._suffix(cohort)}" / name
        return Checkpoints(folder, on_save=self.tick)

    def metrics(self, cohort: Cohort, resume_step: int = 0, name: str = "") -> Any:
        """Returns the `MetricsLog` of a cohort's model, cut back to `resume_step`."""
        from icrl.runs.metrics import MetricsLog

        stem = f"metrics_{name}" if name else "metrics"
        return MetricsLog(
            self.folder,
            extra=self.config.log,
            name=stem + self._suffix(cohort),
            resume_step=resume_step,
        )

    def weights(self, seed: int, name: str = "") -> pathlib.Path:
        """Returns where the weights of one seed's model lie, or will."""
        stem = f"{name}_seed_{seed}" if name else f"seed_{seed}"
        return self.folder / "weights" / f"{stem}.safetensors"

    def is_trained(self, cohort: Cohort, name: str = "") -> bool:
        """Tells whether each seed of a cohort has its weights."""
        return all(self.weights(seed, name).exists() for seed in cohort)

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
            "rows": list(rows),
        }
        saved.write_numbers(self.folder, summary, arrays, finals or {})
        saved.draw(self.experiment, self.folder)
        files.write_json(self.folder / "DONE", {"seeds": self.config.seeds})
        self.done = True

    def print_table(self) -> None:
        """Prints the rows of the summary, where it lies and where the figure does."""
        print(tables.rows_table(saved.read_summary(self.folder)["rows"]))
        print(f"\nnumbers  {self.folder / 'summary.json'}")
        figure = self.folder / f"{self.experiment.figure_name}.png"
        if figure.exists():
            print(f"figure   {figure}")

    def close(self) -> None:
        """Lets another process open the folder."""
        self._lock.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _suffix(self, cohort: Cohort) -> str:
        if cohort not in self.cohorts:
            raise ValueError(f"cohort must be one of {self.cohorts}, got {cohort}")
        return _suffix(cohort, first=self.cohorts[0])


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
    folder.mkdir(parents=True, exist_ok=True)
    held = files.lock(folder)
    try:
        files.remove_leftovers(folder)
        cohorts = _claim(folder, experiment.name, preset, config)
        finished = _finished_seeds(folder)
        done = set(config.seeds) <= finished
        if not done:
            _check_provenance(folder, cohorts, finished)
        config = dataclasses.replace(config, seeds=sum(cohorts, ()))
        return Run(
            experiment=experiment,
            preset=preset,
            config=config,
            folder=folder,
            cohorts=cohorts,
            done=done,
            _lock=held,
            _earlier_seconds=_earlier_seconds(folder),
            _started=started,
        )
    except BaseException:
        held.close()
        raise


def results_root() -> pathlib.Path:
    """Returns the folder of all results: `$ICRL_RESULTS`, else `results` here."""
    return pathlib.Path(os.environ.get("ICRL_RESULTS", "results"))


def _claim(
    folder: pathlib.Path, name: str, preset: str, config: ExperimentConfig
) -> tuple[Cohort, ...]:
    """Writes the config, or compares it with the one there; returns the cohorts."""
    path, encoded = folder / "config.json", serialization.encode(config)
    cohorts: tuple[Cohort, ...] = ()
    if path.exists():
        found = files.read_json(path)
        old, new = found.get("config", {}), encoded
        different = serialization.first_difference(
            serialization.hashed_part(old), serialization.hashed_part(new)
        )
        if different:
            key, there, here = different
            raise RunError(
                f"{folder} holds a run with another config: {key} is {there!r} there "
                f"and {here!r} here; move that folder away"
            )
        cohorts = tuple(tuple(cohort) for cohort in found.get("cohorts", ()))
    added = tuple(seed for seed in config.seeds if seed not in sum(cohorts, ()))
    if added:
        cohorts = (*cohorts, added)
        encoded["seeds"] = sum(cohorts, ())
        content = {"experiment": name, "preset": preset}
        content |= {"cohorts": cohorts, "config": encoded}
        files.write_json(path, content)
    return cohorts


def _check_provenance(
    folder: pathlib.Path, cohorts: tuple[Cohort, ...], finished: set[int]
) -> None:
    """Records where an unfinished run runs, or refuses to resume it elsewhere."""
    here = provenance.describe()
    for cohort in cohorts:
        suffix = _suffix(cohort, first=cohorts[0])
        path, checkpoints = (
            folder / f"env{suffix}.json",
            folder / f"checkpoints{suffix}",
        )
        if set(cohort) <= finished:
            continue
        if path.exists() and _has_checkpoint(checkpoints):
            different = provenance.differences(files.read_json(path), here)
            if different:
                raise RunError(
                    f"{folder} cannot resume exactly, it began with "
                    f"{', '.join(different)}: delete {path.name} there to go on "
                    f"all the same, or {checkpoints.name} to start anew"
                )
        files.write_json(path, here)


def _has_checkpoint(folder: pathlib.Path) -> bool:
    return any(
        path.name.isdigit() for level in ("*", "*/*") for path in folder.glob(level)
    )


def _finished_seeds(folder: pathlib.Path) -> set[int]:
    path = folder / "DONE"
    return set(files.read_json(path)["seeds"]) if path.exists() else set()


def _earlier_seconds(folder: pathlib.Path) -> float:
    for name in ("clock.json", "summary.json"):
        if (folder / name).exists():
            return files.read_json(folder / name)["wall_seconds"]
    return 0.0


def _suffix(cohort: Cohort, first: Cohort) -> str:
    if cohort == first:
        return ""
    head, *rest = cohort
    return f"_seeds_{head}-{rest[-1]}" if rest else f"_seeds_{head}"
