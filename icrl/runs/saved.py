"""Saved numbers: how a summary is written, found, read again and drawn."""

import io
import pathlib
from collections.abc import Mapping
from typing import Any

from icrl.config import ExperimentConfig
from icrl.errors import RunError, unknown
from icrl.experiment import EXPERIMENTS, Experiment
from icrl.runs import files, serialization

NAMES = ("panel", "agent", "metric")
NUMBERS = (
    "mean",
    "low",
    "high",
    "seeds",
    "tasks",
    "trajectories",
    "published",
    "exact",
)
REQUIRED = {*NAMES, *NUMBERS}
ROW = dict.fromkeys(NAMES, str) | dict.fromkeys(NUMBERS, (float, type(None)))
SUMMARY = {"experiment": str, "rows": [ROW]}
CONFIG = {"experiment": str, "config": dict}
MOST_BYTES = 2**30  # of the arrays of a figure


def row(
    *,
    panel: str,
    agent: str,
    metric: str,
    mean: float,
    low: float | None,
    high: float | None,
    seeds: int,
    tasks: int,
    trajectories: int | None = None,
    published: float | None = None,
    exact: float | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Returns a row of a summary.

    Args:
        panel: part of the figure: "online", "offline", "online_noise_0.0".
        agent: from the list of names in the README.
        metric: likewise; regret is in units of reward, summed over the steps.
        mean: over tasks and seeds.
        low: lower end of the 95 % interval; None where there is none.
        high: upper end.
        seeds: training seeds that entered; 0 for an algorithm that is not trained.
        tasks: distinct tasks that entered, per seed.
        trajectories: in these tasks, per seed; as many as tasks if None.
        published: the paper's value, where it states one.
        exact: the value of what a perfectly trained model equals, where it is known;
            where it was measured itself, `exact_error` is its standard error.
        extra: further entries.
    """
    known = {name: value for name, value in locals().items() if name != "extra"}
    known["trajectories"] = tasks if trajectories is None else trajectories
    return {**known, **extra}


def write_numbers(
    folder: pathlib.Path,
    summary: Mapping[str, Any],
    arrays: Mapping[str, Any],
    finals: Mapping[str, Any],
) -> None:
    """Writes `summary.json`, `figure.npz` and `scores.npz`.

    Raises:
        ValueError: if a row of the summary lacks an entry.
        OSError: if the disk is full.
    """
    import numpy as np

    for one in summary["rows"]:
        if REQUIRED - one.keys():
            raise ValueError(
                f"a row needs {sorted(REQUIRED)}, got one without "
                f"{sorted(REQUIRED - one.keys())}: {dict(one)}"
            )
    for stem, content in (("figure", arrays), ("scores", finals)):
        buffer = io.BytesIO()
        named: dict[str, Any] = {k: np.asarray(v) for k, v in content.items()}
        np.savez_compressed(buffer, **named)
        files.write_atomic(folder / f"{stem}.npz", buffer.getvalue())
    files.write_json(folder / "summary.json", summary)


def read_summary(folder: pathlib.Path) -> dict[str, Any]:
    """Returns a run's summary.

    Raises:
        RunError: if there is none, or it is broken.
    """
    return files.read_json(folder / "summary.json", SUMMARY)


class Arrays(dict[str, Any]):
    """The arrays of a figure by name; one that is not there is named by its file."""

    def __init__(self, path: pathlib.Path, arrays: Mapping[str, Any]):
        super().__init__(arrays)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise RunError(f"{self._path} holds no array {name!r}: it is of another run")


def read_arrays(folder: pathlib.Path, stem: str = "figure") -> Arrays:
    """Returns the numpy arrays that a run's figure is drawn from, or its scores.

    Args:
        folder: of the run.
        stem: "figure", or "scores" for the values behind the rows.

    Raises:
        RunError: if there are none, the file is broken, holds anything else, or is too
            large for a figure.
    """
    import zipfile

    import numpy as np

    path = folder / f"{stem}.npz"
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"it must hold at most {MOST_BYTES} bytes, got {size}")
        with np.load(io.BytesIO(data)) as loaded:
            arrays = dict(loaded)
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name} must be an array")
        return Arrays(path, arrays)
    except (
        *(OSError, ValueError, EOFError, RuntimeError, MemoryError),
        zipfile.BadZipFile,
    ) as error:
        raise RunError(f"{path} cannot be read ({error})") from None


def read_config(folder: pathlib.Path) -> tuple[Experiment, ExperimentConfig]:
    """Returns a run's experiment and its config, with the seeds that it has.

    Raises:
        RunError: if the folder holds no run, one of an experiment that is gone, or one
            whose config another version wrote.
    """
    path = folder / "config.json"
    content = files.read_json(path, CONFIG)
    known = EXPERIMENTS[content["experiment"]]
    kind = type(next(iter(known.presets.values())))
    try:
        return known, serialization.decode(kind, content["config"])
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def find(run: str, root: pathlib.Path) -> pathlib.Path:
    """Returns the folder that `run` means.

    Args:
        run: a folder with a summary, or the name of an experiment: its newest finished
            run, else its reference results.
        root: folder of all results.

    Raises:
        RunError: if there is no such run.
    """
    folder = pathlib.Path(run)
    if (folder / "summary.json").exists():
        return folder
    if folder.is_dir():
        raise RunError(f"{folder} holds no finished run: it has no summary.json")
    finished = [path.parent for path in (root / run).glob("*/DONE")]
    if finished:
        return max(finished, key=lambda path: (path / "DONE").stat().st_mtime)
    references = sorted((root / run).glob("reference-*/summary.json"))
    if references:
        return references[0].parent
    if run in EXPERIMENTS.names():
        raise RunError(f"{run} has no finished run in {root / run}: icrl run {run}")
    raise unknown("folder or experiment", run, EXPERIMENTS.names())


def draw(drawn: Experiment, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draws a run's figure from its saved numbers; the same numbers, the same bytes.

    Returns:
        The files that it wrote: a PNG and a PDF, or none if there is no figure.

    Raises:
        RunError: if the folder holds a run of another experiment.
    """
    summary = read_summary(folder)
    if summary["experiment"] != drawn.name:
        raise RunError(
            f"{folder} holds a run of {summary['experiment']}, not of {drawn.name}"
        )
    if drawn.figure is None:
        return []
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: dict[Any, Any] = {
        "pdf.fonttype": 42,
        "savefig.dpi": 200,
        "axes.labelsize": 9,
    }
    with matplotlib.rc_context(style):
        figure = drawn.figure(summary, read_arrays(folder))
        stem = folder / drawn.figure_name
        paths = [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
        for path, absent in zip(paths, ("Software", "CreationDate"), strict=True):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=path.suffix[1:], metadata={absent: None})
            files.write_atomic(path, buffer.getvalue())
        pyplot.close(figure)
    return paths
