"""What training says while it runs, and what it is told.

Numbers go to a file, progress to a person; signals come from outside.
"""

import json
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from icrl.errors import RunError
from icrl.runs import files
from icrl.runs.loggers import LOGGERS


class MetricsLog:
    """Appends one JSON line per call to `metrics.jsonl`, and tells other loggers.

    Args:
        folder: of the run.
        extra: further loggers: "tensorboard", "wandb".
        name: stem of the file.
        resume_step: lines of later steps are dropped, so that a resumed run's file
            equals an uninterrupted one's, times apart.

    Raises:
        RunError: if an extra is not installed.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        extra: Sequence[str] = (),
        *,
        name: str = "metrics",
        resume_step: int = 0,
    ):
        self.path = folder / f"{name}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._loggers = [LOGGERS[kind](folder, name, resume_step) for kind in extra]
        _keep_until(self.path, resume_step)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
        self._started = time.monotonic()

    def log(self, step: int, **values: Any) -> None:
        """Writes the values of one chunk, with the seconds of this session.

        Args:
            step: training steps done.
            values: numbers, or one per training seed; NaN becomes null.

        Raises:
            OSError: if the disk is full.
        """
        values = files.plain(values)
        seconds = round(time.monotonic() - self._started, 3)
        line = {"step": int(step), "seconds": seconds, **values}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        for logger in self._loggers:
            logger.log(int(step), _scalars(values))

    def close(self) -> None:
        """Closes the file and the other loggers."""
        self._file.close()
        for logger in self._loggers:
            logger.close()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the lines of a metrics file; a half-written last one is left out.

    Raises:
        RunError: if a line before the last is no JSON object with a step.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    read = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if isinstance(values, dict) and isinstance(values.get("step"), int):
            read.append(values)
        elif number < len(lines):
            raise RunError(f"{path} cannot be read: line {number}")
    return read


class Progress:
    """Says how far work is: a bar on a terminal, a line now and then elsewhere.

    Args:
        total: units of the whole work.
        unit: their name, plural.
        start: units that an earlier session did; they do not count in the rate.
        label: what the work is.
        every: seconds between two lines where there is no terminal.
        stream: where to; standard error if None.
    """

    def __init__(
        self,
        total: int,
        unit: str = "steps",
        *,
        start: int = 0,
        label: str = "training",
        every: float = 10.0,
        stream: Any = None,
    ):
        self.total, self.unit, self.label = total, unit, label
        self._start = self._done = start
        self._values: dict[str, float] = {}
        self._every, self._stream = every, stream or sys.stderr
        self._started = self._said = time.monotonic()
        self._silent = True  # so far
        self._bar, self._task = _bar(self._stream, label, total)

    def say(self, stage: str) -> None:
        """Shows what is done now, until the next `update`: "compiling", say."""
        if self._bar:
            self._bar.update(self._task, text=stage)
        elif self._silent or time.monotonic() - self._said >= self._every:
            self._print(stage)

    def update(self, done: int, **values: float) -> None:
        """Notes that `done` units are done, and shows `values` beside them."""
        self._done, self._values = done, values
        if self._bar:
            self._bar.update(self._task, completed=done, text=self.text())
        elif time.monotonic() - self._said >= self._every or done >= self.total:
            self._print(self.text())

    def text(self) -> str:
        """Returns the state in words: count, rate, time left, values."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (self._done - self._start) / seconds
        left = (self.total - self._done) / rate if rate > 0 else float("inf")
        words = [f"{self._done:,}/{self.total:,} {self.unit}"]
        words += [f"{rate:,.4g} {self.unit}/s"]
        words += [f"{duration(left)} left" if left else f"in {duration(seconds)}"]
        words += [f"{name} {value:.4g}" for name, value in self._values.items()]
        return ", ".join(words)

    def _print(self, text: str) -> None:
        self._said, self._silent = time.monotonic(), False
        print(f"{self.label}: {text}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._bar:
            self._bar.stop()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Preemption:
    """Notes SIGTERM and SIGINT, for a loop that wants to save before it stops.

        with Preemption() as preemption:
            for step in steps:
                ...
                if preemption.requested:
                    checkpoints.save(step, state)
                    checkpoints.wait()
                    preemption.exit()

    A second SIGINT stops at once.
    """

    def __init__(self):
        self._signal: int | None = None
        self._earlier = {}

    @property
    def requested(self) -> bool:
        """Whether the process was told to stop."""
        return self._signal is not None

    def exit(self) -> None:
        """Ends the process with the code of the signal: 143 or 130.

        Raises:
            SystemExit: always.
            RunError: if there was no signal.
        """
        if self._signal is None:
            raise RunError("nothing asked this process to stop")
        name = signal.Signals(self._signal).name
        print(f"stopped by {name}; the same command resumes", file=sys.stderr)
        raise SystemExit(128 + self._signal)

    def __enter__(self) -> "Preemption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._signal == signal.SIGINT == number:
            raise KeyboardInterrupt
        self._signal = number


def duration(seconds: float) -> str:
    """Returns a time a person can read: "48 s", "3 min 20 s", "2 h 5 min"."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _keep_until(path: pathlib.Path, step: int) -> None:
    """Drops the lines of later steps, and a half-written one."""
    if path.exists():
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        files.write_atomic(path, text.encode())


def _scalars(values: dict[str, Any]) -> dict[str, float]:
    """Returns the numbers, one tag per seed where there are several."""
    scalars = {}
    for name, value in values.items():
        if isinstance(value, list):
            scalars |= {f"{name}/{i}": v for i, v in enumerate(value) if v is not None}
        elif value is not None:
            scalars[name] = value
    return scalars


def _bar(stream: Any, label: str, total: int) -> tuple[Any, Any]:
    """Starts a bar if the stream is a terminal."""
    if not stream.isatty():
        return None, None
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn(label), BarColumn(), TextColumn("{task.fields[text]}"))
    bars = Bars(*columns, console=Console(file=stream))
    bars.start()
    return bars, bars.add_task(label, total=total, text="compiling")
